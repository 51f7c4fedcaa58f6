"""`charlm predict`: what it writes is what the model says, whatever the order and however the texts come."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from charlm.checkpoint.model import load_model, save_model
from charlm.config import CorpusConfig
from charlm.labelling.predict import as_read, probabilities
from charlm.text.dataset import read_examples, unlabelled
from charlm.text.restoring import restored, stretches
from tests.commands import COMMAND, TEXT, is_error, on_terminal, running, trained

CPU = torch.device("cpu")
FILMS = "".join(f"{'a fine' if n % 2 else 'no good'} film, number {n}\t{'good' if n % 2 else 'bad'}\n" for n in range(60))
PROSE = "".join(f"The cat, {n} times, sat; on the mat.\nWho knows? Not I!\n" for n in range(60))
TREES = "".join(
    f"1\tCat{n}\t_\tNOUN\t_\t_\t_\t_\t_\t_\n2\tsleeps\t_\tVERB\t_\t_\t_\t_\t_\tSpaceAfter=No\n3\t.\t_\tPUNCT\t_\t_\t_\t_\t_\t_\n\n"
    for n in range(60)
)
LINES = ["a fine film", "no good at all", "", "a film of which much can be said, and more is", " ", "fine", "q 漢字"]

Ask = Callable[..., str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run of each kind, by name."""
    made = {}
    for name, file, text, options in (
        ("classify", "t.tsv", FILMS, ["--task", "classify"]),
        ("bytes", "t.tsv", FILMS, ["--task", "classify", "--symbols", "byte"]),
        ("words", "t.conllu", TREES, []),
        ("spaces", "t.txt", PROSE, ["--restore", "spaces"]),
        ("case", "t.txt", PROSE, ["--restore", "case"]),
        ("punctuation", "t.txt", PROSE, ["--restore", "punctuation"]),
        ("language", "t.txt", TEXT, []),
    ):
        more = [] if name == "language" else ["--seq-len", "40", "--max-steps", "30"]
        made[name] = trained(tmp_path_factory.mktemp(name), text, *options, *more, name=file)
    return made


