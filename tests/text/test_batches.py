"""Labelled texts in batches: every text and label stands where it should, once, and what fills up is nobody's."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.model.devices import CPU
from charlm.text.batches import NO_LABEL, SPREAD, Batches, batch_of, beginnings, by_length, pieces, rounded, some, with_labels
from charlm.text.examples import INSIDE, UNLABELLED, Examples

lengths = st.lists(st.integers(1, 23), min_size=1, max_size=12)
kinds = st.booleans()


def examples_of(sizes: list[int], *, by_character: bool) -> Examples:
    """Texts in which no two characters are the same, nor two labels; of characters, each fifth has none."""
    bounds = np.cumsum([0, *sizes], dtype=np.int64)
    ids = np.arange(bounds[-1], dtype=np.uint16)
    labels = np.where(ids % 5 == 4, np.uint16(UNLABELLED), ids + np.uint16(1000))
    places = (ids % 2 + INSIDE).astype(np.uint8)
    if by_character:
        return Examples(ids=ids, bounds=bounds, labels=labels, places=places)
    return Examples(ids=ids, bounds=bounds, labels=np.arange(len(sizes), dtype=np.uint16) + 7, places=places[:0])


def rows(examples: Examples) -> list[tuple[list[int], list[int], list[int]]]:
    """Each text, its labels and its places."""
    parts = [examples.part(number, number + 1) for number in range(len(examples))]
    return [(part.ids.tolist(), part.labels.tolist(), part.places.tolist()) for part in parts]


@given(lengths, kinds, st.data())
def test_some_are_those_texts_in_that_order(sizes, by_character, data):
    """Any of them, in any order, as often as they are named; none at all, too."""
    examples = examples_of(sizes, by_character=by_character)
    which = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=9))
    chosen = some(examples, np.array(which, dtype=np.int64))
    assert rows(chosen) == [rows(examples)[number] for number in which]
    assert chosen.bounds[0] == 0
    assert chosen.bounds[-1] == chosen.num_characters


@given(lengths, kinds, st.integers(1, 25))
def test_a_beginning_is_the_first_characters(sizes, by_character, most):
    """Of each text so many, with their labels; a text's own label stays."""
    examples = examples_of(sizes, by_character=by_character)
    cut = [(ids[:most], labels[:most] if by_character else labels, places[:most]) for ids, labels, places in rows(examples)]
    assert rows(beginnings(examples, most)) == cut


@given(lengths, st.integers(1, 25))
def test_pieces_are_all_there_is(sizes, most):
    """Each text is cut every so many characters; put together again they are the same, and no piece is empty or too long."""
    examples = examples_of(sizes, by_character=True)
    cut = pieces(examples, most)
    expected = [[part[start : start + most] for part in row] for row in rows(examples) for start in range(0, len(row[0]), most)]
    assert [list(row) for row in rows(cut)] == expected
    assert 1 <= cut.lengths.min() <= cut.lengths.max() <= most


@given(lengths, kinds, st.integers(1, 7))
def test_what_has_labels_is_what_is_left(sizes, by_character, most):
    """A text of which no character has a label goes; every other one stays as it was, and so do labels of texts."""
    examples = examples_of(sizes, by_character=by_character)
    read = pieces(examples, most) if by_character else examples
    assert rows(with_labels(read)) == [row for row in rows(read) if set(row[1]) != {UNLABELLED}]


@given(lengths, kinds, st.data())
def test_a_batch_holds_each_text_from_its_first_step_on(sizes, by_character, data):
    """(T, B) with T the longest of those that are in it, rounded up; beyond a text's end there is the id 0 and no label."""
    examples = examples_of(sizes, by_character=by_character)
    which = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=9))
    batch = batch_of(examples, np.array(which), CPU)
    chosen = [rows(examples)[number] for number in which]
    assert batch.lengths.tolist() == [len(ids) for ids, _, _ in chosen]
    assert batch.ids.shape == (rounded(int(max(batch.lengths))), len(which))
    assert batch.num_characters == batch.ids.numel()
    assert {each.dtype for each in batch} == {torch.int64}
    for place, (ids, labels, _) in enumerate(chosen):
        fill = len(batch.ids) - len(ids)
        assert batch.ids[:, place].tolist() == ids + [0] * fill
        if by_character:
            known = [NO_LABEL if label == UNLABELLED else label for label in labels]
            assert batch.labels[:, place].tolist() == known + [NO_LABEL] * fill
        else:
            assert batch.labels[place] == labels[0]


def test_batches_have_few_shapes():
    """Lengths are rounded up by an eighth at most, and lengths up to 1,000 to 64 of them."""
    assert all(length <= rounded(length) <= length * 9 / 8 for length in range(1, 100_000))
    assert len({rounded(length) for length in range(1, 1001)}) == 64


@given(lengths, st.integers(1, 60))
def test_by_length_all_come_once_the_shortest_first(sizes, most):
    """No batch is larger, padded, than it may be, unless it is one text; and none could have had the next text too."""
    examples = examples_of(sizes, by_character=True)
    found = list(by_length(examples.lengths, most))
    order = np.concatenate(found)
    assert sorted(order.tolist()) == list(range(len(sizes)))
    assert (np.diff(examples.lengths[order]) >= 0).all()
    for which, after in zip(found, [*found[1:], None], strict=True):
        size = len(which) * examples.lengths[which].max()
        assert size <= most or len(which) == 1
        assert after is None or (len(which) + 1) * examples.lengths[after[0]] > most


