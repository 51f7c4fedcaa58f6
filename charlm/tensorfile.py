"""A tensor file, opened and checked: a JSON head and tensors, in the safetensors format.

Knows nothing of torch or of what the file is for.

The file's metadata is one key with one sorted JSON text, the head, so that equal contents are equal bytes. The head has a
SHA-256 of the whole file, computed with the hash's own 64 digits zeroed: it finds any flipped bit, and does not say who made
the file. The checks, in order: length, the header's bounds, format version, hash, tensors end to end. The file is read in
pieces, so that it never takes more memory than it is known to hold.
"""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charlm.errors import CheckpointError, NewerError, brief, gigabytes
from charlm.machine import free_memory

FORMAT = 1
METADATA_KEY = "charlm"
NO_DIGEST = "0" * 64
PIECE = 1 << 20
# A vocabulary of all Unicode takes 4.4 MB in 1.2 million characters; a tensor takes about 100 characters, 3 brackets and 6
# commas. A header with more cannot be ours, and could make Python build any number of objects.
MOST_HEADER, MOST_CHARACTERS, MOST_TENSORS = 5 << 20, 2 << 20, 4096
MOST_BRACKETS, MOST_COMMAS = 4 * MOST_TENSORS, 8 * MOST_TENSORS
MOST_DIMENSIONS = 4
DTYPES = {"F32": 4, "BF16": 2, "U8": 1}  # the types that a tensor may have, and the bytes of a number; as in format.py
# Other files that people may mistake for our models, by their first bytes; asked only where these are not a header's length.
OTHERS = {
    b"PK\x03\x04": "a zip archive, such as torch.save writes: it holds a pickle, which could run code",
    **{bytes([0x80, protocol]): "a pickle, which could run code" for protocol in range(2, 6)},
    b"GGUF": "a GGUF file",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
}


class TensorFile:
    """An open tensor file with the right length, head, format and hash, for a `with` statement, which closes it.

    `head` is its JSON; `shapes` and `dtypes` are those of its tensors. Raises `CheckpointError` for any other file. The file
    stays open between the check and the reading, because a training run may replace it in between.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.head: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        self._starts: dict[str, int] = {}
        with self._reading():
            self._file = path.open("rb")
        try:
            with self._reading():
                self._check()
            if self.head.get("kind") != kind:
                raise CheckpointError(f"{path} does not hold a {kind}", "give a run folder, or its model.safetensors")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "TensorFile":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise CheckpointError(f"there is no file {self.path}", "charlm train CORPUS makes one") from error
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read: {error.strerror}", "check the disk, or take a copy") from error

    def _check(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        raw = self._header(size)
        header = _parse(raw)
        metadata = header.pop("__metadata__", None) if isinstance(header, dict) else None
        if (
            not isinstance(header, dict)
            or not isinstance(metadata, dict)
            or set(metadata) != {METADATA_KEY}
            or not isinstance(metadata[METADATA_KEY], str)
        ):
            raise self.fail("has no head that charlm wrote")
        head = _parse(metadata[METADATA_KEY])
        if not isinstance(head, dict) or type(head.get("format")) is not int or head["format"] < FORMAT:
            raise self.fail("has no format version")
        if head.pop("format") > FORMAT:
            raise NewerError(f"{self.path} is of a newer format than this charlm knows")
        if size > free_memory():
            raise CheckpointError(f"{self.path} has {gigabytes(size)}, which is more than this machine's free memory")
        self._check_digest(raw, head.pop("sha256", None))
        self._place(header, 8 + len(raw), size)
        self.head = head

    def fail(self, what: str) -> CheckpointError:
        """The error that says what is wrong with the file."""
        return CheckpointError(f"{self.path} {what}", "the file is damaged or not charlm's; restore it from a copy")

    def _header(self, size: int) -> bytes:
        """The header's bytes. Raises `CheckpointError` for a length or a number of parts that no header of ours has."""
        first = self._file.read(8)
        length = int.from_bytes(first, "little")
        if size < 10 or not 2 <= length <= size - 8:
            other = next((name for magic, name in OTHERS.items() if first.startswith(magic)), "no safetensors file")
            raise CheckpointError(f"{self.path} is {other}", "give a run folder, or a model.safetensors that charlm wrote")
        if length > MOST_HEADER:
            raise self.fail(f"has a header of {length:,} bytes, and {MOST_HEADER:,} are the most")
        raw = self._file.read(length)
        if raw.count(b"{") + raw.count(b"[") > MOST_BRACKETS or raw.count(b",") > MOST_COMMAS:
            raise self.fail(f"has a header of more parts than those of {MOST_TENSORS:,} tensors")
        return raw

    def _check_digest(self, header: bytes, digest: object) -> None:
        place = header.find(digest.encode()) if _is_digest(digest) else -1  # type: ignore[attr-defined]
        if place < 0:
            raise self.fail("has no hash")
        zeroed = hashlib.sha256(len(header).to_bytes(8, "little") + header[:place] + NO_DIGEST.encode() + header[place + 64 :])
        while piece := self._file.read(PIECE):
            zeroed.update(piece)
        if zeroed.hexdigest() != digest:
            raise self.fail("does not match its hash")

    def _place(self, header: dict[str, Any], start: int, size: int) -> None:
        """Note every tensor's type, shape and place. Together they must fill the file, without a hole or an overlap."""
        at = start
        for name, entry in sorted(header.items(), key=_begin):
            if not _is_entry(entry):
                raise self.fail(f"describes its tensor {brief(name)} in another way than the format does")
            dtype, shape = entry["dtype"], tuple(entry["shape"])
            end = at + math.prod(shape) * DTYPES[dtype]
            if entry["data_offsets"] != [at - start, end - start]:
                raise self.fail(f"has its tensor {brief(name)} in another place than its shape says")
            self.dtypes[name], self.shapes[name], self._starts[name] = dtype, shape, at
            at = end
        if at != size:
            raise self.fail(f"has {size:,} bytes, and its tensors end at {at:,}")

    def read_into(self, name: str, place: memoryview) -> None:
        """Read the bytes of a tensor into `place`. Raises `CheckpointError` if the file became shorter since it was checked."""
        with self._reading():
            self._file.seek(self._starts[name])
            if self._file.readinto(place) != len(place):
                raise self.fail("became shorter while it was read")


def _begin(item: tuple[str, Any]) -> tuple[int, int]:
    """Where a tensor's entry says that it begins and ends; an entry without sound offsets comes first, and is refused."""
    offsets = item[1].get("data_offsets") if isinstance(item[1], dict) else None
    return tuple(offsets) if _are_sizes(offsets) and len(offsets) == 2 else (-1, -1)  # type: ignore[arg-type]


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"dtype", "shape", "data_offsets"}
        and isinstance(entry["dtype"], str)
        and entry["dtype"] in DTYPES
        and _are_sizes(entry["shape"], least=1)
        and len(entry["shape"]) <= MOST_DIMENSIONS
    )


def _are_sizes(value: object, least: int = 0) -> bool:
    return isinstance(value, list) and all(type(size) is int and least <= size < 1 << 53 for size in value)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _parse(raw: bytes | str) -> object:
    """The JSON in `raw`; None for what is not JSON, has a name twice, or is longer than anything charlm writes."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name occurs twice")
        return dict(pairs)

    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        return None if len(text) > MOST_CHARACTERS else json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        return None
