"""`charlm inspect-cells` on models that give labels, from the files it reads to what people and programs get."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from charlm.model.heads import Classifier, Tagger
from tests.cli.test_inspect_cells import KEYS, levels_of
from tests.commands import is_error, mood_run
from tests.inspection.labelled import LATCH, NAMES

KINDS = {"classify": Classifier, "tag": Tagger}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each task, a run whose unit 0:4 is known to hold the label; the tagger reads backward too, as by default."""
    return {task: mood_run(tmp_path_factory.mktemp(task), kind) for task, kind in KINDS.items()}


def texts_of(run: Path) -> Path:
    """The file that the run learned from."""
    return run.parent.parent / "moods.tsv"


@pytest.mark.parametrize("task", KINDS)
def test_the_held_out_texts_show_the_cell_that_holds_the_label(charlm, runs, task):
    """Without a TEXT, those of the validation and the test part; as JSON, with the names that programs rely on."""
    result = charlm("inspect-cells", "-c", str(runs[task]), "--json")
    assert result.status == 0, result.err
    assert "the held-out part of its texts" in result.err
    found = {each["feature"]: each for each in json.loads(result.text)["findings"]}
    assert list(found["label=good"]) == KEYS
    assert (found["label=good"]["unit"], found["label=good"]["verdict"]) == (LATCH, "used")
    assert ("label=bad" in found) == (task == "tag")


@pytest.mark.parametrize("task", KINDS)
def test_a_labelled_file_is_read_as_training_read_it(charlm, runs, task):
    """Its labels are features too; one that the model does not have is an error that names file and line."""
    result = charlm("inspect-cells", str(texts_of(runs[task])), "-c", str(runs[task]), "--json", "--max-characters", "0")
    assert "label=good" in {each["feature"] for each in json.loads(result.text)["findings"]}
    Path("other.tsv").write_text("ab\tgood\nba\tugly\n" if task == "classify" else "a\tgood\nb\tugly\n")
    is_error(charlm("inspect-cells", "other.tsv", "-c", str(runs[task])), 1, "other.tsv, line", "ugly")


@pytest.mark.parametrize("task", KINDS)
@pytest.mark.parametrize("name", ["plain.txt", "-"])
def test_a_plain_text_is_a_text_a_line_without_labels(charlm, runs, task, name):
    """Only the features of texts are looked for, which is said; tabs and unknown characters are characters."""
    text = "".join(f"aab[abbab{'ba' * (number % 9)}\tgood é\r\n\n" for number in range(150))
    Path("plain.txt").write_text(text, encoding="utf-8", newline="")
    result = charlm("inspect-cells", name, "-c", str(runs[task]), "--json", stdin=text.encode())
    assert result.status == 0, result.err
    assert "no labels are looked for" in result.err
    names = {each["feature"] for each in json.loads(result.text)["findings"]}
    assert "column" in names
    assert not [each for each in names if each.startswith("label=")]


def test_what_is_shown_is_the_file_in_the_units_colours(charlm, runs):
    """Each text on a line, with its label in the colour of its end; the values are those of the saved activations."""
    file = texts_of(runs["classify"])
    shown = charlm("inspect-cells", str(file), "-c", str(runs["classify"]), "--show", f"0:{LATCH}", "-n", "10000")
    screen = charlm(
        "inspect-cells",
        str(file),
        "-c",
        str(runs["classify"]),
        "--show",
        f"0:{LATCH}",
        "-n",
        "10000",
        "--save-activations",
        "a",
    ).text
    assert shown.text == screen
    written, levels = levels_of(screen)
    assert written == file.read_text()[:10000].replace("\t", "→").replace("\n", "⏎")
    tensors = load_file("a")
    assert tensors["texts"][-1] == 199
    values, place = np.tanh(tensors["layer0.c"][:, LATCH]), 0
    for text, row in enumerate(file.read_text()[:10000].splitlines()[:-1]):
        own = values[tensors["texts"] == text]
        expected = np.append(own, np.full(len(row) + 1 - len(own), own[-1]))
        np.testing.assert_allclose(np.array(levels[place : place + len(expected)]) / 4 - 1, expected, atol=0.13)
        place += len(expected)


def test_a_page_and_gates_are_made_as_ever(charlm, runs):
    """--html writes a page with the labels as what is expected; --gates shows the gates."""
    result = charlm("inspect-cells", "-c", str(runs["tag"]), "--html", "page.html", "--gates")
    assert result.status == 0, result.err
    page = Path("page.html").read_text()
    assert '"hasLabels":true' in page
    assert json.dumps(list(NAMES[Tagger]), separators=(",", ":")) in page
    assert "layer 0, gate f" in result.text


def test_what_makes_no_sense_is_said_in_one_line(charlm, runs):
    """Unknown characters are never skipped; too few texts, none, and texts that are gone are errors."""
    run = str(runs["classify"])
    is_error(charlm("inspect-cells", "-", "-c", run, "--unknown", "skip", stdin=b"ab\n"), 2, "U+FFFD")
    Path("few.tsv").write_text("ab\tgood\nba\tbad\n" * 9)
    is_error(charlm("inspect-cells", "few.tsv", "-c", run), 1, "18 texts")
    result = charlm("inspect-cells", "-", "-c", run, stdin=b"\n\n")
    assert result.status == 1
    assert "no characters" in result.err
    (runs["classify"] / "model.safetensors").rename("alone.safetensors")
    try:
        is_error(charlm("inspect-cells", "-c", "alone.safetensors"), 1, "not beside it")
    finally:
        Path("alone.safetensors").rename(runs["classify"] / "model.safetensors")


def test_only_so_many_characters_are_read_in_whole_texts(charlm, runs):
    """--max-characters ends with the last text that fits, and says that there is more."""
    result = charlm("inspect-cells", "-c", str(runs["classify"]), "--max-characters", "70", "--save-activations", "a")
    assert "only the first 70 of" in result.err
    texts = load_file("a")["texts"]
    assert 1 <= len(set(texts.tolist())) <= 3
    assert 20 <= len(texts) <= 70
