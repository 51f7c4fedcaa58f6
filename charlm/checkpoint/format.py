"""Tensors and a JSON head <-> the bytes of a tensor file. Does not know what the tensors mean. Nothing is ever unpickled."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from charlm.errors import brief
from charlm.tensorfile import FORMAT, METADATA_KEY, NO_DIGEST, TensorFile

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "U8": torch.uint8}


def to_bytes(tensors: Mapping[str, Tensor], head: dict[str, Any]) -> bytes:
    """Make the bytes of the file that holds `tensors` and `head`; equal contents give equal bytes."""
    text = json.dumps({"format": FORMAT, "sha256": NO_DIGEST, **head}, sort_keys=True, ensure_ascii=False, allow_nan=False)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    contents = safetensors.torch.save(plain, {METADATA_KEY: text})
    digest = hashlib.sha256(contents).hexdigest()
    # No other text in the head can look like this key: inside a JSON string its quotes would be escaped twice.
    mark = b'\\"sha256\\": \\"'
    place, view = contents.index(mark + NO_DIGEST.encode()) + len(mark), memoryview(contents)
    return b"".join((view[:place], digest.encode(), view[place + len(NO_DIGEST) :]))


def read_tensors(file: TensorFile, expected: Mapping[str, Tensor], also: frozenset[str] = frozenset()) -> dict[str, Tensor]:
    """Read all tensors into memory of their own. Names, shapes and dtypes must be those of `expected`.

    A tensor named in `also` may have any shape. Raises `CheckpointError` naming the first tensor that does not match or holds
    a number that is not finite.
    """
    if wrong := sorted(file.shapes.keys() ^ (expected.keys() | also)):
        raise file.fail(f"has {'an unknown' if wrong[0] in file.shapes else 'no'} tensor {brief(wrong[0])}")
    for name, tensor in expected.items():
        if file.shapes[name] != tuple(tensor.shape) or DTYPES[file.dtypes[name]] != tensor.dtype:
            raise file.fail(f"has a tensor {name} of another shape or type than its configuration says")
    return {name: _tensor(file, name) for name in file.shapes}


def _tensor(file: TensorFile, name: str) -> Tensor:
    tensor = torch.empty(file.shapes[name], dtype=DTYPES[file.dtypes[name]])  # newly allocated, so aligned for fast kernels
    file.read_into(name, tensor.view(-1).view(torch.uint8).numpy().data)
    if tensor.is_floating_point() and not tensor.isfinite().all():
        raise file.fail(f"has a tensor {name} that holds numbers that are not finite")
    return tensor
