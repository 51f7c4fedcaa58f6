"""The errors that charlm reports to its users. Does not print or exit: `cli/app.py` does.

CharlmError              exit status 1
|-- UsageError                       2   an option or argument that makes no sense
|-- TextError                        1   a corpus, prompt or text that cannot be read
|-- CheckpointError                  1   a model or training file that cannot be trusted
|   `-- NewerError                   1   a file that a later charlm wrote
|-- RunError                         1   a run folder that cannot be used as asked
|-- DivergedError                    3   the loss is no longer a finite number
`-- Interrupted              128 + signal  stopped by a Unix signal, everything saved
"""

MOST_SHOWN = 200


def brief(value: str) -> str:
    """A value as messages show it: only its beginning where it is long, because it may come from an untrusted file."""
    return value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}..."


def counted(number: int, what: str) -> str:
    """A number of things in words: "1 character", "2,000 characters"."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def gigabytes(size: float) -> str:
    """A `size` in bytes in words: "1.5 GB"."""
    return f"{size / 1e9:,.1f} GB"


class CharlmError(Exception):
    """What happened, with the value seen, and a `hint` of what to try first."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CharlmError):
    """An option or argument that makes no sense; the message names it."""

    exit_code = 2


class TextError(CharlmError):
    """A corpus, prompt or text that cannot be read or encoded."""


class CheckpointError(CharlmError):
    """A checkpoint file that is damaged, incomplete, or not charlm's."""


class NewerError(CheckpointError):
    """A file that is whole, but that only a later charlm understands."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "upgrade charlm")


class RunError(CharlmError):
    """A run folder that cannot be made, locked or resumed."""


class DivergedError(CharlmError):
    """Training whose loss or gradient turned NaN or infinite."""

    exit_code = 3


class Interrupted(CharlmError):
    """A Unix signal ended the run after its work was saved; the hint is the command that resumes it."""

    def __init__(self, signal_number: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number
