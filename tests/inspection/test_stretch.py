"""Where a clamped unit is followed."""

import numpy as np
import pytest

from charlm.features.labels import Labels
from charlm.inspection.stretch import stretch_of, top_level
from tests.conftest import new_model
from tests.inspection.reference import given, letters, random_ids, read, walk


@pytest.mark.parametrize(("first", "last"), [(700, 760), (0, 30), (1900, 2000)])
def test_clamped_is_where_a_feature_is_both_present_and_absent(first, last):
    """The stretch has as much of both as any that begins at a lane's head, and begins in the state that the model has there."""
    model, ids, steps = new_model("lstm", 2).double(), random_ids(2000), 150
    is_present = (np.arange(2000) >= first) & (np.arange(2000) < last)
    text = read(model, ids)
    found = stretch_of(Labels(ids, letters(13), [given("here", is_present)]), text, steps)
    stretch, found = found.text, found.is_present
    start = stretch.start
    assert stretch.stop == start + steps + 1
    np.testing.assert_array_equal(stretch.ids.t().flatten()[: steps + 1], ids[start : start + steps + 1])
    np.testing.assert_array_equal(found, is_present[start : start + steps])
    entries = range(0, 2000 - steps, len(text.chapters[0].ids))
    lesser = [min(part.sum(), (~part).sum()) for part in (is_present[head : head + steps] for head in entries)]
    assert min(found.sum(), (~found).sum()) == max(lesser) > 0
    before = walk(model, ids).signals
    for layer, (h, c) in enumerate(stretch.entries):
        expected = [before[layer, part][start - 1] if start else np.zeros(7) for part in "hc"]
        np.testing.assert_allclose([h[0], c[0]], expected, atol=1e-10)


def test_where_nothing_differs_nothing_is_clamped():
    """A stretch that is all present or all absent is no stretch; a pair without one is confirmed at most."""
    model, ids = new_model("gru", 1), random_ids(2000)
    for label in (np.zeros(2000), np.ones(2000)):
        assert stretch_of(Labels(ids, letters(13), [given("same", label)]), read(model, ids), 100) is None


@pytest.mark.parametrize("levels", [[3, 1, 1, 2], [0] * 9 + [5], [2] * 10, [0, 1] * 8, list(range(100)), [7, 7, 7, 1]])
def test_a_graded_features_top_is_at_most_a_quarter_where_it_can_be(levels):
    """It begins at the lowest level that a quarter of the characters or fewer reach, else it is the highest."""
    row = np.array(levels)
    reached = {level: (row >= level).mean() for level in levels}
    expected = min((level for level, share in reached.items() if share <= 0.25), default=row.max())
    assert top_level(row) == expected
