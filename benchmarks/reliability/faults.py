"""A file system under watch: every call by which a process changes or reads the files of a folder goes through `Watch`.

At each call, `act` may do nothing, raise an error or end the process. Only files below `root` are watched.
"""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock


@dataclass(frozen=True, slots=True)
class Op:
    """One call: its `kind` and path; for a write also its bytes, for a rename the new path."""

    kind: str
    path: str
    data: bytes = b""
    target: str = ""


class Watch:
    """Calls `act(number, op)` before every operation; for a write it returns how many bytes to let through, or None for all."""

    def __init__(self, root: Path, act: Callable[[int, Op], int | None]) -> None:
        self.root, self.act = str(root.resolve()), act
        self.count = 0
        self.names: dict[int, str] = {}

    def tell(self, op: Op) -> int | None:
        """Count the operation and call `act`."""
        self.count += 1
        return self.act(self.count, op)

    def sees(self, path: object) -> str:
        """Return the absolute path if it is below the root, else an empty string."""
        if not isinstance(path, str | os.PathLike):
            return ""
        name = os.path.abspath(os.fspath(path))  # noqa: PTH100 (Path.resolve would follow links)
        return name if name.startswith(self.root) else ""

    @contextlib.contextmanager
    def watching(self) -> Iterator["Watch"]:
        """While entered, watch every opening, write, flush, rename and removal of a file."""
        reals = {name: getattr(os, name) for name in ("fsync", "open", "close", "replace", "rename", "unlink", "mkdir")}
        open_file = io.open

        def watched_open(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
            if not self.sees(file):
                return open_file(file, mode, buffering, *rest, **options)
            return _layers(_Raw(self, file, mode.replace("b", "").replace("t", "")), mode, buffering, *rest, **options)

        def descriptor(path: Any, *arguments: Any, **options: Any) -> int:
            if name := self.sees(path):
                self.tell(Op("open", name))
            number: int = reals["open"](path, *arguments, **options)
            self.names[number] = name
            return number

        def fsync(number: int) -> None:
            if name := self.names.get(number):
                self.tell(Op("fsync", name))
            reals["fsync"](number)

        def close(number: int) -> None:
            self.names.pop(number, None)
            reals["close"](number)

        def of_two(kind: str) -> Callable[..., None]:
            def call(source: Any, target: Any, **options: Any) -> None:
                if name := self.sees(source):
                    self.tell(Op("rename", name, target=self.sees(target)))
                reals[kind](source, target, **options)

            return call

        def of_one(kind: str) -> Callable[..., None]:
            def call(path: Any, *arguments: Any, **options: Any) -> None:
                if name := self.sees(path):
                    self.tell(Op(kind, name))
                reals[kind](path, *arguments, **options)

            return call

        with (
            mock.patch.object(io, "open", watched_open),
            mock.patch.multiple(
                os,
                fsync=fsync,
                open=descriptor,
                close=close,
                replace=of_two("replace"),
                rename=of_two("rename"),
                unlink=of_one("unlink"),
                mkdir=of_one("mkdir"),
            ),
        ):
            yield self


def _layers(
    raw: "_Raw", mode: str, buffering: int, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> Any:
    """Wrap `raw` as `open` would."""
    if buffering == 0:
        return raw
    buffered: Any = (
        io.BufferedRandom(raw) if "+" in mode else io.BufferedReader(raw) if raw.readable() else io.BufferedWriter(raw)
    )
    return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)


class _Raw(io.FileIO):
    """A file that reports its opening, reading, writing and truncating."""

    def __init__(self, watch: Watch, path: Any, mode: str) -> None:
        self.watch, self.path = watch, watch.sees(path)
        watch.tell(Op("open" if "r" in mode else "create", self.path))
        super().__init__(path, mode)
        watch.names[self.fileno()] = self.path

    def write(self, data: Any) -> int:
        raw = bytes(data)
        allowed = self.watch.tell(Op("write", self.path, raw))
        if allowed is None:
            return super().write(raw)
        super().write(raw[:allowed])
        self.watch.tell(Op("torn", self.path))
        return allowed

    def readinto(self, buffer: Any) -> int | None:  # type: ignore[override]
        self.watch.tell(Op("read", self.path))
        return super().readinto(buffer)

    def readall(self) -> bytes | None:  # type: ignore[override]
        self.watch.tell(Op("read", self.path))
        return super().readall()

    def truncate(self, size: int | None = None) -> int:
        self.watch.tell(Op("truncate", self.path))
        return super().truncate(size)
