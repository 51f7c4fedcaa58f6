"""Files into ids, in chunks of any size."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError
from charlm.text import corpus, decoding, source
from charlm.text.corpus import encode_corpus, open_corpus
from charlm.text.finding import find_files
from charlm.text.parts import Splits

PYTHON = CorpusConfig(glob="*.py")
HARD = "líne one\r\nline 두 번째\rthree 😀\n\n\ttail\0\x1b[0m"


@pytest.fixture(params=[1, 2, 3, 7, 1 << 20], ids="chunks-of-{}".format)
def any_chunk(request, monkeypatch) -> int:
    """Files are read in chunks of this many bytes."""
    monkeypatch.setattr(decoding, "CHUNK_BYTES", request.param)
    monkeypatch.setattr(source, "CHUNK_BYTES", request.param)
    return request.param


def encoded(raw: bytes, tmp_path: Path, **config) -> corpus.Corpus:
    (tmp_path / "t").write_bytes(raw)
    return encode_corpus([str(tmp_path / "t")], CorpusConfig(**config), tmp_path / "ids")[0]


def text_of(found: corpus.Corpus) -> str:
    return found.vocab.decode(found.ids)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "utf-16-le"])
def test_every_character_is_kept(tmp_path, any_chunk, encoding):
    """Line ends, NULs, escapes and characters of any width come through, wherever a chunk ends."""
    raw = HARD.encode(encoding)
    found = encoded(raw, tmp_path, encoding=encoding)
    assert text_of(found) == HARD
    assert found.sha256 == hashlib.sha256(raw).hexdigest()
    assert found.splits.test == len(HARD)


def test_bytes_are_kept_as_they_are(tmp_path, any_chunk):
    """Any file at all is a corpus of bytes."""
    raw = bytes(range(256)) + b"\xff\xfe\x00"
    found = encoded(raw, tmp_path, symbols="byte")
    assert bytes(found.ids) == raw
    assert len(found.vocab) == 256


@pytest.mark.parametrize(
    ("raw", "offset", "line"),
    [(b"ab\ncd\xe9 f", 5, 2), (b"\xff", 0, 1), ("é\n😀".encode() + b"\x80", 7, 2), ("é\n".encode() + b"\xf0\x9f\x98", 3, 2)],
)
def test_a_byte_that_is_no_utf8_is_named(tmp_path, any_chunk, raw, offset, line):
    """The error has the offset and the line of the first bad byte, wherever a chunk ends."""
    with pytest.raises(TextError, match=rf"at offset {offset}, line {line}\b"):
        encoded(raw, tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_byte_order_mark_of_another_encoding_names_it(tmp_path, encoding):
    """UTF-16 and UTF-32 are told from what they begin with."""
    with pytest.raises(TextError) as error:
        encoded("hello".encode(encoding), tmp_path)
    assert error.value.hint == f"try --encoding {encoding}"


def test_a_utf8_mark_is_left_out_and_said(tmp_path):
    """It is no part of the text, but of its hash, and offsets still count it."""
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfhello hello")
    found, notices = encode_corpus([str(tmp_path / "t")], CorpusConfig(), tmp_path / "ids")
    assert text_of(found) == "hello hello"
    assert len(notices) == 1
    assert "byte order mark" in notices[0]
    with pytest.raises(TextError, match="offset 5, line 1"):
        encoded(b"\xef\xbb\xbfab\xff", tmp_path)


def test_files_each_give_their_own_end_to_each_part(tmp_path):
    """Each gives its own end to each part; a newline stands where a piece does not end in one; what is hashed is the bytes."""
    for name, text in (("b.txt", "the two\n"), ("a.txt", "one, and"), ("c.py", "no"), ("d.txt", "")):
        (tmp_path / name).write_text(text)
    notices: list[str] = []
    files = find_files([str(tmp_path)], CorpusConfig(), notices)
    found, said = encode_corpus(files, CorpusConfig(validation_fraction=0.25, test_fraction=0.25), tmp_path / "ids")
    assert text_of(found) == "one,\nthe " + " a\ntw" + "nd\no\n"
    assert found.splits == Splits(train=9, validation=14, test=19)
    assert found.sha256 == hashlib.sha256(b"one, andthe two\n").hexdigest()
    assert found.ids_sha256 == hashlib.sha256((tmp_path / "ids").read_bytes()).hexdigest()
    assert "3 files, 16 bytes" in notices[0]
    assert "a newline was put in 3 places" in "".join(said)


@pytest.mark.parametrize(("separator", "whole"), [("", "abcdabcdef"), ("\n", "abcd\nabcdef\n"), ("--", "abcd--abcdef--")])
def test_files_are_joined_as_wanted(separator, whole, tmp_path):
    """A separator stands between all files, also where there is a newline, and none where it is empty; never in bytes."""
    files = [str(tmp_path / name) for name in ("1", "2", "3")]
    for name, text in zip(files, ("abcd", "abcdef", ""), strict=True):
        Path(name).write_text(text)
    config = CorpusConfig(validation_fraction=0, separator=separator)
    assert text_of(encode_corpus(files, config, tmp_path / "ids")[0]) == whole.removesuffix(separator)
    found, _ = encode_corpus(files, CorpusConfig(symbols="byte", validation_fraction=0), tmp_path / "ids")
    assert text_of(found) == "abcdabcdef"
    with pytest.raises(UsageError, match="--separator"):
        CorpusConfig(symbols="byte", separator=separator)


def test_folders_are_searched_and_sorted(tmp_path):
    """A folder stands for its files that match, below it too, in the order of their paths; files stand for themselves."""
    (tmp_path / "in").mkdir()
    for name in ("z.py", "in/b.py", "in/a.txt", "a.py"):
        (tmp_path / name).write_text("x")
    names = [Path(file).relative_to(tmp_path).as_posix() for file in find_files([str(tmp_path)], PYTHON)]
    assert names == ["a.py", "in/b.py", "z.py"]
    assert find_files(["-", str(tmp_path / "in/a.txt")], PYTHON) == ["-", str(tmp_path / "in/a.txt")]


@pytest.mark.parametrize(("raw", "says"), [(b"", "is empty"), (b"aaaa", "one symbol only, 'a'")])
def test_nothing_to_learn_is_refused(tmp_path, raw, says):
    """An empty text and one of a single symbol are errors."""
    with pytest.raises(TextError, match=says):
        encoded(raw, tmp_path)


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "rot13", ""])
def test_an_encoding_that_is_none_is_refused(tmp_path, encoding):
    """Unknown names, and codecs that are not for text, are usage errors."""
    with pytest.raises(UsageError, match="--encoding"):
        encoded(b"ab", tmp_path, encoding=encoding)


@pytest.mark.parametrize("encoding", ["undefined", "punycode", "utf-7"])
def test_a_decoder_may_fail_in_its_own_way(tmp_path, encoding):
    """Whatever a codec raises, the error names the encoding that was asked for."""
    with pytest.raises((TextError, UsageError), match=encoding):
        encoded(b"a\xff\xe9-\x80b" * 3, tmp_path, encoding=encoding)


def test_a_pattern_that_is_none_is_refused(tmp_path):
    """What cannot be looked for in a folder is a usage error that names --glob."""
    with pytest.raises(UsageError, match="--glob"):
        find_files([str(tmp_path)], CorpusConfig(glob="/x"))


def test_a_file_that_changes_while_it_is_read_is_said_to(tmp_path, monkeypatch):
    """A symbol that the first reading did not meet is no bug of the model's."""
    path, real = tmp_path / "t", corpus.Vocab.from_counts
    path.write_text("abab")

    def from_counts(*arguments):
        path.write_text("abac")
        return real(*arguments)

    monkeypatch.setattr(corpus.Vocab, "from_counts", from_counts)
    with pytest.raises(TextError, match="changed while it was being read"):
        encode_corpus([str(path)], CorpusConfig(), tmp_path / "ids")


