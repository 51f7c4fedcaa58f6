"""The `charlm` command: puts the commands together, and is the one place that turns an error into a message and exits."""

import contextlib
import gc
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from charlm.cli import evaluate, info, inspect_cells, options, sample, train
from charlm.errors import CharlmError, Interrupted
from charlm.runs.signals import STOPPED, Interruption

INTERRUPTED = 128 + signal.SIGINT

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
COMMANDS = {command.name for command in app.registered_commands}


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
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads and torch's wait by spinning: one set is enough
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's sums then come out alike, however a product is called
    stop = Interruption()
    try:
        with stop:
            status = app(arguments, prog_name="charlm", standalone_mode=False)
        sys.stdout.flush()
        if status == INTERRUPTED:  # which is how Typer passes on a KeyboardInterrupt
            raise KeyboardInterrupt
    except BaseException as error:
        if debug and not isinstance(error, SystemExit):
            _print(traceback.format_exc())
        was_stopped = stop.signal and isinstance(error, KeyboardInterrupt | typer.Abort)
        message, hint, status = _explain(Interrupted(stop.signal, STOPPED) if was_stopped else error)
        if message:
            _say(message, hint, status, next((argument for argument in arguments if argument in COMMANDS), ""))
    if argv is None:
        gc.freeze()  # the process ends: to look through all of torch once more for what is left would take a third of a second
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: BaseException) -> tuple[str, str, int]:
    """What went wrong in one line, which is empty where there is nothing to say; a hint; and the exit status."""
    if isinstance(error, CharlmError):
        return error.message, error.hint, error.exit_code
    if hasattr(error, "format_message"):  # Typer's own, whose common class has another name in each of its versions
        return _explain_usage(error)
    # Typer and rich turn a closed pipe into SystemExit(1), and leave the cause in the context.
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is said at the last flush either
        return "", "", 128 + getattr(signal, "SIGPIPE", 13)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return STOPPED, "", INTERRUPTED
    if isinstance(error, typer.Exit):
        return "", "", error.exit_code
    if isinstance(error, SystemExit):
        return "", "", error.code if isinstance(error.code, int) else 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", "check the disk and its permissions", 1
    if isinstance(error, MemoryError) or re.search("out of memory|allocate memory", str(error)):
        return f"not enough memory: {str(error).splitlines()[0] if str(error) else ''}", "choose smaller sizes", 1
    return f"{type(error).__name__}: {error}".splitlines()[0], "this is a bug in charlm; --debug shows where", 1


def _explain_usage(error: Any) -> tuple[str, str, int]:  # noqa: ANN401 (Typer has had no one class for it)
    """The same for an error of Typer's, with the option that was meant where one comes near."""
    message: str = error.format_message().strip()
    hint, unknown = "see charlm COMMAND --help", getattr(error, "option_name", None)
    if "\n" in message:  # no arguments at all: the message is the help
        print(message, file=sys.stderr)
        message = ""
    elif unknown is not None and message.startswith("No such option"):
        message = f"there is no option {unknown}"
        if meant := options.meant_by(unknown, [name for parameter in error.ctx.command.params for name in parameter.opts]):
            hint = f"did you mean {meant}? {hint[0].upper()}{hint[1:]}"
    return message.rstrip("."), hint, error.exit_code


def _say(message: str, hint: str, status: int, command: str) -> None:
    """Write one line about an error, in which COMMAND is the one that was typed."""
    line = f"charlm: {message}" if status > 128 else f"charlm: error: {message}"
    if hint:
        hint = hint.replace("charlm COMMAND", f"charlm {command}".strip())
        shown = hint if hint.startswith("charlm ") else hint[:1].upper() + hint[1:]  # a command is to be copied as it is
        stop = "" if message.endswith("?") else "."
        line += f"{stop} To go on: {hint}" if status > 128 else f"{stop} {shown}"
    _print(line.replace("\n", " "))


def _print(text: str) -> None:
    from charlm.display.terminal import visible

    with contextlib.suppress(OSError, ValueError):  # no one may be left to read it
        print(visible(text), file=sys.stderr)