def said(runs: dict[str, Path], name: str, texts: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """What the model's probabilities are, and the names of the labels."""
    model, card = load_model(runs[name] / "model.safetensors", CPU)
    examples = unlabelled(texts, card.vocab, by_character=model.by_character)
    return probabilities(model, as_read(type(model), examples, card.training.seq_len)), card.labels


@pytest.fixture
def ask(charlm, runs) -> Ask:
    """Ask a model about a text on standard input, or about the file that comes first of more arguments."""

    def run(name: str, text: str | bytes = b"", *arguments: str) -> str:
        file = [] if arguments and not arguments[0].startswith("-") else ["-"]
        raw = text.encode() if isinstance(text, str) else text
        result = charlm("predict", *file, *arguments, "-c", runs[name], stdin=raw)
        assert result.status == 0, result.err
        return result.text

    return run


def test_each_line_gets_its_label_and_probability(ask, runs):
    """In order, an empty line for a blank one, and what is written is what the model says."""
    rows = ask("classify", "\r\n".join(LINES)).split("\n")
    assert rows.pop() == ""
    assert len(rows) == len(LINES)
    asked = [line for line in LINES if line.strip()]
    found, names = said(runs, "classify", asked)
    expected = iter([f"{names[each.argmax()]}\t{each.max():.4f}" for each in found])
    assert rows == [next(expected) if line.strip() else "" for line in LINES]


def test_json_has_all_probabilities(ask, runs):
    """One object a line, with the likeliest label and all of them; nulls for a blank line."""
    rows = [json.loads(line) for line in ask("classify", "\n".join(LINES), "--json").splitlines()]
    assert [row["text"] for row in rows] == LINES
    found, names = said(runs, "classify", [line for line in LINES if line.strip()])
    answered = [row for row in rows if row["label"] is not None]
    assert {row["probability"] for row in rows if row["label"] is None} == {None}
    for row, each in zip(answered, found, strict=True):
        assert row["probabilities"] == pytest.approx(dict(zip(names, each.tolist(), strict=True)), abs=1e-5)
        assert row["probability"] == max(row["probabilities"].values()) == row["probabilities"][row["label"]]


@pytest.mark.parametrize("name", ["classify", "bytes", "words"])
def test_the_order_and_the_company_of_texts_change_nothing(ask, monkeypatch, name):
    """A text alone, among others, and among others in another order gets the same label with the same probability."""
    lines = [line for line in LINES if line.strip()]
    together = answers(ask(name, "\n".join(lines), "--json"))
    others = [answers(ask(name, "\n".join(lines[::-1]), "--json"))[::-1]]
    others.append([answer for line in lines for answer in answers(ask(name, line, "--json"))])
    monkeypatch.setattr("charlm.labelling.predict.AT_A_TIME", 5)
    others.append(answers(ask(name, "\n".join(lines), "--json")))
    for found in others:
        assert [labels for labels, _ in found] == [labels for labels, _ in together]
        for (_, mine), (_, theirs) in zip(found, together, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-5)


def answers(output: str) -> list[tuple[object, list[float]]]:
    """The text and the labels of each row of JSON, and its probabilities, 0 where there is none."""
    found = []
    for row in map(json.loads, output.splitlines()):
        shares = row["probabilities"]
        numbers = list(shares.values()) if isinstance(shares, dict) else [share or 0 for share in shares]
        found.append(((row["text"], row.get("label", row.get("labels"))), numbers))
    return found


def test_texts_stand_in_columns_and_fields(ask, tmp_path):
    """The file that a model learned from can be asked about as it is; and a column or a field can be named."""
    (tmp_path / "t.tsv").write_text(FILMS)
    texts = [line.split("\t")[0] for line in FILMS.splitlines()]
    expected = ask("classify", "\n".join(texts))
    assert ask("classify", b"", "t.tsv") == expected
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in texts))
    assert ask("classify", b"", "t.jsonl") == expected
    (tmp_path / "u.jsonl").write_text("".join(json.dumps({"review": text}) + "\n" for text in texts))
    assert ask("classify", b"", "u.jsonl", "--columns", "text=review") == expected
    swapped = "".join(f"x\t{text}\n" for text in texts)
    assert ask("classify", swapped, "--columns", "text=2") == expected
    assert ask("classify", "\n".join(texts).encode("utf-16"), "--encoding", "utf-16") == expected


def test_what_was_not_read_is_said_once(charlm, runs):
    """Texts of which only the beginning was read are counted, and characters that the model has never seen."""
    text = "a film " * 20 + "漢" + "\nfine\n" + "no 漢字 good\n" + "x" * 40 + "\n" + "x" * 41
    result = charlm("predict", "-", "-c", runs["classify"], stdin=text.encode())
    assert result.status == 0
    assert result.text.count("\n") == 5
    first, second = result.err.splitlines()
    assert first.startswith("2 texts longer than the 40 characters that the model reads")
    unseen = sum(letter not in FILMS for letter in "漢字" + "x" * 80)
    assert second.startswith(f"{unseen} characters that the model has never seen")


def test_a_model_of_bytes_reads_bytes(ask):
    """Whatever the bytes are, there is a label for each line; in JSON what is no UTF-8 is U+FFFD."""
    raw = b"fine \xff\xfe\n\xc3\xa9\n"
    assert len(ask("bytes", raw).splitlines()) == 2
    rows = [json.loads(row) for row in ask("bytes", raw, "--json").splitlines()]
    assert [row["text"] for row in rows] == ["fine \ufffd\ufffd", "é"]


def test_each_character_gets_a_label_in_a_form_that_can_be_read_again(ask, runs, tmp_path):
    """Lines of a text's characters, as training takes them, and an empty line in the end; white space has none."""
    text = "Cat9 sleeps.\n\nSleeps\tCat1.\n"
    out = ask("words", text)
    (tmp_path / "again.tsv").write_text(out)
    assert ask("words", b"", "again.tsv") == out
    _, card = load_model(runs["words"] / "model.safetensors", CPU)
    examples = read_examples(["again.tsv"], CorpusConfig(), card.vocab, card.labels, by_character=True)
    assert examples.lengths.tolist() == [len("Cat9 sleeps."), len("Sleeps\tCat1.")]
    found, _ = said(runs, "words", ["Cat9 sleeps.", "Sleeps\tCat1."])
    has_label = np.array([not letter.isspace() for letter in "Cat9 sleeps.Sleeps\tCat1."])
    np.testing.assert_array_equal(examples.labels[has_label], found.argmax(axis=1)[has_label])
    assert out.splitlines()[0].split("\t")[2] == f"{found[0].max():.4f}"
    rows = [json.loads(row) for row in ask("words", text, "--json").splitlines()]
    assert [row["text"] for row in rows] == ["Cat9 sleeps.", "", "Sleeps\tCat1."]
    assert [row["labels"].count(None) for row in rows] == [1, 0, 1]
    assert all(len(row["labels"]) == len(row["text"]) == len(row["probabilities"]) for row in rows)


