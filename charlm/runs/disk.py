"""Writes a run's files. What the disk refuses waits in memory, and the next save tries it again."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from charlm.errors import RunError
from charlm.files import write_atomically
from charlm.runs.find import BASELINES, LAST, METRICS, MODEL, PREVIOUS
from charlm.runs.record import RUN
from charlm.training.events import Event, as_row


def sweep(folder: Path) -> None:
    """Remove the temporary files of a process killed while writing. The caller holds the folder's lock. Raises `OSError`."""
    for name in (MODEL, LAST, METRICS, RUN, BASELINES):
        for litter in folder.glob(f".{name}.*.tmp"):
            if litter.is_file():
                litter.unlink()


class Disk:
    """Writes the model, the state and the metrics of the run in `folder`; tells `notice` of trouble and keeps it in `trouble`.

    Saving a state makes the last one the previous one. With `keeps_previous` the first save does not: the last state is
    damaged then, and the previous one is the only good one.
    """

    def __init__(self, folder: Path, notice: Callable[[str], None], *, keeps_previous: bool = False) -> None:
        self.folder, self.notice, self.keeps_previous = folder, notice, keeps_previous
        self.trouble: OSError | None = None
        self._pending: dict[str, bytes] = {}
        self._lines = b""

    def cut_metrics(self, step: int, *, is_over: bool) -> bool:
        """Drop torn rows and the rows after `step`, which the run will write again; returns whether a row says it is done.

        The file is always written, so that a folder that cannot be written to raises `RunError` before the first step.
        """
        path, kept, done = self.folder / METRICS, [], False
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                    row = json.loads(line)
                    is_done = row["event"] == "done"
                    if row["step"] <= step and (is_over or not is_done):
                        kept.append(line)
                        done = done or is_done
            write_atomically(path, "".join(line + "\n" for line in kept).encode())
        except OSError as error:
            hint = "make room there, or copy the run to where you may write"
            raise RunError(f"{self.folder} cannot be written to: {error.strerror}", hint) from error
        return done

    def save(self, name: str, contents: bytes) -> None:
        """Write `contents` as the run's model or state, keeping the old state, and whatever still waits."""
        self._pending[name] = contents
        self._write()

    def log(self, event: Event) -> None:
        """Add the event's row to the metrics, if it has one."""
        row = as_row(event)
        if row is not None:
            self._lines += json.dumps(row).encode() + b"\n"
            self._append()

    def _write(self) -> None:
        """Write what waits: the model before the state that counts on it, and no state whose model could not be written."""
        before, self.trouble = self.trouble, None
        try:
            for name in (MODEL, LAST):
                if name in self._pending:
                    is_kept = name == LAST and not self.keeps_previous
                    write_atomically(self.folder / name, self._pending[name], self.folder / PREVIOUS if is_kept else None)
                    del self._pending[name]
                    self.keeps_previous = self.keeps_previous and name != LAST
        except OSError as error:
            self.trouble = error
            if before is None:
                why = error.strerror or error
                self.notice(f"{name} could not be saved: {why}; training goes on, and each save tries again")
        if before is not None and self.trouble is None:
            self.notice("saved again: what could not be saved before is on the disk now")

    def _append(self) -> None:
        """Append the waiting rows to the metrics, all or none; what the disk refuses goes on waiting."""
        path = self.folder / METRICS
        with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:  # a failing save reports the trouble
            end = file.tell()
            if file.write(self._lines) == len(self._lines):
                self._lines = b""
            else:
                file.truncate(end)

    def require_saved(self, how_to_go_on: str) -> None:
        """Raise `RunError` when the last save failed."""
        if self.trouble is not None:
            why = self.trouble.strerror or self.trouble
            raise RunError(f"{self.folder} could not be saved: {why}", f"make room on its disk, then: {how_to_go_on}")
