"""`charlm eval`: its score is the exact one, its forms agree, and each character is shown with its surprise."""

import json
import math
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from charlm.checkpoint.model import load_model, save_model
from charlm.display.terminal import BLOCKS
from charlm.errors import counted
from charlm.model.stepper import Stepper
from charlm.text.spelling import BYTE0
from tests.commands import TEXT, is_error, on_terminal, trained

LINE = "the mat sat on the cat.\nthat\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of TEXT, not quite untrained."""
    return str(trained(tmp_path_factory.mktemp("text"), TEXT, "--max-steps", "40"))


def surprises(model: str, text: str) -> list[float]:
    """What each character but the first costs, one step at a time, the softmax in float64 NumPy."""
    network, card = load_model(Path(model) / "model.safetensors", torch.device("cpu"))
    ids = [card.vocab.symbols.index(ord(character)) for character in text]
    state, nats = network.initial_state(1), []
    with torch.inference_mode():
        for this, following in pairwise(ids):
            logits, state = Stepper(network).step(torch.tensor([this]), state)
            scores = logits[0].double().numpy()
            nats.append(float(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[following]))
    return nats


def test_scores_are_those_of_a_character_by_character_computation(charlm, model, tmp_path: Path):
    """eval --json has exactly the names that other programs rely on, and the mean of what each character costs."""
    (tmp_path / "e.txt").write_text(LINE)
    result = charlm("eval", "e.txt", "-c", model, "--json")
    assert result.status == 0
    assert result.text.count("\n") == 1
    score = json.loads(result.text)
    assert {"nats_per_char", "bits_per_char", "perplexity", "characters"} <= set(score)
    expected = sum(surprises(model, LINE)) / (len(LINE) - 1)
    assert score["characters"] == len(LINE) - 1
    assert score["nats_per_char"] == pytest.approx(expected, abs=1e-5)
    assert score["bits_per_char"] == pytest.approx(score["nats_per_char"] / math.log(2), rel=1e-12)
    assert score["perplexity"] == pytest.approx(math.exp(score["nats_per_char"]), rel=1e-12)


def test_the_line_for_people_has_the_same_numbers(charlm, model, tmp_path: Path):
    """Without --json there is one line on standard output."""
    (tmp_path / "e.txt").write_text(LINE)
    score = json.loads(charlm("eval", "e.txt", "-c", model, "--json").text)
    result = charlm("eval", "e.txt", "-c", model)
    assert result.text.count("\n") == 1
    assert f"{score['nats_per_char']:.4f} nats/char" in result.text
    assert f"{score['bits_per_char']:.4f} bits/char" in result.text
    assert f"{score['perplexity']:.3f}" in result.text
    assert result.err == ""


def test_a_dynamic_score_is_named_as_one_and_leaves_the_model_alone(charlm, model, tmp_path: Path):
    """A repeating text costs less than statically; both forms of the output say which score it is; the file is what it was."""
    (tmp_path / "e.txt").write_text(LINE * 60)
    before = (Path(model) / "model.safetensors").read_bytes()
    static, dynamic = (json.loads(charlm("eval", "e.txt", "-c", model, "--json", *more).text) for more in ((), ("--dynamic",)))
    assert (static["dynamic"], dynamic["dynamic"]) == (False, True)
    assert dynamic["nats_per_char"] < static["nats_per_char"]
    shown = charlm("eval", "e.txt", "-c", model, "--dynamic").text
    assert shown.startswith(f"dynamic evaluation: {dynamic['nats_per_char']:.4f} nats/char")
    assert (Path(model) / "model.safetensors").read_bytes() == before


def test_files_folders_and_standard_input_are_one_text(charlm, model, tmp_path: Path):
    """A text scores the same from a file, from several, from a folder and from a pipe; files are joined by a newline."""
    (tmp_path / "d").mkdir()
    (tmp_path / "e.txt").write_text(LINE)
    first, rest = LINE.split("\n", 1)
    (tmp_path / "d" / "1.txt").write_text(first)
    (tmp_path / "d" / "2.txt").write_text(rest)
    outputs = {
        charlm("eval", "e.txt", "-c", model, "--json").out,
        charlm("eval", "d/1.txt", "d/2.txt", "-c", model, "--json").out,
        charlm("eval", "d", "-c", model, "--json").out,
        charlm("eval", "-", "-c", model, "--json", stdin=LINE.encode()).out,
    }
    assert len(outputs) == 1
    assert next(iter(outputs)) != b""