def test_the_words_of_a_treebank_get_the_labels(ask, runs, tmp_path):
    """A line a word, whose label is the likeliest for all its characters together, and an empty line ends a sentence."""
    (tmp_path / "t.conllu").write_text("# text = Cat7 sleeps.\n" + TREES[: TREES.index("\n\n") + 2] * 2)
    sentences = ask("words", b"", "t.conllu").split("\n\n")
    assert sentences.pop() == ""
    assert [[row.split("\t")[0] for row in each.split("\n")] for each in sentences] == [["Cat0", "sleeps", "."]] * 2
    found, names = said(runs, "words", ["Cat0 sleeps."])
    mean = np.exp(np.log(found[5:11]).mean(axis=0))
    label, share = sentences[0].split("\n")[1].split("\t")[1:]
    assert label == names[mean.argmax()]
    assert float(share) == pytest.approx((mean / mean.sum()).max(), abs=1e-4)
    (row, _) = (json.loads(line) for line in ask("words", b"", "t.conllu", "--json").splitlines())
    assert (row["words"], len(row["labels"])) == (["Cat0", "sleeps", "."], 3)


TAKEN: dict[str, Callable[[str], str]] = {
    "spaces": lambda text: text.replace(" ", ""),
    "case": str.lower,
    "punctuation": lambda text: "".join(letter for letter in text if letter.isalnum() or letter.isspace()),
}


@pytest.mark.parametrize("what", TAKEN)
@pytest.mark.parametrize("text", [PROSE[:900], "The mat sat\r\non it", "x" * 1500, "\n", ""], ids=len)
def test_what_is_restored_does_not_depend_on_what_was_there(ask, runs, what, text):
    """A text, and the same without what is restored, give the same text; nothing else is lost, and line ends stay."""
    out = ask(what, text)
    left = TAKEN[what](text)
    assert out == ask(what, left)
    assert TAKEN[what](out) == left
    rows = [json.loads(row) for row in ask(what, text, "--json").splitlines()]
    assert "".join(row["text"] for row in rows) == out
    assert all(len(row["read"]) == len(row["labels"]) == len(row["probabilities"]) for row in rows)
    expected = []
    for example in stretches(left, what):
        found, names = said(runs, what, [example.text])
        expected.append(restored(example.text, [names[label] for label in found.argmax(axis=1).tolist()]))
    whole = "".join(expected)
    assert out == (whole if text.endswith("\n") else whole.removesuffix("\n"))


def test_a_pipe_is_answered_while_it_goes_on(runs):
    """Whoever writes a text and waits gets the answer before writing more; one who has read enough ends it quietly."""
    line = "a fine film\n"
    with running(*COMMAND, "predict", "-", "-c", str(runs["classify"]), stdin=subprocess.PIPE) as process:
        for _ in range(3):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline()
        process.stdout.close()
        for _ in range(100):
            try:
                process.stdin.write(line)
                process.stdin.flush()
            except BrokenPipeError:
                break
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == ""


def test_a_terminal_is_shown_what_stands_there_and_does_not_obey_it(runs, tmp_path):
    """Control characters in a restored text are signs."""
    (tmp_path / "evil.txt").write_text("The \x1b[31mcat\x07\n")
    shown = on_terminal("predict", "evil.txt", "-c", str(runs["case"]))
    assert "␛[31mcat␇\n" in shown.lower()
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", ["classify", "words", "case"])
def test_hostile_texts_are_answered(ask, name):
    """NUL, escapes, marks of direction and a lone carriage return are characters as any others."""
    text = "\0\x1b[2J\u202e\r\r\x85\u2028 \ufeff\n\0\n"
    out = ask(name, text)
    assert out
    assert all(json.loads(row) for row in ask(name, text, "--json").splitlines())


