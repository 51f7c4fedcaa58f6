"""Texts to ask about: the same however they come, in pieces or at once, and one text a line, a row, a sentence or a stretch."""

import io
import json
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError
from charlm.text import asking
from charlm.text.asking import PART, Question, num_unknown, questions
from charlm.text.restoring import LONGEST, STRETCH, restored, stretches, taken_out
from charlm.text.vocab import Vocab


class Pipe(io.RawIOBase):
    """What comes piece by piece, and how much of it has been asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces, self.given = iter(pieces), 0

    def readable(self) -> bool:
        return True

    def readinto(self, place) -> int:
        piece = next(self.pieces, b"")
        place[: len(piece)] = piece
        self.given += 1
        return len(piece)


def ask(
    monkeypatch,
    pieces: Iterable[bytes],
    *,
    name: str = "-",
    restore: str = "",
    columns=None,
    trained="",
    by_character=False,
    **options,
) -> list:
    """The groups of questions that pieces on standard input make."""
    pipe = Pipe(pieces)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(pipe)))
    reading = CorpusConfig(restore=restore, columns=trained, **options)
    found = questions(
        name, reading, columns=columns, by_character=by_character, line_by_line=False, notices=[], tell=lambda _: None
    )
    return list(found)


def texts(groups: Iterable[list[Question]]) -> list[str]:
    return [each.text for group in groups for each in group]


def cut(raw: bytes, seed: int) -> list[bytes]:
    """The same bytes in pieces of random sizes."""
    rng = np.random.default_rng(seed)
    places = sorted({0, len(raw), *rng.integers(0, len(raw), 40).tolist()})
    return [raw[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize("seed", range(3))
def test_lines_are_the_same_however_they_come(monkeypatch, seed):
    """Also where a piece ends in a character, or between CR and LF; an empty line is an empty text; no end is needed."""
    whole = "one é\r\n\ntwo 😀\n \n\r\nlast, not ended"
    expected = ["one é", "", "two 😀", " ", "", "last, not ended"]
    assert texts(ask(monkeypatch, cut(whole.encode(), seed))) == expected
    assert texts(ask(monkeypatch, [whole.encode() + b"\n"])) == expected
    assert texts(ask(monkeypatch, [b"\xef", b"\xbb\xbfone\n"])) == ["one"]
    assert texts(ask(monkeypatch, [b"one\rtwo\r"])) == ["one", "two"]
    assert texts(ask(monkeypatch, [])) == texts(ask(monkeypatch, [b""])) == []


def test_a_line_is_given_before_more_is_read(monkeypatch):
    """Whoever waits for the answer to one line before writing the next is answered."""

    def pieces():
        for number in range(5):
            assert found == [f"line {each}" for each in range(number)]
            yield b"line %d\n" % number

    found: list[str] = []
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe(pieces()))))
    for group in questions(
        "-", CorpusConfig(), columns=None, by_character=False, line_by_line=False, notices=[], tell=lambda _: None
    ):
        found += [each.text for each in group]
    assert len(found) == 5


LONG = "".join(
    f"{'word ' * size}end.{' ' * (size % 3)}{end}"
    for size, end in zip([3, 1, 90, 2, 7, 61, 250, 8, 0, 30, 77], ["\n", "\r\n", "\n\n", "\n", ""] * 3, strict=False)
)


@pytest.mark.parametrize("what", ["spaces", "case", "punctuation"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_stretches_are_the_same_however_a_text_comes(monkeypatch, what, end):
    """And they are those of the text with everything taken out, which is the same whether or not it was there."""
    whole = LONG.rstrip() + end
    left = taken_out(whole, what)
    assert taken_out(left, what) == left
    expected = [each.text for each in stretches(left, what)]
    for pieces in (
        cut(whole.encode(), 1),
        [whole.encode()],
        [whole[start : start + 17].encode() for start in range(0, len(whole), 17)],
        cut(left.encode(), 2),
    ):
        groups = ask(monkeypatch, pieces, restore=what)
        assert texts(groups) == expected
        found = [each for group in groups for each in group]
        assert [each.is_extended for each in found] == [False] * (len(found) - 1) + [not end]
        back = [restored(each.text, ["none"] * len(each.text), "" if each.is_extended else "\n") for each in found]
        assert "".join(back) == left
    assert max(map(len, expected)) <= LONGEST


def test_a_stretch_is_given_as_soon_as_it_is_known(monkeypatch):
    """No more than its own characters are waited for where a line ends, and no more than a little where none does."""
    line = b"x" * STRETCH + b"\n"
    for pieces, most in (([line] * 9, 1), ([b"x" * 100] * 90, 2 * LONGEST // 100 + 2)):
        pipe = Pipe(pieces)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(pipe)))
        groups = questions(
            "-",
            CorpusConfig(restore="case"),
            columns=None,
            by_character=True,
            line_by_line=False,
            notices=[],
            tell=lambda _: None,
        )
        while not next(groups, ["none"]):
            pass
        assert pipe.given <= most


def test_whoever_types_is_answered_line_by_line(monkeypatch):
    """Then a stretch ends with each line, however short."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe([b"One, two\n", b"three\n", b"four"]))))
    groups = questions("-", CorpusConfig(restore="case"), columns=None, by_character=True, line_by_line=True, notices=[])
    assert texts(groups) == ["one, two\n", "three\n", "four\n"]


