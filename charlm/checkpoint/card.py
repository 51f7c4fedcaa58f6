"""What a model file says of itself, without the model: all in its head. The file is read for its hash, and no tensor is made.

Nothing in the file names a time, a path or a host.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from charlm.checkpoint.fields import from_json, vocab_from_json
from charlm.config import MOST, CorpusConfig, ModelConfig, TrainConfig
from charlm.errors import CheckpointError
from charlm.tensorfile import TensorFile
from charlm.text.corpus import Splits
from charlm.text.vocab import Vocab

KIND = "model"  # of tensor file


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The validation loss in nats per character, None when unknown; `exact` says how it was taken."""

    validation_nats: float | None
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the weights were computed with."""

    charlm: str
    torch: str
    device: str
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """All that `model.safetensors` says of itself beside its weights."""

    model: ModelConfig
    training: TrainConfig
    text: CorpusConfig
    vocab: Vocab
    splits: Splits
    corpus_sha256: str
    setting: Setting
    step: int
    scores: Scores


def read_card(path: Path) -> tuple[ModelCard, int]:
    """The card of the model file at `path`, and the number of its parameters."""
    with TensorFile(path, KIND) as file:
        return card_of(path, file), sum(map(math.prod, file.shapes.values()))


def card_of(path: Path, file: TensorFile) -> ModelCard:
    """The card in an opened model file. Raises `CheckpointError` for one that is not whole and sane."""
    head = {name: value for name, value in file.head.items() if name != "kind"}
    head["vocab"] = vocab_from_json(head.get("vocab"), f"{path}: vocab")
    card = from_json(ModelCard, head, f"{path}: head")
    for name, value in (("step", card.step), ("scores.validation_nats", card.scores.validation_nats or 0)):
        if not 0 <= value <= MOST:
            raise CheckpointError(f"{path}: {name} is {value}, and must be from 0 to {MOST:g}")
    return card
