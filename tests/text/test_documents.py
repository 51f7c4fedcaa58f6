"""Documents: cut where they should be, whole in one part each, and read in windows in which nothing is lost or read on."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.checkpoint.fields import vocab_from_json, vocab_to_json
from charlm.config import CorpusConfig
from charlm.errors import CheckpointError, TextError
from charlm.model.devices import CPU
from charlm.text import cutting, decoding
from charlm.text.batches import NO_LABEL
from charlm.text.corpus import open_corpus
from charlm.text.cutting import Cutter, encode_documents, encoded, read_documents
from charlm.text.documents import DocumentBatches, Documents
from charlm.text.gathering import part_of
from charlm.text.vocab import END, START, Vocab, describe_symbol, with_start

VOCAB = Vocab(kind="char", symbols=(*range(97, 110), START, END), start=13)
BYTES = Vocab(kind="byte", symbols=(*range(256), START, END), start=256)
LINES = CorpusConfig(documents="line", validation_fraction=0.3, test_fraction=0.2)
lengths = st.lists(st.integers(1, 23), min_size=1, max_size=14)


def documents_of(sizes: list[int]) -> Documents:
    """Documents of so many random letters."""
    draw = np.random.default_rng(len(sizes))
    texts = ["".join(map(chr, draw.integers(97, 110, size))) for size in sizes]
    return Documents.of(encoded(VOCAB, texts), VOCAB)


def texts_in(documents: Documents, vocab: Vocab) -> list[str]:
    """The text of each."""
    return [vocab.decode(documents.ids[a:b]) for a, b in zip(documents.starts, documents.ends, strict=True)]


def cut(raw: bytes, config: CorpusConfig) -> list[str]:
    """The documents of a file with these bytes."""
    Path("cut.txt").write_bytes(raw)
    return list(Cutter(config).documents("cut.txt", "cut.txt"))


@pytest.mark.parametrize(
    ("how", "text", "found"),
    [
        ("line", "ann\r\nbob\n\n \ncy", ["ann", "bob", "cy"]),
        ("line", "a\rb\n", ["a\rb"]),
        ("file", "\nann\n\nbob\n", ["\nann\n\nbob\n"]),
        ("--", "a--b---c--", ["a", "b", "-c"]),
        ("\n\n", "a\nb\n\nc\n\n\n\nd", ["a\nb", "c", "d"]),
        ("é", "aéb", ["a", "b"]),
    ],
)
@pytest.mark.parametrize("symbols", ["char", "byte"])
@pytest.mark.parametrize("chunk", [1, 2, 1 << 20])
def test_a_text_is_cut_where_it_should_be(monkeypatch, how, text, found, symbols, chunk):
    """Whatever comes together, between separators is a document; a line's end is no part of it, and empty ones are none."""
    for module in ("decoding", "source"):
        monkeypatch.setattr(f"charlm.text.{module}.CHUNK_BYTES", chunk)
    want = [" " if each == "" else each for each in found]
    if symbols == "byte" and " \n" in text:
        want.insert(2, " ")  # of bytes none is left out
    assert cut(text.encode(), replace(LINES, documents=how, symbols=symbols)) == want


@given(st.text(alphabet="ab-", max_size=40), st.sampled_from(["-", "--", "-a-", "ab"]), st.integers(1, 7))
def test_cutting_piece_by_piece_is_cutting_the_whole(text, separator, size):
    """A separator may come in two pieces, or begin within what looked like one."""
    cutter = Cutter(replace(LINES, documents=separator))
    found = list(cutter._cut(text[start : start + size] for start in range(0, len(text), size)))
    whole = text.split(separator)
    assert found == (whole if whole[-1] else whole[:-1])
    assert cutter.cuts == len(whole) - 1


def test_a_separator_is_in_the_form_that_the_text_is_brought_into():
    """What stands between documents as typed is found in a text that is normalised."""
    assert cut("ae\u0301b".encode(), replace(LINES, documents="e\u0301", normalize="NFC")) == ["a", "b"]


@given(st.lists(st.text(alphabet=st.sampled_from("abcdefgh"), min_size=1, max_size=5), max_size=9), st.booleans())
def test_documents_are_encoded_one_after_the_other(texts, is_byte):
    """Each is START, its symbols and END, and is found again by these."""
    vocab = BYTES if is_byte else VOCAB
    start, end = vocab.marks
    ids = encoded(vocab, texts)
    assert ids.tolist() == [each for text in texts for each in (start, *vocab.encode(text).tolist(), end)]
    assert texts_in(Documents.of(ids, vocab), vocab) == texts


@pytest.mark.parametrize(
    "ids", [[13], [0], [14], [13, 14, 0], [0, 13, 14], [13, 13, 14], [13, 14, 14], [14, 13], [13, 0, 13, 14]]
)
def test_what_does_not_begin_and_end_by_turns_is_refused(ids):
    """A file of ids that another program wrote is no file of documents."""
    with pytest.raises(TextError, match="by turns"):
        Documents.of(np.array(ids, dtype=np.uint8), VOCAB)


