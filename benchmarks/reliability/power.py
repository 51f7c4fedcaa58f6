"""A disk on which only what was flushed is sure to be: every folder that a loss of power may leave behind."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.reliability.faults import Op


@dataclass
class Disk:
    """What may be on a disk whose power fails: data not yet flushed may be missing or torn, names not yet flushed old or new.

    After ALICE (Pillai et al., OSDI 2014). Files are known by number: `written` is what the process wrote to each, `flushed`
    what is sure to be there. `names` is the folder as it was last flushed, `live` as the process sees it, and `pending` are the
    changes in between, of which any may have reached the disk.
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
        elif op.kind == "fsync":  # of the folder
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
        """Every folder that may be found afterwards, temporary files left out."""
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
                        names.pop(kind, None)  # the old name of what was renamed
            shown = {path: number for path, number in names.items() if not path.endswith(".tmp")}
            for contents in itertools.product(*(self._contents(number) for number in shown.values())):
                yield dict(zip(shown, contents, strict=True))

    def _contents(self, number: int) -> set[bytes]:
        """All that may be in a file: what was flushed, with the rest missing, cut, zeros, or whole."""
        whole, safe = self.written[number], self.flushed[number]
        half = len(safe) + (len(whole) - len(safe)) // 2
        return {safe, whole, whole[:half], safe + bytes(len(whole) - len(safe))}
