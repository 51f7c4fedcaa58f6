"""How long work says how far it is: it calls a `tell` that it is given. Knows nothing of the work or of who listens."""

from collections.abc import Callable

from charlm.text.corpus import Tell

TellMore = Callable[[int], None]  # how many characters more have been gone through


def tell_nobody(*_told: object) -> None:
    """Ignore what is told: for callers who want only the result."""


def count_in(tell: Tell, stage: str, total: int) -> TellMore:
    """Begin `stage`. Gives a callable that adds to its count and tells how far the stage is; `total` is all of it."""
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        tell(stage, min(1.0, done / max(1, total)))

    tell(stage, 0.0)
    return add