def test_an_empty_file_is_joined_with_nothing(charlm, model, tmp_path: Path):
    """A newline stands between texts, and where there is none it has no place."""
    for name, text in (("1.txt", "the cat"), ("2.txt", ""), ("3.txt", "the mat")):
        (tmp_path / name).write_text(text)
    outputs = {charlm("eval", *names, "-c", model, "--json").out for names in (["1.txt", "2.txt", "3.txt"], ["1.txt", "3.txt"])}
    (only,) = outputs
    assert json.loads(only)["characters"] == len("the cat\nthe mat") - 1


@pytest.mark.parametrize(("separator", "joint"), [("--", "--"), (r"\n", "\n"), ("", "")])
def test_files_are_joined_as_the_model_s_own_were(charlm, tmp_path: Path, separator, joint):
    """What was named to stand between files stands between any two, whether or not the first ends in a newline."""
    folder = str(trained(tmp_path, TEXT.replace(".", "-"), "--separator", separator))
    for first in ("the mat", "the mat\n"):
        (tmp_path / "1.txt").write_text(first)
        (tmp_path / "2.txt").write_text("sat on\n")
        several = charlm("eval", "1.txt", "2.txt", "-c", folder, "--json")
        assert several.status == 0, several.err
        assert several.out == charlm("eval", "-", "-c", folder, "--json", stdin=f"{first}{joint}sat on\n".encode()).out


def test_an_unseen_character_is_named_with_its_place(charlm, model):
    """A character that the model does not know is an error with its code point and position."""
    is_error(charlm("eval", "-", "-c", model, stdin="the zoo é".encode()), 1, "'z'", "U+007A", "position 4")


def test_skipped_characters_are_counted(charlm, model):
    """--unknown skip scores what is left, and says how much was not."""
    result = charlm("eval", "-", "-c", model, "--unknown", "skip", "--json", stdin="théze 🎉cat".encode())
    assert result.status == 0
    assert "left out: 3 characters" in result.err
    score = json.loads(result.text)
    assert score == {**json.loads(charlm("eval", "-", "-c", model, "--json", stdin=b"the cat").text), "skipped": 3}


@pytest.mark.parametrize("contents", [b"", b"t"])
def test_a_text_without_a_prediction_is_an_error(charlm, model, contents):
    """At least two characters are needed."""
    is_error(charlm("eval", "-", "-c", model, stdin=contents), 1, f"has {counted(len(contents), 'character')}")


def test_a_text_of_nothing_known_is_an_error(charlm, model):
    """Where every character is skipped there is nothing to score."""
    result = charlm("eval", "-", "-c", model, "--unknown", "skip", stdin=b"QQQQ")
    assert result.status == 1
    assert result.err.splitlines()[-1].startswith("charlm: error: ")


def test_other_bad_texts_are_one_line_of_error(charlm, model, tmp_path: Path):
    """A missing file, invalid UTF-8 and an empty folder are errors that say which."""
    (tmp_path / "empty").mkdir()
    is_error(charlm("eval", "nope.txt", "-c", model), 1, "nope.txt")
    is_error(charlm("eval", "empty", "-c", model), 1, "empty")
    is_error(charlm("eval", "-", "-c", model, stdin=b"the\xff"), 1, "offset 3", "line 1")


def test_each_character_stands_over_a_block_of_its_surprise(charlm, model):
    """Piped, --per-character has under each line of text a line of blocks, as high as the surprise."""
    result = charlm("eval", "-", "-c", model, "--per-character", stdin=LINE.encode())
    assert result.status == 0
    rows = result.text.split("\n")[:-1]
    texts, blocks = rows[::2], rows[1::2]
    assert [text.replace("⏎", "") for text in texts] == LINE.splitlines()
    assert len(texts) == len(blocks)
    levels = [round(min(nats, 8.0)) for nats in [0.0, *surprises(model, LINE)]]
    shown = [BLOCKS.index(block) for text, row in zip(texts, blocks, strict=True) for block in row.ljust(len(text))]
    assert len(shown) == len(LINE)
    assert sum(mine == theirs for mine, theirs in zip(shown[1:], levels[1:], strict=True)) >= len(LINE) - 2
    assert len(set(shown)) > 1


