"""Models learn: what is tested piece by piece elsewhere works when put together."""

import json

import pytest

from tests.conftest import AUSTEN, CELLS


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_learns_a_text_that_repeats_itself(charlm, tmp_path, cell):
    """A text without surprises ends up costing next to nothing, and argmax recites it."""
    (tmp_path / "t.txt").write_text("the quick brown fox. " * 300)
    small = ("--hidden-size", "32", "--embedding-size", "8", "--batch-size", "8", "--seq-len", "32", "--dropout", "0")
    result = charlm("train", "t.txt", "--cell", cell, *small, "--max-steps", "250", "--precision", "fp32", "--json")
    done = json.loads(result.out.splitlines()[-1])
    assert done["validation_nats"] < 0.1  # the first characters, read from a zero state, cannot be known
    assert charlm("sample", "--argmax", "--prompt", "the quick", "--length", "12").text == "the quick brown fox. "


@pytest.mark.slow
def test_a_minute_of_english_beats_what_frequencies_alone_can_say(charlm):
    """150 small steps on the shipped corpus predict better than any count of single letters or of pairs could."""
    result = charlm("train", AUSTEN, "--hidden-size", "96", "--max-steps", "150", "--json")
    assert result.status == 0
    text = AUSTEN.read_text()
    assert json.loads(result.out.splitlines()[-1])["validation_nats"] < conditional_entropy(text)


def conditional_entropy(text: str) -> float:
    """Nats per character of the next character given the one before it, by counts over the whole text."""
    from collections import Counter
    from itertools import pairwise
    from math import log

    pairs, singles = Counter(pairwise(text)), Counter(text[:-1])
    return -sum(count * log(count / singles[first]) for (first, _), count in pairs.items()) / (len(text) - 1)
