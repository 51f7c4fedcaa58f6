"""The whole argument on models that give labels and whose latch is known: found, confirmed, used; which labels are asked."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from charlm.errors import TextError
from charlm.features.labels import Labels
from charlm.features.registry import FEATURES, known
from charlm.inspection.findings import Finding, Report
from charlm.inspection.labelled import examine_labels, features_of_labels, texts_with_and_without
from charlm.inspection.trace import Trace
from charlm.model.heads import Classifier, Labeller, Tagger
from charlm.text.examples import UNLABELLED, Examples
from tests.inspection.labelled import COPY, LATCH, NAMES, WORDS, mood_model, moods, some_texts

N = 160


@cache  # each takes seconds
def examined(kind: type[Labeller], latches: tuple[int, ...], workers: int = 1, *, bidirectional: bool = False) -> Report:
    """What is found in a model of moods with these latches."""
    model, texts = mood_model(kind, 8, latches, bidirectional=bidirectional), moods(N, by_character=kind.by_character)
    return examine_labels(model, texts, WORDS, NAMES[kind], [FEATURES["column"], FEATURES["digit"]], 1, workers)


def finding(report: Report, feature: str) -> Finding:
    return next(found for found in report.findings if found.feature == feature)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [Classifier, Tagger])
def test_a_latch_for_the_label_is_found_confirmed_and_used(kind, bidirectional):
    """Its unit is the best; no chance, no context and no untrained model has it; clamped, the task's own loss rises."""
    found = finding(examined(kind, (LATCH,), bidirectional=bidirectional), "label=good")
    assert (found.unit.layer, found.unit.unit, found.verdict) == (0, LATCH, "used")
    assert min(found.score, found.confirmed_score) > 0.95
    assert found.p_value == 0.001
    assert found.baseline_gain > 0.2
    assert min(found.delta_nats.present, found.delta_nats.absent) > 0.2


@pytest.mark.parametrize("kind", [Classifier, Tagger])
def test_a_unit_that_follows_the_label_and_is_not_read_is_not_used(kind):
    """It is as good as the latch, and confirmed, but the loss stays as it is when it is clamped."""
    found = finding(examined(kind, (COPY, LATCH)), "label=good")
    assert (found.unit.unit, found.verdict) == (COPY, "confirmed")
    assert max(abs(found.delta_nats.present), abs(found.delta_nats.absent)) < 1e-6


def test_the_texts_own_features_are_there_too():
    """What the texts have is found, what they lack is left out, and they are halved as texts."""
    report = examined(Classifier, (LATCH,))
    assert {found.feature for found in report.findings} == {"label=good", "column"}
    assert dict(report.left_out) == {"digit": "not in the text"}
    assert report.untested == ()
    assert report.num_characters == moods(N, by_character=False).num_characters


@pytest.mark.parametrize("kind", [Classifier, Tagger])
def test_the_same_seed_gives_the_same_report_whatever_the_number_of_workers(kind):
    """Not one bit depends on how many threads there were."""
    one, two = examined(kind, (LATCH,)), examined(kind, (LATCH,), 2)
    assert replace(one, saturation=()) == replace(two, saturation=())


def test_the_order_of_the_texts_does_not_halve_the_labels():
    """Where all good texts come first, both halves have good and bad ones all the same."""
    texts = moods(N, by_character=False)
    order = np.argsort(-texts.labels.astype(int), kind="stable")
    parts = [texts.part(text, text + 1) for text in order.tolist()]
    texts = Examples(
        ids=np.concatenate([part.ids for part in parts]),
        bounds=np.cumsum([0, *(len(part.ids) for part in parts)]),
        labels=texts.labels[order],
        places=texts.places,
    )
    report = examine_labels(mood_model(Classifier, 8, [LATCH]), texts, WORDS, NAMES[Classifier], [], 1)
    assert finding(report, "label=good").verdict == "used"


def test_two_labels_are_one_feature_and_more_are_one_each():
    """Of two the second says all. A label holds at every character of its texts, or at the characters that have it."""
    texts = moods(80, by_character=False)
    (only,), rare = features_of_labels(texts, 40, ("bad", "good"), by_character=False)
    assert (only.name, rare) == ("label=good", [])
    np.testing.assert_array_equal(only.known, np.repeat(texts.labels == 1, texts.lengths))
    texts = moods(40, by_character=True)
    asked, rare = features_of_labels(texts, 20, NAMES[Tagger], by_character=True)
    assert ([feature.name for feature in asked], rare) == (["label=bad", "label=good", "label=open"], [])
    for number, feature in enumerate(asked):
        np.testing.assert_array_equal(feature.known, texts.labels == number)


