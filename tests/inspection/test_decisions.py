"""Clamps of models that give labels, in lanes over many texts, against the recurrence by hand, one text at a time."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from charlm.inspection import decisions
from charlm.inspection.decisions import batches, clamped_nats, elsewhere, intervene_on_labels, padded, read
from charlm.inspection.findings import UnitId
from charlm.inspection.intervention import comparable
from charlm.model.cells import CELLS
from charlm.model.heads import Classifier, Labeller, Tagger
from charlm.model.language_model import LanguageModel
from charlm.model.stepper import Stepper
from charlm.text.batches import NO_LABEL, rounded
from charlm.text.examples import UNLABELLED, Examples
from tests.conftest import CELLS as NAMES
from tests.inspection.labelled import COPY, KINDS, LATCH, LENGTHS, MUTE, exact_labeller, mood_model, moods, one, some_texts
from tests.inspection.reference import walk

H = 7
each_kind = pytest.mark.parametrize(("kind", "pooling"), KINDS, ids=lambda each: getattr(each, "__name__", each))
each_way = pytest.mark.parametrize("bidirectional", [False, True])
each_part = pytest.mark.parametrize(("cell", "part"), [(cell, part) for cell in NAMES for part in CELLS[cell].parts])


def forward_of(model: Labeller) -> LanguageModel:
    """The same cells under a head that predicts symbols, which `walk` knows."""
    language = LanguageModel.initialised(model.config, model.vocab_size, generator=torch.Generator()).double()
    language.embedding, language.cells = model.embedding, model.cells
    return language


def by_hand(model: Labeller, examples: Examples, text: int, held: dict[tuple[int, str, int], np.ndarray]) -> np.ndarray:
    """The losses on the labels of a text, NaN where it has none, with units held in a walk."""
    single = one(examples, text)
    ids, lengths = torch.from_numpy(single.ids.astype(np.int64)).unsqueeze(1), torch.tensor(single.lengths)
    h = walk(forward_of(model), single.ids, held).signals[len(model.layers) - 1, "h"]
    directions = [torch.from_numpy(h).unsqueeze(1), *model.directions(ids, lengths)[1:]]
    logits = model.decide(directions, lengths).reshape(-1, model.num_labels).numpy()
    lost = np.log(np.exp(logits).sum(axis=1, keepdims=True)) - logits
    return np.array([nats[label] if label != UNLABELLED else np.nan for nats, label in zip(lost, single.labels, strict=True)])


def some_reading(model: Labeller, examples: Examples, layer: int, part: str) -> tuple[Stepper, decisions.Reading]:
    stepper = Stepper(model)
    with torch.inference_mode():
        return stepper, read(model, stepper, examples, np.arange(len(examples))[::-1], layer, part, lambda _: None)


@torch.inference_mode()
def in_lanes(model: Labeller, examples: Examples, layer: int, part: str, units: list[int], values: Tensor) -> np.ndarray:
    stepper, reading = some_reading(model, examples, layer, part)
    return clamped_nats(model, stepper, reading, layer, part, torch.tensor(units), values).numpy()


@pytest.mark.parametrize("layer", [0, 1])
@each_part
def test_what_is_read_without_clamps_is_the_recurrence_by_hand(cell, part, layer):
    """The course of all units of a layer, what enters it, and the loss on each label, of texts in any order."""
    model, examples = exact_labeller(Tagger, cell=cell, bidirectional=True), some_texts(by_character=True)
    _, reading = some_reading(model, examples, layer, part)
    for place, text in enumerate(reading.which.tolist()):
        single, length = one(examples, text), LENGTHS[text]
        signals = walk(forward_of(model), single.ids).signals
        np.testing.assert_allclose(reading.course[:length, place], signals[layer, part], atol=1e-12)
        entering = signals[0, "h"] if layer else model.embedding.weight[single.ids.astype(int)]
        np.testing.assert_allclose(reading.entering[:length, place], entering, atol=1e-12)
        nats = np.where(reading.batch.labels[:length, place] == NO_LABEL, np.nan, reading.nats[:length, place])
        np.testing.assert_allclose(nats, by_hand(model, examples, text, {}), atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("cell", NAMES)
@each_kind
@each_way
def test_clamps_in_lanes_are_one_text_and_one_clamp_at_a_time(kind, pooling, bidirectional, cell, layer):
    """Any units, under any two clamps, at changing values: the loss on each label is that by hand, and the clamp is felt."""
    model = exact_labeller(kind, pooling, cell, bidirectional=bidirectional)
    examples, part, units = some_texts(by_character=model.by_character), CELLS[cell].parts[-1], [2, 6, 0]
    values = np.random.default_rng(3).uniform(-1.5, 1.5, (max(LENGTHS), len(examples), 2, len(units)))
    found = in_lanes(model, examples, layer, part, units, torch.from_numpy(values))
    for text, place in ((2, 9), (5, 6), (1, 10)):
        free = by_hand(model, examples, text, {})
        for clamp, number in ((0, 0), (0, 2), (1, 1)):
            held = {(layer, part, units[number]): values[: LENGTHS[text], place, clamp, number]}
            expected = by_hand(model, examples, text, held)
            mine = found[: LENGTHS[text], place, clamp, number] if model.by_character else found[place, clamp, number]
            np.testing.assert_allclose(np.where(np.isnan(expected), np.nan, mine), expected, atol=1e-5)
            assert np.nanmax(np.abs(expected - free)) > 1e-4


@each_kind
def test_a_clamp_to_what_units_do_anyway_changes_nothing(kind, pooling):
    """Held at its own course, each unit leaves each loss as it was."""
    model = exact_labeller(kind, pooling, bidirectional=True)
    examples = some_texts(by_character=model.by_character)
    _, reading = some_reading(model, examples, 1, "c")
    found = in_lanes(model, examples, 1, "c", list(range(H)), reading.course.unsqueeze(2))
    np.testing.assert_allclose(found, reading.nats[..., None, None].expand(found.shape), atol=1e-6)


def test_elsewhere_is_another_text_and_stays_where_that_ends():
    """Every text gets the course of a different one, each comes once, and a shorter one's last values go on."""
    model, examples = exact_labeller(Classifier), some_texts(by_character=False)
    _, reading = some_reading(model, examples, 0, "c")
    lengths, course = reading.batch.lengths.tolist(), reading.course
    found, others = elsewhere(reading, np.random.default_rng(0)), []
    for place in range(len(examples)):
        same = [
            other
            for other, length in enumerate(lengths)
            if torch.equal(found[:length, place], course[:length, other])
            and (found[length:, place] == course[length - 1, other]).all()
        ]
        others += same
        assert place not in same
    assert sorted(others) == list(range(len(examples)))


