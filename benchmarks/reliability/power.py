"""A model of a disk that keeps for certain only what was flushed: gives every folder that a loss of power may leave."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.reliability.faults import Op


@dataclass
class Disk:
    """What a disk may hold when its power fails: unflushed data may be missing or torn, unflushed names old or new.

    After ALICE (Pillai et al., OSDI 2014). Files are numbered: `written` is what the process wrote to each, `flushed` what is
    certainly on the disk. `names` is the folder as last flushed, `live` the folder as the process sees it, and `pending` the
    changes between the two, any of which may have reached the disk.
    """

    names: dict[str, int] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    written: dict[int, bytes] = field(default_factory=dict)
    flushed: dict[int, bytes] = field(default_factory=dict)
    pending: list[tuple[str, str, int]] = field(default_factory=list)

    def do(self, op: Op) -> None:
        """Follow one operation of the process."""
        if op.kind == "create" and op.path not in self.live:
            number = len(self.written)
            self.written[number] = self.flushed[number] = b""
            self._name("link", op.path, number)
        elif op.kind == "write":
            self.written[self.live[op.path]] += op.data
        elif op.kind == "fsync" and op.path in self.live:
            self.flushed[self.live[op.path]] = self.written[self.live[op.path]]
        elif op.kind == "fsync":  # the folder itself is flushed
            self.names, self.pending = dict(self.live), []
        elif op.kind == "rename":
            self._name("rename", op.target, self.live.pop(op.path), op.path)
        elif op.kind == "unlink":
            self._name("unlink", op.path, self.live.pop(op.path))

    def _name(self, kind: str, path: str, number: int, source: str = "") -> None:
        self.pending.append((source if kind == "rename" else kind, path, number))
        if kind != "unlink":
            self.live[path] = number

    def states(self) -> Iterator[dict[str, bytes]]:
        """Yield every folder that may be found afterwards, without temporary files."""
        for chosen in itertools.product((False, True), repeat=len(self.pending)):
            names = dict(self.names)
            for taken, (kind, path, number) in zip(chosen, self.pending, strict=True):
                if not taken:
                    continue
                if kind == "unlink":
                    names.pop(path, None)
                else:
                    names[path] = number
                    if kind != "link":
                        names.pop(kind, None)  # for a rename, `kind` is the old name
            shown = {path: number for path, number in names.items() if not path.endswith(".tmp")}
            for contents in itertools.product(*(self._contents(number) for number in shown.values())):
                yield dict(zip(shown, contents, strict=True))

    def _contents(self, number: int) -> set[bytes]:
        """List what a file may hold: what was flushed, with the rest missing, cut, zeros or whole."""
        whole, safe = self.written[number], self.flushed[number]
        half = len(safe) + (len(whole) - len(safe)) // 2
        return {safe, whole, whole[:half], safe + bytes(len(whole) - len(safe))}
