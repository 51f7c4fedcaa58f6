"""`charlm eval` on a model that gives labels: how well, beside what needs no network.

It is imported only when the command runs, because it needs torch and --help does not.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from charlm.checkpoint.baselines import load_baselines
from charlm.checkpoint.card import ModelCard
from charlm.cli import options
from charlm.config import CorpusConfig
from charlm.display.labels import show_labels
from charlm.display.terminal import visible_line
from charlm.display.waiting import waiting
from charlm.errors import TextError, UsageError, counted
from charlm.labelling.baseline import Baseline
from charlm.labelling.judge import Judgement, as_json, judged
from charlm.model.heads import Labeller
from charlm.runs.find import BASELINES
from charlm.runs.heldout import test_examples
from charlm.text.dataset import read_examples
from charlm.text.examples import Examples


def score_labels(
    path: Path, model: Labeller, card: ModelCard, files: Sequence[str], reading: CorpusConfig, columns: str | None
) -> Judgement:
    """Score the model on labelled files, read as those it was trained on, or else on the test part of its own run.

    What people should know goes to standard error. Raises `TextError`, `UsageError` and `CheckpointError`.
    """
    if columns is not None and not files:
        raise UsageError("--columns was given without a file", "name one, or leave it out")
    reading = replace(reading, columns=card.text.columns if columns is None else columns, restore=card.text.restore)
    examples = _read(files, model, card, reading) if files else _own(path, card)
    _say_what_is_cut(examples, model, card.training.seq_len)
    baselines = _baselines(path, card)
    with waiting() as tell:
        return judged(
            model,
            examples,
            baselines,
            seq_len=card.training.seq_len,
            one_label_a_word=card.one_label_a_word,
            tell=tell,
        )


def print_judgement(labels: Sequence[str], found: Judgement, *, json: bool) -> None:
    """Print the scores, as tables or as one JSON object."""
    if json:
        options.print_json(as_json(labels, found.model, found.baselines))
    else:
        show_labels(sys.stdout, labels, found.model, found.baselines)


def _read(files: Sequence[str], model: Labeller, card: ModelCard, reading: CorpusConfig) -> Examples:
    if reading.columns and reading.restore:
        raise UsageError("--columns was given, and the model restores any text", "leave it out")
    try:
        return read_examples(files, reading, card.vocab, card.labels, by_character=model.by_character)
    except TextError as error:
        if not any(option in error.hint for option in ("--task", "--restore")):
            raise
        raise TextError(error.message, "give a file with labels, like those that the model was trained on") from error


def _own(path: Path, card: ModelCard) -> Examples:
    examples, found = test_examples(path, card)
    print(f"texts: the test part of its own, from {visible_line(str(found))}", file=sys.stderr)
    return examples


def _say_what_is_cut(examples: Examples, model: Labeller, most: int) -> None:
    cut = int((examples.lengths > most).sum())
    if cut and not model.by_character:
        what = f"longer than the {counted(most, 'character')} that the model reads: it reads the beginning"
        print(f"{counted(cut, 'text')} {what}", file=sys.stderr)


def _baselines(path: Path, card: ModelCard) -> tuple[Baseline, ...]:
    """What lies beside the model to be measured against; without it the model's scores stand alone, which is said."""
    file = path.parent / BASELINES
    if file.is_file():
        return load_baselines(file, card)
    print(f"no {BASELINES} lies beside the model, so its scores stand alone", file=sys.stderr)
    return ()