NAMES = [f"{a}{b}" for a in ("Ann", "Bo", "Cyd", "Dora", "Ev") for b in ("", "a", "by", "lin", "mund", "sy", "ton")]


@pytest.mark.parametrize("symbols", ["char", "byte"])
def test_whole_documents_are_held_out_by_their_text(tmp_path, symbols):
    """Each falls into the part that its text says, equal ones into the same; the order within a part is that of the files."""
    config = replace(LINES, symbols=symbols)
    (tmp_path / "a.txt").write_text("\n".join(NAMES))
    (tmp_path / "b.txt").write_text("\n".join([*NAMES[::-1], "", "Zoë"]) + "\n", encoding="utf-8")
    corpus, notices = encode_documents(["a.txt", "b.txt"], config, tmp_path / "ids")
    bounds = (0, corpus.splits.train, corpus.splits.validation, corpus.splits.test)
    parts = [texts_in(Documents.of(corpus.ids[a:b], corpus.vocab), corpus.vocab) for a, b in pairwise(bounds)]
    every = [*NAMES, *NAMES[::-1], "Zoë"]
    assert parts == [[name for name in every if part_of(name, config) == part] for part in range(3)]
    assert all(parts)
    assert notices[0].startswith("71 documents, one a line: ")
    assert notices[1] == "1 empty document left out"
    again = open_corpus(tmp_path / "ids", corpus.vocab, corpus.splits, corpus.sha256, corpus.ids_sha256)
    assert np.array_equal(again.ids, corpus.ids)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "ids"]


@pytest.mark.parametrize(("text", "said"), [("", "0 documents"), ("\n\n", "0 documents"), ("ann", "1 document,")])
def test_fewer_than_two_documents_are_refused(tmp_path, text, said):
    """There is nothing to tell apart."""
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(TextError, match=said):
        encode_documents(["a.txt"], LINES, tmp_path / "ids")