def test_splits_are_contiguous_and_in_order():
    """Train, then validation, then test; for the benchmark corpus, the bounds that others report on."""
    assert Splits.of(1_115_394, CorpusConfig()) == Splits(train=1_003_854, validation=1_115_394, test=1_115_394)
    for validation, test in ((0.1, 0.2), (0, 0), (0.3, 0), (0, 0.5)):
        for size in (1, 2, 9, 10, 1000):
            bounds = Splits.of(size, CorpusConfig(validation_fraction=validation, test_fraction=test))
            assert 0 <= bounds.train <= bounds.validation <= bounds.test == size
            assert abs(bounds.validation - bounds.train - validation * size) <= 1


def test_a_corpus_that_lost_its_end_is_refused(tmp_path):
    """The file on disk must have the length that its run names."""
    found = encoded(b"hello there", tmp_path)
    with (tmp_path / "ids").open("r+b") as file:
        file.truncate(5)
    with pytest.raises(TextError, match="does not hold the 11 symbols"):
        open_corpus(tmp_path / "ids", found.vocab, found.splits, found.sha256, found.ids_sha256)


def test_parts_are_views_of_one_file(tmp_path):
    """Nothing is read into memory: ids are mapped, and the parts follow each other."""
    found = encoded(b"abcdefghij" * 10, tmp_path)
    assert isinstance(found.ids, np.memmap)
    assert np.concatenate([found.train_ids, found.validation_ids]).tolist() == found.ids.tolist()
    assert (len(found.train_ids), len(found.validation_ids)) == (90, 10)
