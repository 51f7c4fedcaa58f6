"""The command as a whole: help is quick, every fault is one line and a status, and a signal ends it at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import charlm as package
from charlm.cli import options
from charlm.cli.app import app
from charlm.errors import Interrupted
from tests.commands import COMMAND, SHORT, TEXT, is_error, running

COMMANDS = ("train", "sample", "predict", "inspect-cells", "eval", "info")

WITHOUT_TORCH = """
import sys
from charlm.cli.app import main
for line in sys.stdin.read().splitlines():
    try:
        main(line.split())
    except SystemExit as left:
        print("status", left.code, line)
    assert "torch" not in sys.modules and "numpy" not in sys.modules, line
"""


def test_help_versions_and_usage_errors_import_no_torch(tmp_path: Path):
    """What needs no torch does not wait for it."""
    good = ["--help", "--version", *(f"{command} {option}" for command in COMMANDS for option in ("--help", "--version"))]
    wrong = [
        "train",
        "train --hidden-size 0 t.txt",
        "nonsense",
        "sample --temperature -1",
        "predict",
        "eval --unknown perhaps t.txt",
        "train --max-time 5x t",
        "inspect-cells --show 0",
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], input="\n".join(good + wrong), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status")]
    assert statuses == [f"status 0 {line}" for line in good] + [f"status 2 {line}" for line in wrong]


@pytest.mark.parametrize("given", [None, "3"])
def test_numpy_has_one_thread_unless_the_user_says_otherwise(given):
    """Its library is told before it is loaded, for then it is too late."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment |= {} if given is None else {"OPENBLAS_NUM_THREADS": given}
    asked = """
import os, sys
from charlm.cli.app import main
try:
    main(["--version"])
except SystemExit:
    print(os.environ["OPENBLAS_NUM_THREADS"], "numpy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", asked], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{given or 1} False"


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_the_version_is_everywhere(charlm, command):
    """--version prints one line on the root and on every command."""
    result = charlm(*command, "--version")
    assert (result.status, result.text, result.err) == (0, f"charlm {package.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_option_and_an_example(charlm, command):
    """--help goes to standard output, names every option that is not for the few, and has an example to copy."""
    result = charlm(command, "--help")
    assert result.status == 0
    assert result.err == ""
    assert f"Example: charlm {command}" in result.text
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    for parameter in parameters:
        for option in parameter.opts if parameter.param_type_name == "option" else []:
            assert (option in result.text) != parameter.hidden, option


def test_no_arguments_show_the_help(charlm):
    """`charlm` alone says what there is, and is no success."""
    result = charlm()
    assert result.status == 2
    assert result.out == b""
    for command in COMMANDS:
        assert command in result.err


USAGE = [
    ("nonsense",),
    ("--nonsense",),
    ("train", "--nonsense"),
    ("train", "--hidden-size"),
    ("train", "t.txt", "--hidden-size", "1.5"),
    ("sample", "positional"),
    ("sample", "--length", "many"),
    ("sample", "--seed", "-1"),
    ("sample", "--unknown", "guess"),
    ("sample", "--prompt", "a", "--prompt-file", "b"),
    ("sample", "--device", "tpu"),
    ("sample", "--threads", "-1"),
    ("inspect-cells", "--seed", "-1"),
    ("inspect-cells", "--unknown", "guess"),
    ("inspect-cells", "a.txt", "b.txt"),
    ("eval",),
    ("eval", "t.txt", "--json", "--per-character"),
    ("eval", "t.txt", "--unknown", "guess"),
    ("info", "extra"),
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_one_line_and_status_two(charlm, arguments):
    """What cannot be meant is exit status 2, one line, and a hint."""
    is_error(charlm(*arguments), 2)


def test_debug_shows_where_an_error_comes_from(charlm):
    """With --debug, anywhere, there is a traceback as well as the line."""
    for arguments in (("--debug", "train", "nope.txt"), ("train", "nope.txt", "--debug")):
        result = charlm(*arguments)
        assert result.status == 1
        assert "Traceback" in result.err
        assert result.err.splitlines()[-1].startswith("charlm: error: ")


def test_python_m_charlm_is_the_command():
    """`python -m charlm` is `charlm`."""
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"charlm {package.__version__}\n", "")


FAULTS = [
    (KeyboardInterrupt(), 130, "charlm: interrupted"),
    (MemoryError(), 1, "charlm: error: not enough memory"),
    (PermissionError(13, "Permission denied", "x\x1b"), 1, "charlm: error: x␛: Permission denied"),
    (OSError(28, "No space left on device"), 1, "charlm: error: No space left on device"),
    (ZeroDivisionError("two\nlines"), 1, "charlm: error: ZeroDivisionError: two"),
    (Interrupted(15, "saved", "go"), 143, "charlm: saved. To go on: go"),
]


@pytest.mark.parametrize(("fault", "status", "line"), FAULTS, ids=lambda value: type(value).__name__)
def test_whatever_goes_wrong_is_one_line(charlm, monkeypatch, fault, status, line):
    """The boundary turns any exception into one harmless line and a status."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise fault

    monkeypatch.setattr(options, "open_model", fail)
    result = charlm("sample")
    assert result.status == status
    assert result.err.startswith(line)
    assert result.err.count("\n") == 1
    assert "\x1b" not in result.err
    assert result.out == b""


