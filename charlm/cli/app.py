"""The `charlm` command: puts the commands together. The only place that turns an error into a message and an exit status."""

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

from charlm.cli import evaluate, info, inspect_cells, options, predict, sample, train
from charlm.cli.once import Once
from charlm.errors import CharlmError, Interrupted
from charlm.runs.signals import STOPPED, Interruption

INTERRUPTED = 128 + signal.SIGINT

app = typer.Typer(
    name="charlm",
    help="Train, use and understand recurrent networks that read text character by character.",
    epilog="Errors are one line; add --debug anywhere to see where one comes from.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("train", cls=Once, short_help="Train a model on a text, or on labelled texts.")(train.train)
app.command("sample", cls=Once, short_help="Draw text from a language model.")(sample.sample)
app.command(
    "inspect-cells", cls=Once, short_help="Find the units that track something in a text.", epilog=inspect_cells.EPILOG
)(inspect_cells.inspect_cells)
app.command("predict", cls=Once, short_help="Give labels to texts, or put spaces back.")(predict.predict)
app.command("eval", cls=Once, short_help="Score a model on a text, or on labelled texts.")(evaluate.evaluate)
app.command("info", cls=Once, short_help="Show what a model file says about itself.")(info.info)
COMMANDS = {command.name for command in app.registered_commands}


@app.callback()
def root(version: options.Version = False) -> None:
    """Train, use and understand recurrent networks that read text character by character."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command in `argv` (by default the arguments of this process) and exit with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    # Python sets a stream to None when the process was started with it closed.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 (open as long as the process lives)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stdin = sys.stdin or Path(os.devnull).open()  # noqa: SIM115 (likewise)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # write the same bytes on every system, whatever its encoding and line ends
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    arguments = [argument for argument in arguments if argument != "--debug"]
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads and torch's wait by spinning: one set is enough
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # makes CUDA sum a product alike, however it is called
    stop = Interruption()
    try:
        with stop:
            status = app(arguments, prog_name="charlm", standalone_mode=False)
        sys.stdout.flush()
        if status == INTERRUPTED:  # Typer turns a KeyboardInterrupt into this status
            raise KeyboardInterrupt
    except BaseException as error:
        if debug and not isinstance(error, SystemExit):
            write_error(traceback.format_exc())
        was_stopped = stop.signal and isinstance(error, KeyboardInterrupt | typer.Abort)
        message, hint, status = _explain(Interrupted(stop.signal, STOPPED) if was_stopped else error)
        if message:
            _say(message, hint, status, next((argument for argument in arguments if argument in COMMANDS), ""))
    if argv is None:
        gc.freeze()  # a last garbage collection through all of torch would take a third of a second
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: BaseException) -> tuple[str, str, int]:
    """Explain an error: one line (empty when there is nothing to say), a hint, and the exit status."""
    if isinstance(error, CharlmError):
        return error.message, error.hint, error.exit_code
    if hasattr(error, "format_message"):  # an error of Typer's; the name of its base class depends on the version
        return _explain_usage(error)
    # Typer and rich turn a closed pipe into SystemExit(1) and leave the cause in the context.
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush fails silently
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


def _explain_usage(error: Any) -> tuple[str, str, int]:  # noqa: ANN401 (the class depends on Typer's version)
    """Explain an error of Typer's, and suggest the option that was probably meant."""
    message: str = error.format_message().strip()
    hint, unknown = "see charlm COMMAND --help", getattr(error, "option_name", None)
    if "\n" in message:  # without arguments the message is the help
        print(message, file=sys.stderr)
        message = ""
    elif unknown is not None and message.startswith("No such option"):
        message = f"there is no option {unknown}"
        if meant := options.meant_by(unknown, [name for parameter in error.ctx.command.params for name in parameter.opts]):
            hint = f"did you mean {meant}? {hint[0].upper()}{hint[1:]}"
    return message.rstrip("."), hint, error.exit_code


def _say(message: str, hint: str, status: int, command: str) -> None:
    """Write one line about an error; the typed command replaces COMMAND in the hint."""
    line = f"charlm: {message}" if status > 128 else f"charlm: error: {message}"
    if hint:
        hint = hint.replace("charlm COMMAND", f"charlm {command}".strip())
        shown = hint if hint.startswith("charlm ") else hint[:1].upper() + hint[1:]  # a command is copied as it is
        stop = "" if message.endswith("?") else "."
        line += f"{stop} To go on: {hint}" if status > 128 else f"{stop} {shown}"
    write_error(line.replace("\n", " "))


def write_error(text: str) -> None:
    """Write a line about an error, with everything in it made visible."""
    from charlm.display.terminal import visible

    with contextlib.suppress(OSError, ValueError):  # the screen may have gone
        print(visible(text), file=sys.stderr)