def test_each_format_has_its_texts(monkeypatch, tmp_path: Path):
    """A column of a table by number or by name, a field, sentences, characters; empty rows stay empty texts."""
    rows = {
        "a.tsv": ("one\tx\n\ntwo\ty\n", None, ["one", "", "two"]),
        "b.tsv": ("who\twhat\r\nx\tone\r\ny\ttwo\r\n", "text=what", ["one", "two"]),
        "c.csv": ('"one, with ""marks""\nand a line",x\ntwo,y\n', None, ['one, with "marks"\nand a line', "two"]),
        "d.csv": ("stars,review\n5,one\n", "text=review,label=stars", ["one"]),
        "e.jsonl": ('{"text": "one", "more": 3}\n\n{"text": "\\u00e9\\n"}\n', None, ["one", "", "é\n"]),
        "f.jsonl": ('{"review": "one"}\n', "text=review", ["one"]),
        "g.txt": ("one\tx\n", None, ["one\tx"]),
        "h.txt": ("x\tone\n", "text=2", ["one"]),
    }
    for name, (contents, columns, expected) in rows.items():
        (tmp_path / name).write_bytes(contents.encode())
        assert texts(ask(monkeypatch, [], name=name, columns=columns)) == expected, name
    (tmp_path / "i.tsv").write_text("o\tA\nn\t\n\nt\tB\t0.5\n")
    assert texts(ask(monkeypatch, [], name="i.tsv", by_character=True)) == ["on", "t"]
    (tmp_path / "j.conllu").write_text("1\tAy\t_\tX\t_\t_\t_\t_\t_\t_\n2\tbe\t_\tY\t_\t_\t_\t_\t_\tSpaceAfter=No\n\n")
    (found,) = ask(monkeypatch, [], name="j.conllu", by_character=True)
    assert (found[0].text, list(found[0].places)) == ("Ay be", [2, 1, 0, 2, 1])
    assert texts(ask(monkeypatch, [], name="b.tsv", trained="text=2,label=1")) == ["what", "one", "two"]
    assert texts(ask(monkeypatch, [], name="g.txt", trained="text=2,label=1")) == ["one\tx"]