def test_a_model_of_a_stranger_is_not_trusted(charlm, runs, tmp_path):
    """Labels that end a line, steer the screen, or are not what they restore, are an error; so is a task that does not fit."""
    for name, changes in (
        ("classify", {"labels": ("a\tb", "c")}),
        ("classify", {"labels": ("a\nb", "c")}),
        ("classify", {"labels": ("\x1b[2J", "c")}),
        ("classify", {"labels": ("a", "a")}),
        ("classify", {"labels": ("", "a")}),
        ("spaces", {"labels": ("evil", "none")}),
        ("spaces", {"labels": ("1000000 spaces", "none")}),
        ("case", {"labels": ("none", "upper")}),
    ):
        model, card = load_model(runs[name] / "model.safetensors", CPU)
        with torch.no_grad():
            model.head = torch.nn.Linear(model.head.in_features, 2)
        save_model(tmp_path / "evil.safetensors", model, replace(card, **changes))
        is_error(charlm("predict", "-", "-c", "evil.safetensors", stdin=b"x"), 1, "evil.safetensors", "labels")
        is_error(charlm("info", "-c", "evil.safetensors"), 1, "labels")
    model, card = load_model(runs["classify"] / "model.safetensors", CPU)
    save_model(
        tmp_path / "evil.safetensors",
        model,
        replace(card, text=replace(card.text, restore="spaces"), labels=("1 space", "none")),
    )
    is_error(charlm("predict", "-", "-c", "evil.safetensors", stdin=b"x"), 1, "restore is spaces")


def test_a_model_without_labels_says_what_to_ask_instead(charlm, runs, tmp_path):
    """The hint names the commands that this model has; without a model of one's own it names those that make one."""
    result = charlm("predict", "-", "-c", runs["language"], stdin=b"x")
    model = str(runs["language"] / "model.safetensors")
    is_error(result, 2, "is a language model, and gives no labels", f"charlm sample -c {model}", f"charlm eval FILE -c {model}")
    result = charlm("predict", "-", stdin=b"x")
    assert result.status == 2
    assert result.err.splitlines()[0].endswith("which ships with charlm")
    assert "charlm train FILE, with --task classify, " in result.err
    (tmp_path / "checkpoints").mkdir()
    shutil.copytree(runs["classify"], "checkpoints/t")
    assert charlm("predict", "-", stdin=b"x").err.startswith(f"model: {Path('checkpoints') / 't'}")


def test_a_model_with_labels_writes_no_text_and_says_who_does(charlm, runs):
    """Each command that is for language models names the one that is for these."""
    model = str(runs["classify"] / "model.safetensors")
    is_error(charlm("sample", "-c", runs["classify"]), 2, "gives labels (classify)", f"charlm predict FILE -c {model}")


@pytest.mark.parametrize(
    ("arguments", "status", "fragment"),
    [
        (["none.txt"], 1, "there is no file none.txt"),
        (["."], 1, ". is a folder"),
        (["-", "--columns", "label=1"], 2, "does not say which is the text"),
        (["-", "--encoding", "ebcdic-9"], 2, "--encoding ebcdic-9"),
        ([], 2, "FILE"),
        (["-", "--device", "gpu"], 2, "--device"),
    ],
)
def test_wrong_usage_is_one_line(charlm, runs, arguments, status, fragment):
    """It names what is wrong, and nothing was answered."""
    is_error(charlm("predict", *arguments, "-c", runs["classify"], stdin=b"x"), status, fragment)


def test_a_bad_line_is_an_error_after_the_answers_before_it(charlm, runs):
    """What came before it has been answered; the error names the line."""
    result = charlm("predict", "-", "-c", runs["classify"], stdin=b"fine\n\xff\n")
    assert result.status == 1
    assert "line 2" in result.err
    assert "try another --encoding" in result.err.lower()
    result = charlm("predict", "-", "-c", runs["spaces"], "--columns", "text=1", stdin=b"fine\n")
    is_error(result, 2, "--columns was given, and the model restores any text")
