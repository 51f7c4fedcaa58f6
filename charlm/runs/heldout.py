"""The part of its corpus that a model was not trained on, found again by the corpus's hash. Knows nothing of what it is for."""

import hashlib
import json
from pathlib import Path

import numpy as np

from charlm.checkpoint.model import ModelCard
from charlm.errors import TextError
from charlm.runs.folder import CORPUS, RUN
from charlm.text.corpus import CHUNK_BYTES, open_corpus, read_symbols
from charlm.text.vocab import Ids

DATA = Path("data")


def held_out(model: Path, card: ModelCard) -> tuple[Ids, Path]:
    """The held-out ids of the corpus that the model file `model` was trained on, and where they are from.

    That is the run's own copy beside the model, or a file under data/ with the same SHA-256. Raises `TextError` when there
    is neither, or when nothing was held out.
    """
    if card.splits.train >= card.splits.test:
        raise TextError("the model was trained on the whole of its corpus", "name a TEXT that it has not seen")
    run = model.parent
    if _sha256_in(run / RUN) == card.corpus_sha256 and (run / CORPUS).is_file():
        ids = open_corpus(run / CORPUS, card.vocab, card.splits, card.corpus_sha256).ids
        return ids[card.splits.train :], run / CORPUS
    for path in sorted(DATA.glob("*")) if DATA.is_dir() else ():
        if path.is_file() and _sha256_of(path) == card.corpus_sha256:
            ids = np.concatenate([card.vocab.encode_symbols(symbols) for symbols in read_symbols(path, card.text)])
            return ids[card.splits.train :], path
    raise TextError("the corpus that the model was trained on is neither beside it nor under data/", "name a TEXT to read")


def _sha256_in(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_bytes())["corpus_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