def test_the_score_stands_beside_the_coloured_text(charlm, model):
    """With --per-character the numbers go to standard error."""
    score = json.loads(charlm("eval", "-", "-c", model, "--json", stdin=LINE.encode()).text)
    result = charlm("eval", "-", "-c", model, "--per-character", stdin=LINE.encode())
    assert f"{score['nats_per_char']:.4f} nats/char" in result.err
    assert "nats/char" not in result.text


def test_a_terminal_gets_colours_unless_it_asks_for_none(model, tmp_path: Path):
    """On a terminal surprise is a background colour; with NO_COLOR it is blocks."""
    (tmp_path / "e.txt").write_text(LINE)
    coloured = on_terminal("eval", "e.txt", "-c", model, "--per-character", NO_COLOR="", COLORTERM="truecolor")
    assert "\x1b[" in coloured
    assert "48;2;" in coloured
    plain = on_terminal("eval", "e.txt", "-c", model, "--per-character", NO_COLOR="1")
    assert "\x1b" not in plain
    assert set(BLOCKS[1:]) & set(plain)


def test_hostile_text_is_shown_and_not_obeyed(charlm, tmp_path: Path):
    """Control characters and markup in a scored text are shown as what they are."""
    hostile = "\x1b[31mred[/nope]\x07\u202e\n" * 30
    folder = trained(tmp_path, hostile)
    result = charlm("eval", "-", "-c", str(folder), "--per-character", stdin=(hostile[:20] * 2).encode())
    assert result.status == 0, result.err
    assert "\x1b" not in result.text
    assert "␛[31mred[/nope]␇" in result.text


def test_bytes_are_scored_as_bytes(charlm, tmp_path: Path):
    """A model of bytes scores any file, byte by byte."""
    folder = trained(tmp_path, bytes(range(256)) * 4, "--symbols", "byte")
    score = json.loads(charlm("eval", "-", "-c", str(folder), "--json", stdin=b"\xff\xfe\x00\x80abc").text)
    assert score["characters"] == 6
    shown = charlm("eval", "-", "-c", str(folder), "--per-character", stdin="né\n".encode())
    assert shown.status == 0
    assert "né" in shown.text


def test_a_character_that_is_spelt_costs_all_its_bytes(charlm, tmp_path: Path):
    """Over its block it has their sum; the characters of a word share what the word costs."""
    folder = trained(tmp_path, "one two\n" * 60, "--symbols", "word")
    network, card = load_model(folder / "model.safetensors", torch.device("cpu"))
    costs = {0xC3: 3.0, 0xA9: 2.0, 0xB6: 1.0, "two": 6.0, " ": 4.0}  # nats, whatever came before
    numbers = [
        card.vocab.numbers[BYTE0 + each if isinstance(each, int) else ord(each) if each == " " else each] for each in costs
    ]
    network.head.weight.data.zero_()
    network.head.bias.data.fill_(-30.0)
    network.head.bias.data[numbers] = -torch.tensor(list(costs.values()))
    network.head.bias.data[card.vocab.start] = math.log(1 - sum(math.exp(-cost) for cost in costs.values()))
    save_model(folder / "model.safetensors", network, card)
    shown = charlm("eval", "-", "-c", str(folder), "--per-character", stdin="two é two ö".encode())
    assert shown.status == 0, shown.err
    text, blocks = shown.text.splitlines()
    assert text == "two é two ö"
    assert [BLOCKS.index(block) for block in blocks.ljust(len(text))] == [0, 0, 0, 4, 5, 4, 2, 2, 2, 4, 4]
    assert f"{(3 * 4 + 6 + 5 + 4) / 8:.4f} nats/char" in shown.err


