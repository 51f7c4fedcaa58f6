"""Scores of labels as people see them on a terminal, and as programs read them."""

import io
import json
import re

import numpy as np
import pytest
from rich.cells import cell_len

from charlm.display.labels import headline, show_confusion, show_each, show_labels, show_scores
from charlm.labelling.judge import Scored, as_json
from charlm.labelling.metrics import Interval, LabelReport, label_scores

HOSTILE = "\x1b[2J\x9b\u202e[/nope][bold]\0\r\n\t\ud800" + "x" * 1000


class Screen(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns without colours."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name, value in (("TERM", "xterm-256color"), ("NO_COLOR", "1"), ("COLUMNS", "80"), ("LINES", "24")):
        monkeypatch.setenv(name, value)


def report(confusion: np.ndarray, *, by_word: bool = False) -> LabelReport:
    true = confusion.sum()
    return LabelReport(
        num_texts=1234,
        num_labelled=int(true),
        accuracy=Interval(value=confusion.trace() / true, low=0.7612, high=0.8434),
        macro_f1=Interval(value=0.75, low=0.7, high=0.8),
        labels=label_scores(confusion),
        confusion=confusion,
        by_character=by_word,
        num_words=567 if by_word else 0,
        word_accuracy=Interval(value=0.5, low=0.25, high=0.625) if by_word else None,
    )


def confused(number: int, most: int = 9, seed: int = 0) -> np.ndarray:
    """A confusion matrix of `number` labels, all of which occur."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, most, (number, number)) + np.diag(np.full(number, most))


def plain(file: io.StringIO) -> str:
    """What was written, without bold and dim, which are all the sequences that may be."""
    return re.sub(r"\x1b\[[012]?m", "", file.getvalue())


BASELINES = (
    Scored(name="longest words", about="from left to right the longest word seen", report=report(confused(3), by_word=True)),
    Scored(name="majority", report=report(confused(3))),
)


@pytest.mark.parametrize("make", [Screen, io.StringIO])
@pytest.mark.parametrize(("number", "most"), [(2, 10**7), (3, 5), (20, 99), (21, 99), (26, 9), (40, 5), (300, 3)])
@pytest.mark.parametrize("by_word", [False, True])
def test_nothing_is_wider_than_80_columns(make, number, most, by_word):
    """However many labels there are, wide and long names too, on a screen as in a pipe; no row is folded."""
    file = make()
    labels = [f"言語{each}" + "-long" * (each % 7) for each in range(number)]
    show_labels(file, labels, report(confused(number, most), by_word=by_word), BASELINES)
    rows = plain(file).split("\n")
    assert max(map(cell_len, rows)) <= 80
    assert len([row for row in rows if re.match(r" 言語\d+.* [01]\.\d{3} +[01]\.\d{3}", row)]) == number


def test_scores_stand_beside_the_baselines():
    """Each in one row with its bounds; by word where any has it; the headline says of how much."""
    file = io.StringIO()
    confusion = np.array([[8, 2], [1, 9]])
    show_scores(file, report(confusion, by_word=True), BASELINES)
    rows = [row.split() for row in plain(file).split("\n")]
    assert plain(file).startswith("accuracy 0.850, by word 0.500, macro-F1 0.750; 20 characters, 567 words\n")
    bounds = ["0.761–0.843", "0.750", "0.700–0.800"]
    assert ["this", "model", "0.850", *bounds, "0.500", "0.250–0.625"] in rows
    share = f"{confused(3).trace() / confused(3).sum():.3f}"
    assert ["longest", "words", share, *bounds, "0.500", "0.250–0.625"] in rows
    assert ["majority", share, *bounds] in rows
    assert "95 % of the scores of 1,234 texts drawn" in plain(file)
    assert "longest words: from left to right the longest word seen" in plain(file)
    assert headline(report(confusion)) == "accuracy 0.850, macro-F1 0.750; 20 texts"


def test_each_label_has_its_row():
    """Precision, recall, F1 and support; what neither occurs nor is predicted is only counted."""
    file = io.StringIO()
    confusion = np.zeros((4, 4), dtype=np.int64)
    confusion[:2, :2] = [[3000, 1000], [0, 500]]
    confusion[0, 3] = 1
    show_each(file, ["no", "yes", "never", "only predicted"], report(confusion))
    rows = [row.split() for row in plain(file).split("\n")]
    assert ["no", "1.000", "0.750", "0.857", "4,001"] in rows
    assert ["yes", "0.333", "1.000", "0.500", "500"] in rows
    assert ["only", "predicted", "0.000", "0.000", "0.000", "0"] in rows
    assert "never" not in plain(file).split("\n", 6)[5]
    assert "1 label not shown: neither true nor predicted here" in plain(file)


def cells(file: io.StringIO) -> list[list[str]]:
    return [row.split() for row in plain(file).split("\n")[1:] if row]


def test_a_small_confusion_matrix_has_names_over_its_columns():
    """Rows are true labels; the diagonal is marked; 0 is a dot."""
    file = io.StringIO()
    show_confusion(file, ["neg", "pos"], report(np.array([[344, 64], [0, 366]])))
    assert cells(file) == [["neg", "pos"], ["neg", "*344", "64"], ["pos", "·", "*366"]]


@pytest.mark.parametrize("most", [9, 40])
def test_a_large_confusion_matrix_has_letters(most):
    """Twenty labels fit 80 columns, each with the letter of its column before its name; every count can be read off."""
    file = Screen()
    confusion = confused(20, most)
    show_confusion(file, [f"language{number}" for number in range(20)], report(confusion))
    heads, *rows = cells(file)
    assert "".join(heads) == "abcdefghijklmnopqrst"
    assert [row[:2] for row in rows] == [[letter, f"language{number}"] for number, letter in enumerate(heads)]
    read = [re.findall(r"\*?\d+|·", " ".join(row[2:])) for row in rows]
    found = [[int(count.replace("·", "0").removeprefix("*")) for count in row] for row in read]
    np.testing.assert_array_equal(found, confusion)
    marked = [[count.startswith("*") for count in row] for row in read]
    np.testing.assert_array_equal(marked, np.eye(20, dtype=bool))


def test_where_the_matrix_is_too_wide_the_most_frequent_confusions_are_listed():
    """The twenty commonest, with how often, and in how many of the true ones."""
    file = Screen()
    confusion = np.diag(np.full(60, 90))
    confusion[5, 7], confusion[7, 5] = 30, 10
    confusion[20, 30:59] = 1
    show_confusion(file, [f"label{number}" for number in range(60)], report(confusion))
    assert "labels taken for others, the 20 most frequent of 31:" in plain(file)
    rows = cells(file)[2:]
    assert rows[:2] == [["label5", "label7", "30", "25.0%"], ["label7", "label5", "10", "10.0%"]]
    assert [row[1:] for row in rows[2:]] == [[f"label{number}", "1", "0.8%"] for number in range(30, 48)]


def test_where_nothing_is_confused_that_is_said():
    """In a line, and no table."""
    file = io.StringIO()
    show_confusion(file, [f"a long name {number}" for number in range(60)], report(np.diag(np.full(60, 3))))
    assert plain(file) == "no label is taken for another\n"


@pytest.mark.parametrize("number", [2, 60])
def test_hostile_names_are_harmless(number):
    """No label or baseline reaches a terminal alive, nor is it markup, nor makes lines of its own, nor is it long."""
    file = Screen()
    labels = [f"{HOSTILE}{each}" for each in range(number)]
    hostile = Scored(name=HOSTILE[:40], about=HOSTILE[:40], report=report(confused(number)))
    show_labels(file, labels, report(confused(number)), [hostile])
    assert all(character.isprintable() or character == "\n" for character in plain(file))
    assert "[/nope" in plain(file)
    show_confusion(again := Screen(), labels, report(confused(number)))
    assert max(map(cell_len, plain(again).split("\n"))) <= 80


def test_json_has_all_of_it():
    """Plain values that JSON can write, without NaN: scores with their bounds, each label, the confusion, the baselines."""
    confusion = np.array([[8, 2], [1, 9]])
    found = json.loads(json.dumps(as_json(["no", "yes"], report(confusion), BASELINES), allow_nan=False))
    assert found["accuracy"] == {"value": 0.85, "low": 0.7612, "high": 0.8434}
    assert found["macro_f1"] == {"value": 0.75, "low": 0.7, "high": 0.8}
    assert (found["word_accuracy"], found["words"], found["texts"], found["labelled"]) == (None, 0, 1234, 20)
    assert found["labels"][1] == {
        "label": "yes",
        "precision": pytest.approx(9 / 11),
        "recall": 0.9,
        "f1": pytest.approx(18 / 21),
        "support": 10,
    }
    assert found["confusion"] == [[8, 2], [1, 9]]
    assert [each["name"] for each in found["baselines"]] == ["longest words", "majority"]
    assert found["baselines"][0]["word_accuracy"] == {"value": 0.5, "low": 0.25, "high": 0.625}
