"""What a model's scores are seen beside <-> `baselines.safetensors`.

Every array is stored as its bytes, little-endian, `(..., size of a number)`; the last part of a tensor's name is its type.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from charlm.checkpoint.card import ModelCard
from charlm.checkpoint.fields import from_json, to_json
from charlm.checkpoint.format import read_tensors, to_bytes
from charlm.errors import CheckpointError, brief
from charlm.labelling.baseline import Baseline, Sizes
from charlm.labelling.baselines import SEPARATOR, baselines_from, tensors_of
from charlm.model.heads import Labeller
from charlm.tasks.registry import model_class
from charlm.tensorfile import TensorFile

KIND = "baselines"  # the kind of tensor file
TYPES = {name: np.dtype(name).newbyteorder("<") for name in ("float32", "float16", "uint16", "int64")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What they were fitted to: the run's labelled texts, by the hash of their files."""

    corpus_sha256: str


def baselines_bytes(baselines: tuple[Baseline, ...], corpus_sha256: str) -> bytes:
    """Make the bytes of the file that holds `baselines`, which were fitted to texts whose files have this hash."""
    tensors = {f"{name}{SEPARATOR}{array.dtype.name}": _as_bytes(array) for name, array in tensors_of(baselines).items()}
    return to_bytes(tensors, {"kind": KIND, **to_json(Source(corpus_sha256=corpus_sha256))})


def load_baselines(path: Path, card: ModelCard) -> tuple[Baseline, ...]:
    """Load the baselines of the model with this card. Raises `CheckpointError` for a file that is damaged or another run's."""
    with TensorFile(path, KIND) as file:
        head = {name: value for name, value in file.head.items() if name != "kind"}
        if from_json(Source, head, f"{path}: head").corpus_sha256 != card.corpus_sha256:
            raise CheckpointError(f"{path} is of another run than the model", "leave it out, or restore the run from a copy")
        raw = read_tensors(file, {}, also=frozenset(file.shapes))
        try:
            arrays = dict(_from_bytes(name, tensor.numpy()) for name, tensor in raw.items())
            baselines = baselines_from(arrays, Sizes(num_labels=len(card.labels), vocab_size=len(card.vocab)))
        except CheckpointError as error:
            raise file.fail(f"cannot be used: {error.message}") from error
        kind = model_class(card.training.task)
        by_character = issubclass(kind, Labeller) and kind.by_character
        if other := [each.name for each in baselines if each.by_character != by_character]:
            raise file.fail(f"cannot be used: its baseline {other[0]!r} does not label what the model labels")
    return baselines


def _as_bytes(array: npt.NDArray[Any]) -> torch.Tensor:
    plain = np.ascontiguousarray(array, dtype=TYPES[array.dtype.name])
    return torch.from_numpy(plain[..., None].view(np.uint8).copy())


def _from_bytes(name: str, raw: npt.NDArray[Any]) -> tuple[str, npt.NDArray[Any]]:
    """The name of an array without its type, and the array. Raises `CheckpointError`."""
    name, _, kind = name.rpartition(SEPARATOR)
    if kind not in TYPES:
        raise CheckpointError(f"it has numbers of the type {brief(kind)!r}")
    if raw.dtype != np.uint8 or raw.shape[-1:] != (TYPES[kind].itemsize,):
        raise CheckpointError(f"its tensor {brief(name)} has another shape or type than that of bytes")
    return name, raw.view(TYPES[kind])[..., 0].astype(kind)