def test_a_full_disk_is_one_line(charlm, monkeypatch, tmp_path: Path):
    """When the last save fails, a run ends with one line, and what was saved before stays."""
    (tmp_path / "t.txt").write_text(TEXT)
    from charlm.runs import disk

    real, written = disk.write_atomically, []

    def full(path, contents, keep=None):
        written.append(path)
        if len(written) > 3:
            raise OSError(28, "No space left on device", str(path))
        real(path, contents, keep)

    monkeypatch.setattr(disk, "write_atomically", full)
    is_error(
        charlm("train", "t.txt", *SHORT, "--eval-every", "1", "--quiet"), 1, "No space left on device", "--resume checkpoints/t"
    )
    monkeypatch.setattr(disk, "write_atomically", real)
    assert charlm("train", "--resume", "t").status == 0


@pytest.mark.parametrize("number", ["7", "128", "999", "99999999999999999999"])
def test_a_graphics_card_that_is_not_there_is_named(charlm, number):
    """Whatever the number, it is a usage error and no bug."""
    is_error(charlm("sample", "--device", f"cuda:{number}"), 2, f"--device cuda:{number}")


def test_overwriting_needs_to_be_told_what(charlm):
    """--overwrite without --out would replace nothing, and says so."""
    is_error(charlm("train", "t.txt", "--overwrite"), 2, "--overwrite", "--out")


@pytest.mark.parametrize("command", [("train", "-"), ("sample", "-n", "1", "-p", "-"), ("eval", "-"), ("inspect-cells", "-")])
def test_a_closed_standard_input_is_an_empty_one(command, tmp_path):
    """Reading from what was closed is no bug: no text to learn from or to look at, and a prompt like any other."""
    line = f"exec {sys.executable} -m charlm {' '.join(command)} <&-"
    result = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert result.returncode == (0 if command[0] == "sample" else 1)
    assert "bug" not in result.stderr


SLOW = """
import sys
from charlm.cli.app import app, main
app.command("slow")(lambda: __import__("slowly"))
main(["slow"])
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_amid_an_import_ends_the_command_at_once(tmp_path: Path, name):
    """What half a library would make of an exception is not waited for: the status is right, and one line says so."""
    (tmp_path / "slowly.py").write_text(
        "import time\nprint('ready', flush=True)\ntry:\n    time.sleep(60)\nexcept:\n    import nothing\n"
    )
    number = getattr(signal, name)
    with running(sys.executable, "-c", SLOW) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said = process.stderr.read()
    assert (process.returncode, said) == (128 + number, "charlm: interrupted\n")


def test_a_signal_that_was_ignored_stays_so(tmp_path: Path):
    """Under nohup a command outlives its terminal."""
    (tmp_path / "slowly.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    script = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" + SLOW
    with running(sys.executable, "-c", script) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143


def test_a_traceback_obeys_no_one_either(charlm, tmp_path: Path):
    """--debug shows where an error came from, and what it was about only harmlessly."""
    result = charlm("info", "-c", "\x1b[31m\u202e.txt", "--debug")
    assert "Traceback" in result.err
    assert "\x1b" not in result.err
    assert "\u202e" not in result.err