def test_unseen_characters_are_counted_in_the_error(charlm, model):
    """The first is named, and all are counted."""
    is_error(charlm("eval", "-", "-c", model, stdin="thé cat Q sat Q".encode()), 1, "U+00E9", "position 2", "3 such characters")


def test_whoever_watches_sees_characters_come(charlm, model, monkeypatch):
    """On a terminal losses come for a screenful at a time; a pipe waits for whole chapters, which are read sooner."""
    from charlm import evaluation
    from charlm.cli import evaluate

    class Terminal:
        def isatty(self) -> bool:
            return True

        def __getattr__(self, name: str) -> object:
            return getattr(sys.stdout, name)

    asked, real = [], evaluation.surprisals
    monkeypatch.setattr(evaluation, "surprisals", lambda *given: asked.append(given[-1]) or real(*given))
    charlm("eval", "-", "-c", model, "--per-character", stdin=LINE.encode())
    monkeypatch.setattr(evaluate, "sys", SimpleNamespace(stdout=Terminal(), stderr=sys.stderr))
    charlm("eval", "-", "-c", model, "--per-character", stdin=LINE.encode())
    assert asked == [evaluation.CHAPTER, evaluate.WATCHED]


FILMS = "".join(f"{'a fine' if n % 2 else 'no good'} film, number {n}\t{'good' if n % 2 else 'bad'}\n" for n in range(60))
PROSE = "".join(f"The cat, {n} times, sat; on the mat.\nWho knows? Not I!\n" for n in range(90))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run that learned labels of texts, and one that restores spaces."""
    more = ["--seq-len", "40", "--max-steps", "30"]
    return {
        "films": trained(tmp_path_factory.mktemp("films"), FILMS, "--task", "classify", *more, name="t.tsv"),
        "spaces": trained(tmp_path_factory.mktemp("spaces"), PROSE, "--restore", "spaces", *more),
    }


@pytest.mark.parametrize("name", ["films", "spaces"])
def test_without_a_text_the_test_part_is_scored_as_at_the_end_of_training(charlm, labelled, name):
    """The same numbers as the run's last row has, and as the model's card."""
    result = charlm("eval", "-c", labelled[name], "--json")
    assert result.status == 0
    assert result.err == f"texts: the test part of its own, from {labelled[name] / 'examples.bin'}\n"
    score = json.loads(result.text)
    assert score == json.loads((labelled[name] / "metrics.jsonl").read_text().splitlines()[-1])["test"]
    test = json.loads(charlm("info", "-c", labelled[name], "--json").text)["scores"]["test"]
    assert test["accuracy"] == score["accuracy"]["value"]
    assert test["macro_f1"] == score["macro_f1"]["value"]
    assert len(score["baselines"]) == 2


def test_a_labelled_file_is_scored_by_what_predict_says(charlm, labelled, tmp_path):
    """Accuracy and the confusion matrix are those of the labels that `charlm predict` gives the same file."""
    (tmp_path / "t.tsv").write_text(FILMS)
    score = json.loads(charlm("eval", "t.tsv", "-c", labelled["films"], "--json").text)
    true = [line.split("\t")[1] for line in FILMS.splitlines()]
    found = [line.split("\t")[0] for line in charlm("predict", "t.tsv", "-c", labelled["films"]).text.splitlines()]
    pairs = list(zip(true, found, strict=True))
    names = [each["label"] for each in score["labels"]]
    assert score["confusion"] == [[pairs.count((one, other)) for other in names] for one in names]
    assert score["accuracy"]["value"] == pytest.approx(sum(one == other for one, other in pairs) / 60)
    assert [each["support"] for each in score["labels"]] == [true.count(name) for name in names]
    assert score["texts"] == 60
    swapped = "".join(f"{line.split(chr(9))[1]}\t{line.split(chr(9))[0]}\n" for line in FILMS.splitlines())
    again = charlm("eval", "-", "-c", labelled["films"], "--columns", "text=2,label=1", "--json", stdin=swapped.encode())
    assert json.loads(again.text) == score


def test_any_text_scores_a_model_that_restores(charlm, labelled, tmp_path):
    """What is scored are the labels that stand for what was taken out of it."""
    (tmp_path / "p.txt").write_text(PROSE)
    score = json.loads(charlm("eval", "p.txt", "-c", labelled["spaces"], "--json").text)
    by_name = {each["label"]: each for each in score["labels"]}
    assert by_name["1 space"]["support"] == PROSE.count(" ")
    assert score["labelled"] == len(PROSE) - PROSE.count(" ")
    assert score["words"] == len(PROSE.split())


def test_people_see_tables(charlm, labelled):
    """The model beside its baselines, each label, and what is taken for what; a model alone is said to be alone."""
    out = charlm("eval", "-c", labelled["films"]).text
    for shown in ("this model", "majority", "n-grams", "support", "a row for each true label"):
        assert shown in out
    (labelled["films"] / "baselines.safetensors").rename(labelled["films"] / "elsewhere")
    alone = charlm("eval", "-c", labelled["films"])
    (labelled["films"] / "elsewhere").rename(labelled["films"] / "baselines.safetensors")
    assert "majority" not in alone.text
    assert "no baselines.safetensors lies beside the model, so its scores stand alone\n" in alone.err
    assert "this model" in alone.text


def test_texts_that_are_read_in_part_are_said_to_be(charlm, labelled):
    """How many are longer than what the model reads goes to standard error."""
    text = f"{'a film ' * 9}\tgood\nfine\tgood\n{'x' * 41}\tbad\n{'x' * 40}\tbad\n"
    result = charlm("eval", "-", "-c", labelled["films"], stdin=text.encode())
    assert result.err == "2 texts longer than the 40 characters that the model reads: it reads the beginning\n"


@pytest.mark.parametrize(
    ("name", "arguments", "stdin", "status", "fragment"),
    [
        ("films", ["-"], b"fine\tgood\nfine\tgreat\n", 1, "standard input, line 2: the model has no label 'great'"),
        ("films", ["-"], b"fine\xff\tgood\n", 1, "line 1. Try --encoding"),
        ("films", ["-"], b"fine\n", 1, "standard input, line 1: no tab"),
        ("films", ["-"], b"", 1, "standard input has no labelled text"),
        ("films", ["t.conllu"], b"", 1, "is a treebank. Give a file with labels"),
        ("films", ["--per-character"], b"", 2, "--per-character was given"),
        ("films", ["--dynamic"], b"", 2, "--dynamic was given"),
        ("films", ["-", "--unknown", "skip"], b"", 2, "--unknown skip was given"),
        ("films", ["--columns", "text=1,label=2"], b"", 2, "--columns was given without a file"),
        ("films", ["-", "--columns", "text=1"], b"", 2, "does not say which is the label"),
        ("spaces", ["-", "--columns", "text=1,label=2"], b"x", 2, "the model restores any text"),
    ],
)
def test_what_does_not_fit_a_model_of_labels_is_one_line(charlm, labelled, tmp_path, name, arguments, stdin, status, fragment):
    """It names the option or the line, and says what to do."""
    (tmp_path / "t.conllu").write_text("x")
    result = charlm("eval", *arguments, "-c", labelled[name], stdin=stdin)
    is_error(result, status, fragment.partition(". Give")[0].replace("is a treebank", "is a treebank, whose labels"))


def test_a_language_model_needs_a_text_and_no_columns(charlm, model):
    """Without a text there is nothing to score it on."""
    is_error(charlm("eval", "-c", model), 2, "Missing argument 'TEXT...'")
    is_error(charlm("eval", "-", "-c", model, "--columns", "text=1,label=2", stdin=b"the"), 2, "--columns was given")


def test_a_model_without_its_run_needs_a_file(charlm, labelled, tmp_path):
    """What is shared without its texts has no test part; baselines of another run are refused."""
    (tmp_path / "m.safetensors").write_bytes((labelled["films"] / "model.safetensors").read_bytes())
    is_error(charlm("eval", "-c", "m.safetensors"), 1, "not beside it")
    (tmp_path / "baselines.safetensors").write_bytes((labelled["spaces"] / "baselines.safetensors").read_bytes())
    is_error(charlm("eval", "-", "-c", "m.safetensors", stdin=b"fine\tgood\n"), 1, "is of another run")
