"""Features of texts in many scripts and formats are what a person says they are."""

import numpy as np
import pytest

from charlm.features.registry import FEATURES
from tests.features.hand import GROUPS, Case, cases

CASES = {f"{group}-{case.name}": case for group in GROUPS for case in cases(group)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_labels_are_those_given_by_hand(case: Case):
    """Every character of every text has the labels that a person gave it, and no others."""
    for name, expected in case.labels.items():
        labels = FEATURES[name].label(case.text)
        found = labels == 1 if name == "position_in_sentence" else labels
        np.testing.assert_array_equal(found, expected, f"{name} of {case.text!r}")


def test_there_are_cases_of_all_kinds():
    """Ten of each kind that was filed, of all scripts and formats; and each feature holds somewhere, and not everywhere."""
    for group in GROUPS:
        few = {"quoted_code": 6, "elements": 6}.get(group, 10)
        assert sum(name.startswith(f"{group}-") for name in CASES) >= few
    for feature in {feature for features in GROUPS.values() for feature in features}:
        labels = np.concatenate([case.labels[feature] for case in CASES.values() if feature in case.labels])
        assert 50 < np.count_nonzero(labels) < len(labels) - 50


@pytest.mark.parametrize("case", cases("formats") + cases("readmes"), ids=lambda case: case.name)
def test_line_ends_of_windows_change_nothing(case: Case):
    r"""With \r\n for \n every other character keeps its labels."""
    read = case.text.replace("\n", "\r\n")
    is_kept = np.array([character != "\r" for character in read])
    for name in case.labels:
        labels, expected = FEATURES[name].label(read)[is_kept], FEATURES[name].label(case.text)
        if name == "position_in_sentence":
            labels, expected = labels == 1, expected == 1
        np.testing.assert_array_equal(labels, expected, f"{name} of {read!r}")


@pytest.mark.parametrize("case", cases("readmes"), ids=lambda case: case.name)
def test_many_texts_in_a_row_are_read_as_one(case: Case):
    """Thirty times the same README has thirty times its labels."""
    for name, expected in case.labels.items():
        labels = FEATURES[name].label((case.text + "\n") * 30).reshape(30, -1)
        np.testing.assert_array_equal(labels[:, :-1], np.broadcast_to(expected, (30, len(expected))), name)
