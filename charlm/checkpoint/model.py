"""A model and all that it says of itself <-> `model.safetensors`. Nothing in the file names a time, a path or a host."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from charlm.checkpoint.fields import from_json, vocab_from_json, vocab_to_json
from charlm.checkpoint.format import TensorFile, to_bytes
from charlm.config import MOST, CorpusConfig, ModelConfig, TrainConfig
from charlm.errors import CheckpointError
from charlm.files import write_atomically
from charlm.model.devices import CPU, free_memory
from charlm.model.language_model import MOST_WEIGHT, LanguageModel
from charlm.text.corpus import Splits
from charlm.text.vocab import Vocab


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


def model_bytes(model: LanguageModel, card: ModelCard, dtype: torch.dtype = torch.float32) -> bytes:
    """The file that holds `model`, its weights as float32 or bfloat16, and its `card`."""
    head = {"kind": "model", **asdict(card), "vocab": vocab_to_json(card.vocab)}
    return to_bytes({name: p.to(dtype) for name, p in model.named_parameters()}, head)


def save_model(path: Path, model: LanguageModel, card: ModelCard, dtype: torch.dtype = torch.float32) -> None:
    """Write `model_bytes` to `path`, atomically. Raises `OSError` when the disk does not take it."""
    write_atomically(path, model_bytes(model, card, dtype))


def load_model(path: Path, device: torch.device) -> tuple[LanguageModel, ModelCard]:
    """The model at `path`, float32, on `device`. Raises `CheckpointError` for a file that is not whole and sane."""
    with TensorFile(path, "model") as file:
        card = _card(path, file)
        dtype = torch.bfloat16 if file.dtypes.get("head.weight") == torch.bfloat16 else torch.float32
        # Shapes only: nothing is allocated before they are known to match.
        expected = dict(LanguageModel.shapes(card.model, len(card.vocab)).to(dtype).named_parameters())
        sizes = sum(parameter.numel() for parameter in expected.values())
        if (needed := sizes * (dtype.itemsize + 4)) > free_memory(CPU):
            raise CheckpointError(f"{path} takes {needed / 1e9:,.1f} GB to open, which is more than this machine's free memory")
        tensors = file.tensors(expected)
    for name, tensor in tensors.items():
        if tensor.abs().max() > MOST_WEIGHT:
            raise CheckpointError(f"{path} has a tensor {name} that holds numbers beyond {MOST_WEIGHT:g}")
    model = LanguageModel.empty(card.model, len(card.vocab))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors.pop(name))
    return model.to(device), card


def _card(path: Path, file: TensorFile) -> ModelCard:
    head = {name: value for name, value in file.head.items() if name != "kind"}
    head["vocab"] = vocab_from_json(head.get("vocab"), f"{path}: vocab")
    card = from_json(ModelCard, head, f"{path}: head")
    for name, value in (("step", card.step), ("scores.validation_nats", card.scores.validation_nats or 0)):
        if not 0 <= value <= MOST:
            raise CheckpointError(f"{path}: {name} is {value}, and must be from 0 to {MOST:g}")
    return card