@pytest.mark.parametrize(
    ("has_label", "why"),
    [
        ([0] * 40, "not in the text"),
        ([1] * 9 + [0] * 11 + [1] * 10 + [0] * 10, "only 9 texts in the first half"),
        ([1, 0] * 10 + [1] + [0] * 19, "only 1 text in the second half"),
        ([1, 0] * 10 + [0] * 20, "not in the second half"),
        ([1] * 11 + [0] * 9 + [1, 0] * 10, "nearly everywhere in the first half"),
        ([1, 0] * 20, ""),
    ],
)
def test_a_label_that_too_few_texts_have_is_left_out_and_said(has_label, why):
    """Ten texts with it and ten without are needed in each half: texts, not characters."""
    texts = replace(moods(40, by_character=False), labels=np.array(has_label, dtype=np.uint16))
    asked, rare = features_of_labels(texts, 20, ("a", "b", "c"), by_character=False)
    assert ("label=b" in [feature.name for feature in asked]) == (why == "")
    assert dict(rare).get("label=b", "") == why


def test_texts_without_labels_have_the_features_of_texts():
    """No label is looked for, and no loss is there to rise: what is confirmed is not clamped."""
    texts = moods(N, by_character=False)
    texts = replace(texts, labels=np.full_like(texts.labels, UNLABELLED))
    report = examine_labels(mood_model(Classifier, 8, [LATCH]), texts, WORDS, NAMES[Classifier], [FEATURES["column"]], 1)
    assert [found.feature for found in report.findings] == ["column"]
    assert report.findings[0].delta_nats is None


@pytest.mark.parametrize(("number", "length", "named"), [(39, 60, "39 texts"), (40, 49, "1,960 characters")])
def test_too_few_texts_are_refused(number, length, named):
    """Under 40 texts, or 2,000 characters, is an error that says so; what is tried then works."""
    model = mood_model(Classifier, 8, [LATCH])
    few, enough = (some_texts(by_character=False, lengths=[size] * count) for count, size in ((number, length), (40, 50)))
    few, enough = (replace(each, ids=each.ids % 5) for each in (few, enough))
    with pytest.raises(TextError, match=named):
        examine_labels(model, few, WORDS, ("a", "b", "c"), [], 1)
    assert examine_labels(model, enough, WORDS, ("a", "b", "c"), [], 1).num_characters == 2000


@pytest.mark.parametrize("by_character", [False, True])
def test_half_of_the_texts_to_clamp_in_have_more_of_the_feature(by_character):
    """At most so many, in random order, each once; where labels are of characters, the feature is present at characters."""
    texts = moods(60, by_character=by_character)
    starts = texts.bounds[:-1]
    labels = Labels(texts.ids, WORDS, [FEATURES["column"]], starts)
    model = mood_model(Classifier, 8, [LATCH])
    trace, _ = Trace.over(model, texts.ids, (0, len(texts.ids)), starts=starts)
    chosen, is_present = texts_with_and_without(labels, trace, texts, 20, np.random.default_rng(0))
    assert len(chosen) == 20
    assert len(is_present) == (chosen.num_characters if by_character else 20)
    is_long = chosen.lengths >= np.median(texts.lengths)
    assert is_long.sum() == 10
    assert 0 < is_present.sum() < len(is_present)
    if not by_character:
        np.testing.assert_array_equal(is_present, is_long)  # the mean column is half the length


@pytest.mark.parametrize(("few", "is_enough"), [(4, False), (5, True), (55, True), (56, False)])
def test_a_feature_that_too_few_texts_have_is_not_clamped(few, is_enough):
    """Four texts with it, or without, say nothing of a loss; five do."""
    texts = moods(60, by_character=False)
    feature = known("few", "", np.repeat(np.arange(60) < few, texts.lengths))
    labels = Labels(texts.ids, WORDS, [feature], texts.bounds[:-1])
    trace, _ = Trace.over(mood_model(Classifier, 8, [LATCH]), texts.ids, (0, len(texts.ids)), starts=texts.bounds[:-1])
    chosen = texts_with_and_without(labels, trace, texts, 20, np.random.default_rng(0))
    assert (chosen is not None) == is_enough
    if chosen is not None:
        assert (len(chosen[0]), min(chosen[1].sum(), 20 - chosen[1].sum())) == (20, 5)
