"""The `charlm` command: puts the commands together, and is the one place that turns an error into a message and exits."""

import contextlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from charlm.cli import evaluate, info, inspect_cells, options, sample, train
from charlm.errors import CharlmError, Interrupted

INTERRUPTED, STOPPED = 128 + signal.SIGINT, "interrupted"

app = typer.Typer(
    name="charlm",
    help="Train, sample and understand character-level recurrent language models.",
    epilog="Errors are one line; put --debug anywhere to see where one comes from.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("train")(train.train)
app.command("sample")(sample.sample)
app.command("inspect-cells", epilog=inspect_cells.EPILOG)(inspect_cells.inspect_cells)
app.command("eval")(evaluate.evaluate)
app.command("info")(info.info)


@app.callback()
def root(version: options.Version = False) -> None:
    """Train, sample and understand character-level recurrent language models."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command in `argv` (the process's own, by default) and exit with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    # A process that was started with a stream closed has None in its place.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 (open as long as the process lives)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stdin = sys.stdin or Path(os.devnull).open()  # noqa: SIM115 (likewise)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # the same bytes on every system, whatever its own encoding and line ends are
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    arguments = [argument for argument in arguments if argument != "--debug"]
    stopped: list[int] = []
    try:
        with _noting_signals(stopped):
            status = app(arguments, prog_name="charlm", standalone_mode=False)
        sys.stdout.flush()
        if status == INTERRUPTED:  # which is how Typer passes on a KeyboardInterrupt
            raise KeyboardInterrupt
    except BaseException as error:
        if debug and not isinstance(error, SystemExit):
            _print(traceback.format_exc())
        was_stopped = stopped and isinstance(error, KeyboardInterrupt | typer.Abort)
        status = _explain(Interrupted(stopped[0], STOPPED) if was_stopped else error)
    sys.exit(status if isinstance(status, int) else 0)


@contextlib.contextmanager
def _noting_signals(stopped: list[int]) -> Iterator[None]:
    """While entered, SIGTERM and SIGHUP end a command as Ctrl-C does, tidily, by a KeyboardInterrupt; `stopped` has which came.

    A signal that was being ignored, as under nohup, stays so.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):  # which an exception may turn into anything; and there is nothing yet to leave tidy
            os.write(2, f"charlm: {STOPPED}\n".encode())
            os._exit(128 + number)
        stopped.append(number)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _explain(error: BaseException) -> int:
    """Say in one line what went wrong, where there is anything to say; gives the exit status."""
    if isinstance(error, CharlmError):
        return _say(error.message, error.hint, error.exit_code)
    if isinstance(error, typer.TyperException):
        message = error.format_message().strip()
        if not message or "\n" in message:  # no arguments at all: the message is the help
            print(message, file=sys.stderr)
            return error.exit_code
        return _say(message.rstrip("."), "see charlm --help, or charlm COMMAND --help", error.exit_code)
    # Typer and rich turn a closed pipe into SystemExit(1), and leave the cause in the context.
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is said at the last flush either
        return 128 + getattr(signal, "SIGPIPE", 13)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _say(STOPPED, "", INTERRUPTED)
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", "check the disk and its permissions", 1)
    if isinstance(error, MemoryError) or re.search("out of memory|allocate memory", str(error)):
        return _say(f"not enough memory: {str(error).splitlines()[0] if str(error) else ''}", "choose smaller sizes", 1)
    return _say(f"{type(error).__name__}: {error}".splitlines()[0], "this is a bug in charlm; --debug shows where", 1)


def _sentence(hint: str) -> str:
    return hint if hint.startswith("charlm ") else hint[:1].upper() + hint[1:]  # a command is to be copied as it is


def _say(message: str, hint: str, status: int) -> int:
    line = f"charlm: {message}" if status > 128 else f"charlm: error: {message}"
    if hint:
        stop = "" if message.endswith("?") else "."
        line += f"{stop} To go on: {hint}" if status > 128 else f"{stop} {_sentence(hint)}"
    _print(line.replace("\n", " "))
    return status


def _print(text: str) -> None:
    from charlm.display.terminal import visible

    with contextlib.suppress(OSError, ValueError):  # no one may be left to read it
        print(visible(text), file=sys.stderr)
