"""How long work says how far it is: to a callable that it is handed. Knows nothing of the work, nor of who listens."""

from collections.abc import Callable

from charlm.text.corpus import Tell

TellCount = Callable[[int], None]  # how many characters more have been gone through


def tell_nobody(*_told: object) -> None:
    """Listen to nothing: for those who only want the result."""


def count_in(tell: Tell, stage: str, total: int) -> TellCount:
    """Begin `stage`, and tell how far it is as counts come in, `total` being all of it."""
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        tell(stage, min(1.0, done / max(1, total)))

    tell(stage, 0.0)
    return add