@pytest.mark.parametrize(
    ("name", "contents", "options", "fragment"),
    [
        ("a.tsv", "one\n", {"columns": "text=2"}, "a.tsv, line 1: no column 2, for there is 1 column"),
        ("a.tsv", "x\ty\none\ttwo\n", {"columns": "text=z"}, "a.tsv, line 1: no column is called 'z'"),
        ("a.jsonl", '{"text": "a"}\n{"tex": "b"}\n', {}, "a.jsonl, line 2: no field 'text'"),
        ("a.jsonl", "x\n", {}, "a.jsonl, line 1: not JSON"),
        ("a.jsonl", '{"text": 5}\n', {}, "line 1: the field 'text' is 5"),
        ("a.jsonl", '{"text": "\\ud800"}\n', {}, "line 1: the text has a lone surrogate"),
        ("a.csv", '"x\n', {}, "a.csv, line 1:"),
        ("a.conllu", "x\n", {"by_character": True}, "a.conllu, line 1: 1 of the 10 columns"),
        ("a.tsv", "a\tb\nxy\tb\n", {"by_character": True}, "a.tsv, line 2: 2 characters"),
        ("a.txt", "x\n\xff", {}, "a.txt is not utf-8: byte 0xFF at offset 2, line 2"),
        ("a.txt", "\x1f\x8b\x08", {}, "gzip"),
        ("none.txt", None, {}, "there is no file none.txt"),
        (".", None, {}, ". is a folder"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_where(monkeypatch, tmp_path, name, contents, options, fragment):
    """The file and the line are named, and there is a hint."""
    if contents is not None:
        (tmp_path / name).write_bytes(contents.encode("latin-1"))
    with pytest.raises(TextError) as error:
        ask(monkeypatch, [], name=name, **options)
    assert fragment in error.value.message
    assert error.value.hint


def test_options_that_fit_nothing_are_refused(monkeypatch, tmp_path):
    """A number for a field with a name, columns that name no text, and columns of a text to be restored."""
    (tmp_path / "a.jsonl").write_text("{}")
    for options in (
        {"name": "a.jsonl", "columns": "text=2"},
        {"columns": "label=2"},
        {"columns": "2"},
        {"columns": "text=1", "restore": "spaces", "by_character": True},
    ):
        with pytest.raises(UsageError):
            ask(monkeypatch, [b"x\n"], **options)


def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch):
    """An endless line, or an endless block of lines, is refused, though an endless stretch is not."""
    monkeypatch.setattr(asking, "MOST_CHARACTERS", 300)
    with pytest.raises(TextError, match="standard input, line 2: more than 300 characters"):
        ask(monkeypatch, [b"one\n", *[b"x" * 100] * 9])
    assert len("".join(texts(ask(monkeypatch, [b"x" * 1000] * 9, restore="case")))) == 9001


def test_groups_are_small_and_lose_nothing(monkeypatch):
    """However long the lines are, at most PART characters or one text; what is read of a file is told, up to 1."""
    lines = [b"%d " % number * (1 + number % 97) + b"\n" for number in range(5000)] + [b"y" * (PART + 5) + b"\n"] * 2
    groups = ask(monkeypatch, [b"".join(lines[start : start + 1000]) for start in range(0, len(lines), 1000)])
    assert all(len(group) == 1 or sum(len(each.text) for each in group) <= PART for group in groups)
    assert "\n".join(texts(groups)) + "\n" == b"".join(lines).decode()


def test_how_much_of_a_file_is_done_is_told(monkeypatch, tmp_path):
    """By its bytes, from 0 to 1, once what was read has been dealt with."""
    (tmp_path / "a.txt").write_text("é" * 50 + "\n" * 300)
    monkeypatch.setattr(asking, "PART", 70)
    told: list[float] = []
    done = 0
    groups = questions(
        "a.txt", CorpusConfig(), columns=None, by_character=False, line_by_line=False, notices=[], tell=told.append
    )
    for _ in groups:
        assert len(told) <= (done := done + 1)
    assert told == sorted(told)
    assert told[-1] == 1


def test_characters_that_are_not_known_are_counted():
    """Each time; a model of bytes knows all."""
    vocab = Vocab(kind="char", symbols=(97, 0xFFFD), start=0)
    assert num_unknown("abba\ufffdc", vocab) == 3
    assert num_unknown("abc", Vocab(kind="byte", symbols=tuple(range(256)), start=0)) == 0


def test_bytes_that_are_no_text_pass(monkeypatch):
    """For a model of bytes, each byte is kept as the surrogate that stands for it."""
    groups = ask(monkeypatch, [b"a\xff\xc3", b"\xa9\n"], symbols="byte")
    assert texts(groups) == [b"a\xff\xc3\xa9".decode("utf-8", "surrogateescape")]
    assert json.dumps(texts(groups))