def test_batches_are_of_about_one_length_and_have_every_text_once():
    """Eight texts or more in each, where there are as many; `padded` counts what is read."""
    examples = some_texts(by_character=False, lengths=np.random.default_rng(0).integers(1, 90, 37).tolist())
    found = batches(examples)
    assert sorted(np.concatenate(found).tolist()) == list(range(37))
    assert min(map(len, found)) >= 8
    ranges = [(examples.lengths[which].min(), examples.lengths[which].max()) for which in found]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))
    assert padded(examples) == sum(len(which) * rounded(int(most)) for which, (_, most) in zip(found, ranges, strict=True))
    assert len(batches(one(examples, 0))) == 1


@pytest.mark.parametrize("hidden_size", [8, 24], ids=["few to compare with", "many to compare with"])
@pytest.mark.parametrize("kind", [Classifier, Tagger])
@each_way
def test_what_the_head_reads_is_used_and_what_reaches_nothing_is_not(kind, bidirectional, hidden_size):
    """Clamping the latch of a model by hand costs much; a unit that does the same, but is not read, exactly nothing."""
    model = mood_model(kind, hidden_size, [LATCH, COPY], bidirectional=bidirectional)
    examples = moods(48, by_character=model.by_character, seed=1)
    told: list[int] = []
    effects = {}
    for unit in (LATCH, COPY, MUTE):
        name = UnitId(layer=0, unit=unit, signal="c")
        effects[unit] = intervene_on_labels(model, examples, examples.labels == 1, name, np.random.default_rng(5), told.append)
    assert effects[LATCH].is_used
    assert min(effects[LATCH].delta.present, effects[LATCH].delta.absent) > 0.2
    for unit in (COPY, MUTE):
        assert not effects[unit].is_used
        assert max(abs(effects[unit].delta.present), abs(effects[unit].delta.absent)) < 1e-6
    assert effects[LATCH].num_characters == len(examples.labels)
    assert sum(told) == 3 * (2 * hidden_size + 1) * padded(examples)


@each_way
def test_units_to_compare_with_add_as_much_to_what_reads_them(bidirectional):
    """Of equal courses, the nearest is the unit whose weights into the head, or what joins directions, are as great."""
    model = exact_labeller(Classifier, bidirectional=bidirectional)
    reads = model.head if model.join is None else model.join
    reads.weight[:, :H] = torch.tensor([1.0, 5, 9, 5.1, 2, 8.8, 1.1]).double()
    course = torch.randn(50, 1, generator=torch.Generator().manual_seed(0)).double().expand(50, H)
    nearest = [comparable(model, UnitId(layer=1, unit=unit, signal="h"), course)[0] for unit in (0, 1, 2)]
    assert nearest == [6, 3, 5]


def test_what_has_no_label_does_not_count(monkeypatch):
    """The rises that are judged are of labelled characters only, each that of the mean clamp and of another text, by hand."""
    model, examples = exact_labeller(Tagger), some_texts(by_character=True)
    judged: list[np.ndarray] = []
    real = decisions.judge
    monkeypatch.setattr(decisions, "judge", lambda rises, *rest: judged.append(rises) or real(rises, *rest))
    is_present = np.arange(len(examples.labels)) % 3 == 0
    effect = intervene_on_labels(model, examples, is_present, UnitId(layer=1, unit=3, signal="f"), np.random.default_rng(5))
    (rises,) = judged
    assert effect.num_characters == len(rises) == (examples.labels != UNLABELLED).sum()
    courses = [walk(forward_of(model), one(examples, text).ids).signals[1, "c"][:, 3] for text in range(len(examples))]
    mean = np.concatenate(courses).mean()
    by_text = np.split(np.arange(len(examples.labels)), examples.bounds[1:-1])
    for text, places in enumerate(by_text):
        free = by_hand(model, examples, text, {})
        expected = by_hand(model, examples, text, {(1, "c", 3): np.full(len(places), mean)}) - free
        counted = examples.labels != UNLABELLED
        np.testing.assert_allclose(
            rises[np.cumsum(counted)[places][counted[places]] - 1, 0, 0], expected[counted[places]], atol=1e-5
        )


def test_pieces_of_lanes_change_nothing(monkeypatch):
    """However few units are held at a time, the effect is the same."""
    model, examples = mood_model(Classifier, 8, [LATCH]), moods(30, by_character=False)
    name = UnitId(layer=0, unit=LATCH, signal="c")
    found = []
    for most in (1, 1 << 24):
        monkeypatch.setattr(decisions, "MOST_NUMBERS", most)
        found.append(intervene_on_labels(model, examples, examples.labels == 1, name, np.random.default_rng(5)))
    assert found[0].is_used == found[1].is_used
    assert found[0].delta.present == pytest.approx(found[1].delta.present, abs=1e-6)
