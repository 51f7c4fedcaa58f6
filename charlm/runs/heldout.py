"""The part of its corpus that a model was not trained on, found by the corpus's hash. Does not know what it is used for."""

import contextlib
from pathlib import Path

import numpy as np

from charlm.checkpoint.card import ModelCard
from charlm.errors import CheckpointError, TextError
from charlm.runs.data import open_data
from charlm.runs.find import CORPUS, EXAMPLES
from charlm.runs.record import RUN, hashes_in, read_record
from charlm.text.corpus import open_corpus
from charlm.text.cutting import read_documents
from charlm.text.examples import Dataset, Examples
from charlm.text.parts import Splits
from charlm.text.source import read_symbols, sha256_of
from charlm.text.vocab import Ids, code_points

DATA = Path("data")
HELD_OUT = "held-out.txt"  # lies beside a model that is shared without its corpus


def held_out(model: Path, card: ModelCard) -> tuple[Ids, Path]:
    """Find the held-out ids of the corpus that the model file `model` was trained on; returns them and the file they are from.

    Looks for the run's own copy beside the model, a held-out.txt of the right length there, and a file under data/ with the
    corpus's SHA-256. Raises `TextError` when there is none of these, or when nothing was held out.
    """
    if card.splits.train >= card.splits.test:
        raise TextError("the model was trained on the whole of its corpus", "name a TEXT that it has not seen")
    run = model.parent
    corpus_sha256, ids_sha256 = hashes_in(run)
    if corpus_sha256 == card.corpus_sha256 and (run / CORPUS).is_file():
        ids = open_corpus(run / CORPUS, card.vocab, card.splits, corpus_sha256, ids_sha256).ids
        return ids[card.splits.train :], run / CORPUS
    if (run / HELD_OUT).is_file():
        with contextlib.suppress(TextError):  # another text of that name
            ids = _read(run / HELD_OUT, card)
            if len(ids) == card.splits.test - card.splits.train:
                return ids, run / HELD_OUT
    if card.text.documents:  # which a text does not have in the order of the parts
        raise TextError("the documents that the model was trained on are not beside it", "name a TEXT with others")
    for path in sorted(DATA.glob("*")) if DATA.is_dir() and card.is_one_file else ():
        if path.is_file() and sha256_of([path]) == card.corpus_sha256:
            return _read(path, card, is_whole=True)[card.splits.train :], path
    raise TextError("the corpus that the model was trained on is neither beside it nor under data/", "name a TEXT to read")


def held_out_examples(model: Path, card: ModelCard) -> tuple[Examples, Path]:
    """Find the labelled texts that the model file `model` was not trained on, those of the validation part and the test part;
    returns them and the file they are from: the run's own copy, beside the model. Raises `TextError` where there is none.
    """
    data, file = _own_texts(model, card)
    if data.splits.train >= data.splits.test:
        raise TextError("the model was trained on all of its texts", "name a file with others")
    return data.examples.part(data.splits.train, data.splits.test), file


def test_examples(model: Path, card: ModelCard) -> tuple[Examples, Path]:
    """Find the labelled texts of the test part only, as `held_out_examples` does. Raises `TextError` where there is none."""
    data, file = _own_texts(model, card)
    if not len(data.test):
        raise TextError("the model's run has no test part", "name a file with labelled texts")
    return data.test, file


def _own_texts(model: Path, card: ModelCard) -> tuple[Dataset, Path]:
    """The run's own copy of its texts, beside the model."""
    run = model.parent
    try:
        data = open_data(run, read_record(run / RUN))
    except (OSError, CheckpointError) as error:
        raise TextError("the texts that the model was trained on are not beside it", "name a file with others") from error
    if not isinstance(data, Dataset) or data.sha256 != card.corpus_sha256 or data.labels != card.labels:
        raise TextError("the texts beside the model are not those that it was trained on", "name a file with others")
    return data, run / EXAMPLES


def _read(path: Path, card: ModelCard, *, is_whole: bool = False) -> Ids:
    """Read a text into ids, as the model's corpus was read: the `is_whole` of it in its parts, where a word may be cut."""
    if card.text.documents:
        return read_documents([str(path)], card.text, card.vocab, skip_unknown=False).documents.ids
    pieces = read_symbols(path, card.text)
    if card.vocab.is_spelt:
        symbols = np.concatenate([*pieces, code_points("")])
        splits = Splits.of(len(symbols), card.text)
        pieces = iter(np.split(symbols, [splits.train, splits.validation]) if is_whole else [symbols])
    return np.concatenate([card.vocab.encode_symbols(piece) for piece in pieces])
