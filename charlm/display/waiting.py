"""What people see while a command works: a bar on a terminal; elsewhere a line before ten seconds of silence have passed.

Does not know what the work is: it is told the name of a stage and the fraction done.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from charlm.text.corpus import Tell

TICK = 3.0  # seconds
MOST_TICKS = 3  # of silence before a line is written: fewer than ten seconds


class Stderr:
    """Standard error as a file that swallows errors: a screen that has gone must not stop a run."""

    encoding = "utf-8"  # tells tqdm that its finer bars can be shown

    def write(self, text: str) -> None:
        """Write `text` if the screen is still there."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush if the screen is still there."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return sys.stderr.isatty()

    def fileno(self) -> int:
        """The descriptor, from which tqdm learns the terminal's width."""
        return sys.stderr.fileno()


class Silence:
    """Calls `say` after some seconds without output; whoever writes something calls `heard`."""

    def __init__(self, say: Callable[[], None]) -> None:
        self.say = say
        self.ticks = 0  # since the last output
        self.all_ticks = 0

    def heard(self) -> None:
        """Start counting again."""
        self.ticks = 0

    @contextlib.contextmanager
    def broken(self) -> Iterator[None]:
        """While entered, a thread breaks long silences."""
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(TICK):
                self.ticks, self.all_ticks = self.ticks + 1, self.all_ticks + 1
                if self.ticks >= MOST_TICKS:
                    self.heard()
                    self.say()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            is_over.set()
            watcher.join()


class Lines:
    """Without a terminal: after each silence, one line with the last progress told."""

    def __init__(self) -> None:
        self.err, self.silence = Stderr(), Silence(self.say)
        self.stage, self.fraction = "working", 0.0

    def tell(self, stage: str, fraction: float) -> None:
        """Keep the progress for the next line."""
        self.stage, self.fraction = stage, fraction

    def say(self) -> None:
        """Write the line."""
        self.err.write(f"{self.stage}: {self.fraction:.0%} after {self.silence.all_ticks * TICK:.0f} s\n")
        self.err.flush()


class Bar:
    """On a terminal: a bar for each stage, gone when the work is done."""

    FORMAT = "{desc} {bar} {percentage:3.0f}% {elapsed}"

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None
        self.stage = ""

    def tell(self, stage: str, fraction: float) -> None:
        """Show the progress."""
        if self.bar is None:
            self.bar = tqdm(total=1.0, file=Stderr(), bar_format=self.FORMAT, leave=False, dynamic_ncols=True, mininterval=0.1)
        if stage == self.stage:
            self.bar.update(fraction - self.bar.n)
        else:
            self.bar.n = fraction
            self.bar.set_description_str(f"{stage:38}")  # this redraws the bar at once
        self.stage = stage

    def close(self) -> None:
        """Leave nothing behind."""
        if self.bar is not None:
            self.bar.close()


@contextlib.contextmanager
def waiting() -> Iterator[Tell]:
    """Yield a callable to tell the progress to; while the block lasts, it is shown on standard error."""
    if sys.stderr.isatty():
        with contextlib.closing(Bar()) as bar:
            yield bar.tell
        return
    lines = Lines()
    with lines.silence.broken():
        yield lines.tell