def test_a_separator_that_never_comes_is_told(tmp_path):
    """Each file is then a document, which is hardly what was wanted."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(f"text {name}")
    _, notices = encode_documents(["a", "b", "c"], replace(LINES, documents="***", validation_fraction=0.0), tmp_path / "ids")
    assert "there is no separator in the text, cut between '***': each file is one document" in notices


def test_documents_for_a_model_come_in_their_order(tmp_path):
    """All of them, and where one has a symbol that the model lacks it is named, or left out and counted."""
    (tmp_path / "a.txt").write_text("abc\n\ndXeY\nX\n")
    with pytest.raises(
        TextError, match=r"a\.txt: in document 2 .*'X' \(U\+0058\), at position 1 of the document; 3 such characters in all"
    ):
        read_documents(["a.txt"], LINES, VOCAB, skip_unknown=False)
    found = read_documents(["a.txt"], LINES, VOCAB, skip_unknown=True)
    assert texts_in(found.documents, VOCAB) == ["abc", "de", ""]
    assert found.skipped == 3
    assert found.notices == ["1 empty document left out"]


@settings(deadline=None, max_examples=50)
@given(lengths, st.integers(1, 9), st.integers(1, 6))
def test_every_symbol_is_predicted_once_in_an_epoch(sizes, seq_len, batch_size):
    """From its document's START on, in windows that are not too long; what fills up is nobody's, and no window is all of it."""
    documents = documents_of(sizes)
    batches = DocumentBatches(documents=documents, batch_size=batch_size, seq_len=seq_len, seed=3)
    for epoch in (0, 1, 5):
        read: dict[int, list[tuple[int, int]]] = {}
        windows = iter(batches.windows(epoch, 0, CPU))
        for which in batches.order(epoch):
            assert 1 <= len(which) <= batch_size
            for number, (first, stop) in enumerate(batches.bounds(which)):
                window = next(windows)
                assert bool(window.begins) == (number == 0)
                assert 1 <= stop - first <= seq_len
                assert window.inputs.shape == window.targets.shape == (stop - first, window.inputs.shape[1])
                assert window.num_characters == int((window.targets != NO_LABEL).sum()) >= 1
                assert (window.targets[0] != NO_LABEL).all()  # a document that is over is left out
                for place, document in enumerate(which[: window.inputs.shape[1]].tolist()):
                    pairs = zip(window.inputs[:, place].tolist(), window.targets[:, place].tolist(), strict=True)
                    read.setdefault(document, []).extend(pair for pair in pairs if pair[1] != NO_LABEL)
        assert next(windows, None) is None
        for document, (start, end) in enumerate(zip(documents.starts, documents.ends, strict=True)):
            ids = documents.ids[start:end].tolist()
            assert read[document] == list(pairwise(ids))


@settings(deadline=None, max_examples=50)
@given(lengths, st.integers(1, 9), st.integers(1, 6))
def test_every_epoch_has_as_many_windows(sizes, seq_len, batch_size):
    """So many as are promised, and from any number on the last of them, the same each time."""
    batches = DocumentBatches(documents=documents_of(sizes), batch_size=batch_size, seq_len=seq_len, seed=3)
    for epoch in (0, 1, 7):
        whole = list(batches.windows(epoch, 0, CPU))
        assert len(whole) == batches.windows_per_epoch
        for start in (1, len(whole) // 2):
            rest = list(batches.windows(epoch, start, CPU))
            assert len(rest) == len(whole[start:])
            assert all(bool((a.inputs == b.inputs).all()) for a, b in zip(rest, whole[start:], strict=True))


def test_chance_does_not_change_how_many_windows_there_are():
    """Documents that need as many stay together, though others of nearly their length are drawn before them."""
    documents = documents_of([10 + number % 53 for number in range(160)])
    batches = DocumentBatches(documents=documents, batch_size=5, seq_len=4, seed=3)
    counts = {len(list(batches.windows(epoch, 0, CPU))) for epoch in range(9)}
    assert counts == {batches.windows_per_epoch}


def test_epochs_have_other_batches():
    """Short documents do not always come together."""
    batches = DocumentBatches(documents=documents_of([3, 4, 5] * 9), batch_size=4, seq_len=9, seed=3)
    first, second = ({frozenset(which.tolist()) for which in batches.order(epoch)} for epoch in (0, 1))
    assert first != second


def test_one_long_document_costs_the_others_nothing():
    """Where it goes on alone it is read alone: little more is read than there is."""
    batches = DocumentBatches(documents=documents_of([1000, *[7] * 63]), batch_size=16, seq_len=20, seed=3)
    read = sum(window.inputs.numel() for window in batches.windows(0, 0, CPU))
    assert read <= 1.5 * batches.documents.num_predicted


@settings(deadline=None, max_examples=50)
@given(lengths, st.integers(1, 25))
def test_a_beginning_is_as_many_predictions_as_are_wanted(sizes, most):
    """Of each document what is before, of a shorter one all, its end among them; the documents themselves stay whole."""
    documents = documents_of(sizes)
    whole = texts_in(documents, VOCAB)
    begun = documents.beginnings(most)
    assert begun.lengths.tolist() == [min(most, size + 1) for size in sizes]
    assert texts_in(begun, VOCAB) == [text[:most] for text in whole]
    assert [int(documents.ids[end - 1]) == VOCAB.marks[1] for end in begun.ends] == [size < most for size in sizes]
    assert texts_in(documents, VOCAB) == whole


def test_a_vocabulary_of_documents_knows_its_marks(tmp_path):
    """START and END are told in words, add nothing to a text, and are stored strictly; other vocabularies are as they were."""
    assert VOCAB.marks == (13, 14)
    assert (describe_symbol(START), describe_symbol(END)) == ("the start of a document", "the end of a document")
    assert VOCAB.decode([13, 0, 1, 14, 13, 2, 14]) == "abc"
    assert BYTES.symbols_for([256, 97, 255, 257]) == b"a\xff"
    assert BYTES.dtype == np.uint16
    assert with_start(VOCAB, VOCAB.encode("ab")).tolist() == [13, 0, 1]
    assert with_start(VOCAB, VOCAB.encode("")).tolist() == [13]
    spelling = Vocab.from_counts(np.bincount([97] * 5 + [98] * 2), "char", 3, has_documents=True)
    assert spelling.marks == (1, 2)
    assert spelling.decode(encoded(spelling, ["ab", "é"])) == "abé"
    assert texts_in(Documents.of(encoded(spelling, ["ab", "é", "a"]), spelling), spelling) == ["ab", "é", "a"]
    assert Documents.of(encoded(spelling, ["ab", "é", "a"]), spelling).num_characters == 2 + 1 + 1 + 3
    for vocab in (VOCAB, BYTES, spelling):
        stored = vocab_to_json(vocab)
        assert vocab_from_json(stored, "v") == vocab
        with pytest.raises(CheckpointError, match="start is 0"):
            vocab_from_json(stored | {"start": 0}, "v")
        with pytest.raises(CheckpointError, match="documents"):
            vocab_from_json(stored | {"documents": 1}, "v")
    plain = Vocab(kind="char", symbols=(97, 98), start=1)
    assert plain.marks is None
    assert vocab_to_json(plain) == {"kind": "char", "start": 1, "symbols": "ab"}
    with pytest.raises(TextError, match="never seen"):
        VOCAB.encode("z")


def test_a_document_of_any_length_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    """It is in memory as a whole; what to do instead is said, and of a longer text of short ones nothing is refused."""
    monkeypatch.setattr(cutting, "MOST_CHARACTERS", 50)
    monkeypatch.setattr(decoding, "CHUNK_BYTES", 16)
    (tmp_path / "t").write_text("short\n" * 30)
    encode_documents([str(tmp_path / "t")], CorpusConfig(documents="line"), tmp_path / "ids")
    (tmp_path / "t").write_text("short\n" * 3 + "long " * 30)
    with pytest.raises(TextError, match=r"^document 4 has more than 50 characters$"):
        encode_documents([str(tmp_path / "t")], CorpusConfig(documents="line"), tmp_path / "ids")
