"""Tensors and a JSON head <-> bytes in the safetensors format. Knows nothing of what the tensors are.

The file's metadata is one key holding one sorted JSON text, the head, so that equal contents are equal bytes. The head has
a SHA-256 over every byte of the file with its own 64 digits zeroed, so that any flipped bit is found; it says that a file is
whole, not who made it. None is ever unpickled. Checked in this order, before any tensor is made: length, the header's
bounds, format version, hash; then names, shapes and types of all tensors against what is expected.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from charlm.errors import CheckpointError

FORMAT = 1
METADATA_KEY = "charlm"
MAX_HEADER = 1 << 24  # the vocabulary of all Unicode takes 4.5 MB of it
NO_DIGEST = "0" * 64
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # as torch.save writes them
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "U8": torch.uint8}


def to_bytes(tensors: Mapping[str, Tensor], head: dict[str, Any]) -> bytes:
    """The file that holds `tensors` and `head`; equal contents are equal bytes."""
    text = json.dumps({"format": FORMAT, "sha256": NO_DIGEST, **head}, sort_keys=True, ensure_ascii=False, allow_nan=False)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    contents = safetensors.torch.save(plain, {METADATA_KEY: text})
    digest = hashlib.sha256(contents).hexdigest()
    # No text in the head can look like this key: in a JSON string its quotes would be escaped once more.
    mark = b'\\"sha256\\": \\"'
    before, after = contents.split(mark + NO_DIGEST.encode(), 1)
    return before + mark + digest.encode() + after


class TensorFile:
    """A tensor file whose length, head, format and hash have been checked; `head` is its JSON."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        try:
            self.contents = path.read_bytes()
        except FileNotFoundError as error:
            raise CheckpointError(f"there is no file {path}", "charlm train CORPUS makes one") from error
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
        self.header, length = self._read_header()
        self.head = self._read_head(length)
        if self.head.pop("kind", None) != kind:
            raise CheckpointError(f"{path} does not hold a {kind}", "give a run folder, or its model.safetensors")
        self.head["kind"] = kind

    def _fail(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path} {what}", "the file is damaged or not charlm's; restore it from a copy")

    def _read_header(self) -> tuple[dict[str, Any], int]:
        length = int.from_bytes(self.contents[:8], "little")
        if len(self.contents) < 8 or not 2 <= length <= min(MAX_HEADER, len(self.contents) - 8):
            if self.contents.startswith(PICKLES):
                raise CheckpointError(f"{self.path} is a pickle, which could run code", "charlm opens safetensors files only")
            raise CheckpointError(f"{self.path} is no safetensors file", "give a run folder, or its model.safetensors")
        header = _parse(self.contents[8 : 8 + length])
        metadata = header.get("__metadata__") if isinstance(header, dict) else None
        if (
            not isinstance(header, dict)
            or not isinstance(metadata, dict)
            or set(metadata) != {METADATA_KEY}
            or not isinstance(metadata[METADATA_KEY], str)
        ):
            raise self._fail("has no head that charlm wrote")
        for name, entry in header.items():
            if name != "__metadata__" and not _is_entry(entry):
                raise self._fail(f"describes its tensor {name} in another way than the format does")
        return header, length

    def _read_head(self, header_length: int) -> dict[str, Any]:
        head = _parse(self.header["__metadata__"][METADATA_KEY])
        if not isinstance(head, dict) or type(head.get("format")) is not int or head["format"] < FORMAT:
            raise self._fail("has no format version")
        if head.pop("format") > FORMAT:
            raise CheckpointError(f"{self.path} is of a newer format than this charlm knows", "upgrade charlm")
        digest = head.pop("sha256", None)
        place = self.contents.find(digest.encode(), 8, 8 + header_length) if _is_digest(digest) else -1
        if place < 0:
            raise self._fail("has no hash")
        zeroed = hashlib.sha256(self.contents[:place] + NO_DIGEST.encode())
        zeroed.update(memoryview(self.contents)[place + 64 :])
        if zeroed.hexdigest() != digest:
            raise self._fail("does not match its hash")
        return head

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape the header gives for a tensor; empty when there is none."""
        return tuple(self.header[name]["shape"]) if name in self.header else ()

    def dtype(self, name: str) -> torch.dtype | None:
        """The type the header gives for a tensor; None when there is none, or none that charlm writes."""
        return DTYPES.get(self.header[name]["dtype"]) if name in self.header else None

    def tensors(self, expected: Mapping[str, Tensor], also: set[str] | None = None) -> dict[str, Tensor]:
        """All tensors, which must be `expected` in name, shape and type, and those in `also`, of any shape."""
        also = also or set()
        names = set(self.header) - {"__metadata__"}
        if wrong := sorted(names ^ (set(expected) | also)):
            raise self._fail(f"has {'an unknown' if wrong[0] in names else 'no'} tensor {wrong[0]}")
        for name, tensor in expected.items():
            if self.shape(name) != tuple(tensor.shape) or self.dtype(name) != tensor.dtype:
                raise self._fail(f"has a tensor {name} of another shape or type than its configuration says")
        try:
            return safetensors.torch.load(self.contents)
        except safetensors.SafetensorError as error:
            raise self._fail(f"cannot be taken apart: {error}") from error


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str) or not isinstance(entry.get("shape"), list):
        return False
    return all(type(size) is int and size >= 0 for size in entry["shape"])


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _parse(text: bytes | str) -> object:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name occurs twice")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        return None
