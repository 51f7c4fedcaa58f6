"""A model and its card <-> `model.safetensors`."""

from pathlib import Path

import torch

from charlm.checkpoint.card import DAMAGED, KIND, ModelCard, card_of
from charlm.checkpoint.fields import to_json
from charlm.checkpoint.format import read_tensors, to_bytes
from charlm.errors import CheckpointError, NewerError, UsageError, gigabytes
from charlm.files import write_atomically
from charlm.model.devices import CPU, free_memory
from charlm.model.heads import Labeller
from charlm.model.network import Network, num_parameters, sizes_of
from charlm.model.stack import MOST_WEIGHT
from charlm.tasks.registry import model_class
from charlm.tensorfile import TensorFile


def model_bytes(model: Network, card: ModelCard, dtype: torch.dtype = torch.float32) -> bytes:
    """Make the bytes of the file that holds `card` and the weights of `model`, as float32 or bfloat16."""
    head = {"kind": KIND, **to_json(card)}
    return to_bytes({name: p.to(dtype) for name, p in model.named_parameters()}, head)


def save_model(path: Path, model: Network, card: ModelCard, dtype: torch.dtype = torch.float32) -> None:
    """Write `model_bytes` to `path`, atomically. Raises `OSError` when the write fails."""
    write_atomically(path, model_bytes(model, card, dtype))


def load_model(path: Path, device: torch.device) -> tuple[Network, ModelCard]:
    """Load the model at `path` as float32 onto `device`. Raises `CheckpointError` for a damaged or impossible file."""
    with TensorFile(path, KIND) as file:
        card = card_of(path, file)
        dtype = torch.bfloat16 if file.dtypes.get("head.weight") == "BF16" else torch.float32
        tensors = read_tensors(file, dict(shapes_for(path, card, dtype).named_parameters()))
    return filled(path, card, tensors).to(device), card


def shapes_for(path: Path, card: ModelCard, dtype: torch.dtype = torch.float32) -> Network:
    """The model of a card that was read from `path`, without memory for its weights: first they must be known to match.

    Raises `CheckpointError` for one that cannot be, and `NewerError` for one that this charlm does not know.
    """
    try:
        kind, sizes = model_class(card.training.task), sizes_of(card.model, len(card.vocab), len(card.labels))
        _check_kind(path, kind, card)
        shapes: Network = kind.shapes(*sizes).to(dtype)
    except UsageError as error:
        raise NewerError(f"{path}: {error.message}") from error
    if (needed := num_parameters(shapes) * (dtype.itemsize + 4)) > free_memory(CPU):
        raise CheckpointError(f"{path} takes {gigabytes(needed)} to open, which is more than this machine's free memory")
    return shapes


def filled(path: Path, card: ModelCard, tensors: dict[str, torch.Tensor]) -> Network:
    """The model of a card with the weights `tensors`, which go. Raises `CheckpointError` for what nobody has learned."""
    for name, tensor in tensors.items():
        if tensor.abs().max() > MOST_WEIGHT:
            raise CheckpointError(f"{path} has a tensor {name} that holds numbers beyond {MOST_WEIGHT:g}")
    model = model_class(card.training.task).empty(*sizes_of(card.model, len(card.vocab), len(card.labels)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors.pop(name))
    return model


def _check_kind(path: Path, kind: type[Network], card: ModelCard) -> None:
    """Raise `CheckpointError` where what the card says does not fit a kind of model."""
    problem, by_character = "", issubclass(kind, Labeller) and kind.by_character
    if issubclass(kind, Labeller) != bool(card.labels):
        problem = f"labels are {len(card.labels)}"
    elif card.text.restore and not by_character:
        problem = f"restore is {card.text.restore}"
    elif by_character and card.vocab.kind == "byte":
        problem = "symbols are bytes"
    elif card.labels and card.vocab.is_spelt:
        problem = "rare symbols are spelt"
    if problem:
        what = f"{path}: {problem}, and the task is {card.training.task}"
        raise CheckpointError(what, DAMAGED)
