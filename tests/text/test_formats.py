"""Files of labelled texts into examples, and what is no such file."""

import csv
import hashlib
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError
from charlm.text.examples import BEGINS, INSIDE, OUTSIDE, Example
from charlm.text.formats import Columns, labelled_texts
from charlm.text.tagged import read_treebank

ROWS = [('She said "no", twice.', "neg"), ("가나다 😀\u2028", "pos"), (" 'quoted", "neg"), ("a\rb", "3.5")]
MARKS = {OUTSIDE: ".", INSIDE: "i", BEGINS: "B"}


def examples_of(name: str, contents: str | bytes, *, by_character: bool = False, **config) -> list[Example]:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return list(labelled_texts([name], CorpusConfig(**config), by_character=by_character))


def pairs(examples: list[Example]) -> list[tuple[str, str | None]]:
    return [(example.text, example.labels[0]) for example in examples]


def as_csv(rows: list[tuple[str, str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue()


def words(example: Example) -> list[tuple[str, str | None]]:
    """The words by their places, each with its one label."""
    found: list[list[str]] = []
    for character, place, label in zip(example.text, example.places, example.labels, strict=True):
        if place == BEGINS:
            found.append([character, label])
        elif place == INSIDE:
            found[-1][0] += character
            assert found[-1][1] == label
        else:
            assert label is None or character.isspace()
    return [(word, label) for word, label in found]


def test_the_same_rows_are_the_same_examples_in_every_format(in_an_empty_folder):
    """TSV, CSV and JSON lines give one another's texts and labels: quotes, emoji and lone carriage returns as they are."""
    assert pairs(examples_of("a.tsv", "".join(f"{text}\t{label}\n" for text, label in ROWS))) == ROWS
    assert pairs(examples_of("a.csv", as_csv(ROWS))) == ROWS
    json_lines = "".join(json.dumps({"label": label, "text": text, "more": [1]}) + "\n" for text, label in ROWS)
    assert pairs(examples_of("a.JSONL", json_lines)) == ROWS
    swapped = "".join(f"{label}\tid\t{text}\n" for text, label in ROWS)
    assert pairs(examples_of("b.txt", swapped, columns="text=3,label=1")) == ROWS
    named = "Stars\tid\tReview\n" + swapped
    assert pairs(examples_of("c.tsv", named, columns="label=Stars, text=Review")) == ROWS
    assert pairs(examples_of("d.tsv", named, columns="label=Stars,text=3")) == ROWS


@given(st.lists(st.tuples(st.text(), st.sampled_from(["yes", "no", "가"])), max_size=5))
def test_any_text_passes_through_csv_and_json(rows):
    """Line ends, quotes, commas and NULs inside a text come through."""
    rows = [(text, label) for text, label in rows if text.strip() and not text.startswith("\ufeff")]
    assert pairs(examples_of("a.csv", as_csv(rows))) == rows
    lines = "\n".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows)
    assert pairs(examples_of("a.ndjson", lines)) == rows


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_marks_are_no_part_of_a_label(end):
    """LF, CR LF or CR, a byte order mark, empty lines and a missing last line end change nothing but line numbers."""
    found = examples_of("a.tsv", f"\ufeffone\tx{end}{end}two\t y {end}three\tx")
    assert pairs(found) == [("one", "x"), ("two", "y"), ("three", "x")]
    assert [example.line for example in found] == [1, 3, 4]


def test_a_text_in_quotes_may_have_lines():
    """A CSV row is named by the line that it begins in."""
    found = examples_of("a.csv", 'text,label\n"one\ntwo ""2""",x\n\nthree,y\n', columns="text=text,label=label")
    assert pairs(found) == [('one\ntwo "2"', "x"), ("three", "y")]
    assert [example.line for example in found] == [2, 5]


def test_a_long_cell_of_csv_is_read_and_the_module_is_left_as_it_was():
    """No limit of Python's reader is in the way, or is changed for others."""
    before = csv.field_size_limit()
    assert pairs(examples_of("a.csv", f"{'x' * 200_000},y\n")) == [("x" * 200_000, "y")]
    assert csv.field_size_limit() == before


def test_labels_of_json_may_be_numbers():
    """A number or a truth is its JSON text."""
    rows = [{"t": "a", "l": 5}, {"t": "b", "l": True}, {"t": "c", "l": -0.5}]
    found = examples_of("a.jsonl", "\n".join(map(json.dumps, rows)), columns="text=t,label=l")
    assert [example.labels for example in found] == [("5",), ("true",), ("-0.5",)]


def test_groups_are_read_where_they_are_named():
    """A third column decides the part of the split; without one there is none."""
    rows = "a\tx\tann\nb\ty\t\n"
    assert [each.group for each in examples_of("a.tsv", rows, columns="text=1,label=2,group=3")] == ["ann", ""]
    assert [each.group for each in examples_of("a.tsv", rows, columns="text=1,label=2")] == ["", ""]


def test_subfolders_are_labels():
    """Each file of a subfolder is one text, without the line end it closes with; deeper folders change no label."""
    for name, text in (("pos/1.txt", "good\r\n"), ("neg/a/2.txt", "bad\n\nworse\n"), ("neg/3.md", "not it")):
        path = Path("reviews") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
    found = list(labelled_texts(["reviews"], CorpusConfig(), by_character=False))
    assert pairs(found) == [("bad\n\nworse", "neg"), ("good", "pos")]
    Path("reviews/pos/4.txt").write_text("\n")
    with pytest.raises(TextError, match=r"4\.txt, line 1: the text is empty"):
        list(labelled_texts(["reviews"], CorpusConfig(), by_character=False))
    Path("reviews/5.txt").write_text("x")
    with pytest.raises(TextError, match=r"5\.txt lies in no subfolder of reviews"):
        list(labelled_texts(["reviews"], CorpusConfig(), by_character=False))


def test_a_folder_of_files_stands_for_its_files():
    """Without subfolders, the files are read one after the other, each by its ending; all of their bytes are hashed."""
    Path("all").mkdir()
    Path("all/a.tsv").write_text("one\tx\n")
    Path("all/b.csv").write_text("two,y\n")
    digest = hashlib.sha256()
    found = labelled_texts(["all"], CorpusConfig(glob="*.?sv"), by_character=False, digest=digest)
    assert pairs(list(found)) == [("one", "x"), ("two", "y")]
    assert digest.digest() == hashlib.sha256(b"one\tx\ntwo,y\n").digest()


def test_standard_input_is_tsv(monkeypatch):
    """A pipe has no ending: it is lines of a text, a tab and a label."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("é\tx\nno\n".encode())))
    found = labelled_texts(["-"], CorpusConfig(), by_character=False)
    assert next(found).labels == ("x",)
    with pytest.raises(TextError, match="standard input, line 2: no tab"):
        next(found)


def test_bytes_of_a_text_may_be_anything():
    """With --symbols byte a text need not be UTF-8; its label must be."""
    found = examples_of("a.tsv", b"caf\xe9\tx\n", symbols="byte")
    assert found[0].text.encode("utf-8", "surrogateescape") == b"caf\xe9"
    with pytest.raises(TextError, match="line 1: the label"):
        examples_of("a.tsv", b"text\tcaf\xe9\n", symbols="byte")


NOT_ROWS = [
    ("a.tsv", "good\tx\nno tab here\n", r"a\.tsv, line 2: no tab .* 'no tab here'"),
    ("a.tsv", "a\tb\tc\n", "line 1: 3 columns"),
    ("a.tsv", "\tx\n", "line 1: the text is empty"),
    ("a.tsv", "x\ty\n  \tx\n", "line 2: the text is empty"),
    ("a.tsv", "text\t \n", "line 1: the label is empty"),
    ("a.tsv", "text\tx\x1b[2J\n", r"line 1: the label 'x\\x1b\[2J' has a control character"),
    ("a.tsv", b"x\ty\nab\xffc\tx\n", r"0xFF at offset 6, line 2"),
    ("a.tsv", b"\x1f\x8b\x08", "gzip format"),
    ("a.csv", "a;x\n", "line 1: no column 2, for there is 1 column"),
    ("a.csv", 'a,x\n"b,x\n', "line 2: unexpected end of data"),
    ("a.csv", 'a,x\nb,"x\ny"\n', "line 2: the label .* control character"),
    ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": "a"}\n', "line 2: no field 'label'; there are text"),
    ("a.jsonl", '{"text": 3, "label": "b"}', "line 1: the field 'text' is 3"),
    ("a.jsonl", '{"text": "a", "label": null}', "line 1: the field 'label' is null"),
    ("a.jsonl", '{"text": "a", "label": ["b"]}', "line 1: the field 'label' is "),
    ("a.jsonl", '{"text": "a", "label": NaN}', "line 1: not JSON: NaN"),
    ("a.jsonl", '{"text": "\\ud800", "label": "b"}', "line 1: .* lone surrogate"),
    ("a.jsonl", '["a", "b"]', "line 1: .* no JSON object"),
    ("a.jsonl", "a\tb", "line 1: not JSON"),
    ("a.jsonl", "[" * 100_000, "line 1: not JSON"),
    ("a.jsonl", '{"text": "a", "label": ' + "9" * 5000 + "}", "line 1: not JSON"),
    ("a.conllu", "", r"a\.conllu is a treebank"),
]


@pytest.mark.parametrize(("name", "contents", "says"), NOT_ROWS)
def test_what_is_no_row_is_refused_with_its_line(name, contents, says):
    """The error names the file, the line and what is wrong there, and is not longer than people read."""
    with pytest.raises(TextError, match=says) as error:
        examples_of(name, contents)
    assert error.value.hint
    assert len(error.value.message) < 400


def test_columns_that_are_not_there_are_said():
    """By number, with how many there are; by name, with what there is."""
    with pytest.raises(TextError, match="line 2: no column 3, for there are 2"):
        examples_of("a.tsv", "a\tb\tc\na\tb\n", columns="text=3,label=1")
    with pytest.raises(TextError, match="line 1: no column is called 'stars'; there are review, rating"):
        examples_of("a.csv", "review,rating\na,b\n", columns="text=review,label=stars")
    with pytest.raises(TextError, match="line 1: two columns are called 'a'"):
        examples_of("a.csv", "a,a,b\nx,y,z\n", columns="text=a,label=b")


WRONG = ["text", "text=2", "label=1", "text=,label=1", "text=1,label=1", "text=a,label=a", "text=0,label=1", "a=1,text=2"]
WRONG += [
    "text=1,text=2,label=3",
    "text=1;label=2",
    "2,1",
    "text=1,label=999999",
    "text=1,label=2,",
    "text=１２３４５６,label=2",
]


@pytest.mark.parametrize("option", WRONG)
def test_columns_that_make_no_sense_are_refused(option):
    """The error has the option as it was typed, and what a right one looks like, which is right."""
    with pytest.raises(UsageError, match="--columns is ") as error:
        Columns.of(option)
    for word in error.value.hint.split():
        if "=" in word:
            assert Columns.of(word.rstrip(",")).is_given


def test_options_that_do_not_fit_the_file_are_refused():
    """Each is a usage error that names the option."""
    with pytest.raises(UsageError, match="--columns"):
        examples_of("a.jsonl", "{}", columns="text=1,label=2")
    Path("in/x").mkdir(parents=True)
    Path("in/x/a.txt").write_text("a")
    with pytest.raises(UsageError, match="--columns"):
        list(labelled_texts(["in"], CorpusConfig(columns="text=1,label=2"), by_character=False))
    for options in ({"columns": "text=1,label=2"}, {"symbols": "byte"}):
        with pytest.raises(UsageError, match=f"--{next(iter(options))}"):
            examples_of("a.tsv", "a\tX\n", by_character=True, **options)


def test_lines_of_characters_are_examples():
    """A space is a character too; one without a label has None; empty lines part examples; words are between white space."""
    first, second = examples_of("a.tsv", "é\tX\n \t\n😀\tY\nb\tY\n\n\n \tX\r\na\t\r\n", by_character=True)
    assert (first.text, first.labels, first.line) == ("é 😀b", ("X", None, "Y", "Y"), 1)
    assert [MARKS[place] for place in first.places] == ["B", ".", "B", "i"]
    assert (second.text, second.labels, second.line) == (" a", ("X", None), 7)


def row(number: str, form: str, tag: str, misc: str = "_") -> str:
    return "\t".join([number, form, "_", tag, "_", "_", "_", "_", "_", misc]) + "\n"


def test_a_treebank_is_the_text_and_the_tags_of_its_words():
    """The text is that of the comment where the words are found in it; characters between words have no label."""
    contents = "# text = Go,  there.\n" + row("1", "Go", "VERB", "X=1|SpaceAfter=No") + row("2", ",", "PUNCT")
    contents += row("3", "there", "ADV", "SpaceAfter=No") + row("4", ".", "PUNCT") + "\n# newdoc\n\n" + row("1", "Hm", "_")
    first, second = examples_of("a.conllu", contents, by_character=True)
    assert first.text == "Go,  there."
    assert words(first) == [("Go", "VERB"), (",", "PUNCT"), ("there", "ADV"), (".", "PUNCT")]
    assert (second.text, second.labels, second.places, second.line) == ("Hm", (None, None), bytes([OUTSIDE] * 2), 9)


@pytest.mark.parametrize("comment", ["", "# text = Other words\n", "# text = a b c d\n", "# text = ab\n", "# text_en = ab c\n"])
def test_without_its_text_a_sentence_is_put_together(comment):
    """Where the comment does not have just these words, blanks are where SpaceAfter does not say No."""
    contents = comment + row("1", "a", "X", "SpaceAfter=No") + row("2", "b", "Y") + row("3", "c", "X")
    assert [example.text for example in read_treebank(contents, "f")] == ["ab c"]


def test_multiword_tokens_and_empty_nodes():
    """A token that its words spell is those words; one that they do not spell has their labels together; 3.1 is no text."""
    contents = (
        row("1-2", "don't", "_", "SpaceAfter=No") + row("1", "do", "AUX") + row("2", "n't", "PART") + row("2.1", "x", "NOUN")
    )
    contents += (
        row("3", "!", "PUNCT") + row("4-5", "zum", "_") + row("4", "zu", "ADP") + row("5", "dem", "DET") + row("6", "c", "X")
    )
    (found,) = read_treebank(contents, "f")
    assert found.text == "don't! zum c"
    assert words(found) == [("do", "AUX"), ("n't", "PART"), ("!", "PUNCT"), ("zum", "ADP+DET"), ("c", "X")]


NOT_CHARACTERS = [
    ("a.tsv", "a\tX\nbc\tX\n", "line 2: 2 characters, 'bc', before the tab"),
    ("a.tsv", "a\tX\nb\n", "line 2: no tab"),
    ("a.tsv", "a\tX\n\tX\n", "line 2: nothing before the tab"),
    ("a.tsv", "a\tX\tY\n", "line 1: a second tab"),
    ("a.csv", "a,X\n", r"a\.csv has a label for each text"),
    ("a.conllu", "# text = a\n1\ta\tX\n", "line 2: 3 of the 10 columns"),
    ("a.conllu", row("x", "a", "X"), "line 1: the ID is 'x'"),
    ("a.conllu", row("1", " ", "X"), "line 1: the FORM is empty"),
    ("a.conllu", row("1-2", "a", "_") + row("3", "a", "X"), "line 1: the words of 1-2 do not follow"),
    ("a.conllu", "\n" + row("1", "a", "X\x07"), "line 2: the label .* control character"),
    ("a.conllu", row("1", "a", "X").encode() + b"\xff", "0xFF at offset 20, line 2"),
]


@pytest.mark.parametrize(("name", "contents", "says"), NOT_CHARACTERS)
def test_what_is_no_line_of_a_character_or_word_is_refused_with_its_line(name, contents, says):
    """The error names the file, the line and what is wrong there."""
    with pytest.raises(TextError, match=says) as error:
        examples_of(name, contents, by_character=True)
    assert error.value.hint
    assert "--symbols byte" not in error.value.hint  # the labels are of characters
