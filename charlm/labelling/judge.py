"""A model that gives labels and what it is measured beside, on labelled texts: how well each labels them. Knows no files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.labelling.baseline import Baseline, Tell, ignore
from charlm.labelling.metrics import Interval, LabelReport, report_on_characters, report_on_texts
from charlm.labelling.predict import Probabilities, as_read, probabilities
from charlm.labelling.words import Labels, votes_for
from charlm.model.heads import Labeller
from charlm.text.examples import Examples

LEAST = 2.0**-126  # the smallest normal float32: a probability that has vanished still has a logarithm


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A way of labelling by its name, what it does in a few words, and how well."""

    name: str
    about: str = ""
    report: LabelReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How well a model labels some texts, and how well each baseline labels the same texts."""

    model: LabelReport
    baselines: tuple[Scored, ...]


def judged(
    model: Labeller,
    examples: Examples,
    baselines: Sequence[Baseline],
    *,
    seq_len: int,
    one_label_a_word: bool,
    seed: int = 0,
    tell: Tell = ignore,
) -> Judgement:
    """Label `examples` with the model, read as it was trained with `seq_len`, and with each baseline, and score them all.

    Where words have `one_label_a_word`, the model's label of a word is the likeliest for all its characters together, and a
    baseline's the one that most of them have. Intervals are drawn with `seed`. `tell` hears a stage, and how far it is, from 0
    to 1. Raises `TextError` where nothing has a label.
    """
    read = as_read(type(model), examples, seq_len)
    size = max(1, read.num_characters)
    found = probabilities(model, read, lambda count: tell("reading", count / size))

    def report(predicted: Labels, votes: Probabilities | None) -> LabelReport:
        if not model.by_character:
            return report_on_texts(examples.labels, predicted, model.num_labels, seed=seed)
        return report_on_characters(examples, predicted, model.num_labels, votes=votes, seed=seed)

    tell("scoring the model", 0.0)
    log_probabilities = np.log(np.maximum(found, LEAST)) if one_label_a_word else None
    own = report(found.argmax(axis=1).astype(np.uint16), log_probabilities)
    scored = []
    for number, baseline in enumerate(baselines):
        tell("scoring what needs no network", number / len(baselines))
        labels = baseline.predict(examples)
        votes = votes_for(labels, model.num_labels) if one_label_a_word else None
        scored.append(Scored(name=baseline.name, about=baseline.about, report=report(labels, votes)))
    return Judgement(model=own, baselines=tuple(scored))


def as_json(labels: Sequence[str], model: LabelReport, baselines: Sequence[Scored]) -> dict[str, Any]:
    """Turn scores into plain values; `confusion` has a row for each true label and a column for each predicted one."""
    scores = [
        {"label": name, "precision": each.precision, "recall": each.recall, "f1": each.f1, "support": each.support}
        for name, each in zip(labels, model.labels, strict=True)
    ]
    return {
        **_overall(model),
        "texts": model.num_texts,
        "labelled": model.num_labelled,
        "words": model.num_words,
        "labels": scores,
        "confusion": model.confusion.tolist(),
        "baselines": [{"name": each.name, "about": each.about, **_overall(each.report)} for each in baselines],
    }


def _overall(report: LabelReport) -> dict[str, Any]:
    by_word = report.word_accuracy
    return {
        "accuracy": _bounds(report.accuracy),
        "macro_f1": _bounds(report.macro_f1),
        "word_accuracy": _bounds(by_word) if by_word else None,
    }


def _bounds(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