@given(lengths, st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_has_every_text_once(sizes, batch_size, epoch):
    """In ceil(n / B) batches, all but one of them full, whatever the lengths."""
    batches = Batches(examples=examples_of(sizes, by_character=True), batch_size=batch_size, seed=1)
    order = batches.order(epoch)
    assert len(order) == batches.batches_per_epoch == -(-len(sizes) // batch_size)
    assert sorted(np.concatenate(order).tolist()) == list(range(len(sizes)))
    assert sorted(map(len, order))[1:] == [batch_size] * (len(order) - 1)
    assert [which.tolist() for which in order] == [which.tolist() for which in batches.order(epoch)]


def test_a_batch_has_texts_of_about_equal_length():
    """Sorted, give or take an eighth: none is shorter than that beside the longest of a batch that others could have filled."""
    sizes = np.random.default_rng(2).integers(1, 400, 997).tolist()
    batches = Batches(examples=examples_of(sizes, by_character=False), batch_size=16, seed=1)
    order = sorted(([sizes[n] for n in which] for which in batches.order(0)), key=np.mean)
    for before, after in pairwise(order):
        assert max(before) <= min(after) * (1 + SPREAD)  # the later ones are hardly shorter
    padded = sum(len(which) * max(sizes[n] for n in which) for which in batches.order(0))
    assert padded < 1.2 * sum(sizes)


@pytest.mark.parametrize("other", [{"seed": 2}, {"epoch": 1}])
def test_epochs_and_seeds_differ(other):
    """No two epochs have the same batches, nor two seeds the same epochs."""
    examples = examples_of(list(range(1, 40)), by_character=False)
    one = Batches(examples=examples, batch_size=4, seed=1).order(0)
    two = Batches(examples=examples, batch_size=4, seed=other.get("seed", 1)).order(other.get("epoch", 0))
    assert {frozenset(which.tolist()) for which in one} != {frozenset(which.tolist()) for which in two}
    assert [which.tolist() for which in one] != [which.tolist() for which in two]


@given(lengths, st.integers(0, 12))
def test_an_epoch_can_be_entered_at_any_batch(sizes, start):
    """From number `start` on come the same batches as in a whole epoch."""
    batches = Batches(examples=examples_of(sizes, by_character=True), batch_size=2, seed=3)
    whole = [[each.tolist() for each in batch] for batch in batches.batches(1, 0, CPU)]
    assert [[each.tolist() for each in batch] for batch in batches.batches(1, start, CPU)] == whole[start:]


@pytest.mark.parametrize("by_character", [False, True])
def test_a_stretch_is_part_of_its_text(by_character):
    """At least the share that is asked for, with its own labels, another each epoch; all of it where the share is 1."""
    sizes = [1, 2, 3, 7, 20, 61] * 4
    examples = replace(examples_of(sizes, by_character=by_character), ids=np.arange(sum(sizes)))
    batches = Batches(examples=examples, batch_size=5, seed=1, shortest=0.5)
    lengths = set()
    for epoch in range(6):
        for which, batch in zip(batches.order(epoch), batches.batches(epoch, 0, CPU), strict=True):
            for place, (text, length) in enumerate(zip(which.tolist(), batch.lengths.tolist(), strict=True)):
                ids = batch.ids[:length, place].numpy()
                start, stop = examples.bounds[text], examples.bounds[text + 1]
                assert start <= ids[0]
                assert ids[-1] < stop
                assert (np.diff(ids) == 1).all()
                assert (stop - start) / 2 <= length
                expected = examples.labels[ids] if by_character else examples.labels[text]
                found = batch.labels[:length, place] if by_character else batch.labels[place]
                assert (np.where(expected == UNLABELLED, NO_LABEL, expected.astype(np.int64)) == found.numpy()).all()
                lengths.add((text, length))
    assert len(lengths) > 2 * len(sizes)


def test_some_characters_are_not_read():
    """About the share that is asked for becomes the symbol that says so, the others stay, and each epoch other ones."""
    examples = examples_of([50] * 40, by_character=False)
    examples = replace(examples, ids=np.full(len(examples.ids), 3))
    batches = Batches(examples=examples, batch_size=8, seed=1, num_unread=0.2, unread=5)
    first, second = (torch.cat([batch.ids[:50] for batch in batches.batches(epoch, 0, CPU)], dim=1) for epoch in (0, 1))
    assert set(first.unique().tolist()) == {3, 5}
    assert (first == 5).float().mean().item() == pytest.approx(0.2, abs=0.025)  # three standard errors
    assert not torch.equal(first, second)


def test_every_random_choice_has_numbers_of_its_own(monkeypatch):
    """The order of an epoch and what is read of each of its batches: a seed that only lacks zeros at its end is the same."""
    seeds: list[tuple[int, ...]] = []
    real = np.random.default_rng

    def default_rng(seed: tuple[int, ...]) -> np.random.Generator:
        seeds.append(seed)
        return real(seed)

    monkeypatch.setattr(np.random, "default_rng", default_rng)
    batches = Batches(examples=examples_of([7] * 12, by_character=False), batch_size=3, seed=1, shortest=0.5)
    for epoch in range(3):
        list(batches.batches(epoch, 0, CPU))
    drawn = {np.random.Generator.random(real(seed)) for seed in seeds}
    assert len(drawn) == len(seeds) == 3 * (1 + batches.batches_per_epoch)
