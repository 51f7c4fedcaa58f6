"""The quick form of `python -m benchmarks.reliability`, and that its removals still are what they say."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.reliability.__main__ import FIGURES
from benchmarks.reliability.removals import REMOVALS, Removal

ROOT = Path(__file__).parent.parent.parent


LONGER = ["kills", "exactness", "signals", "errors", "races", "hostile", "removals"]
QUICK = [asked.name for asked in FIGURES if asked.name not in LONGER]


@pytest.mark.parametrize(
    "names", [pytest.param(QUICK, id="quick"), *(pytest.param([name], id=name, marks=pytest.mark.slow) for name in LONGER)]
)
def test_every_promise_holds_in_its_quick_form(names):
    """Kills, losses of power, signals, errors, races, damage, forgeries, hostile texts and code points: nothing is wrong."""
    command = [sys.executable, "-m", "benchmarks.reliability", "--quick", "--only", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" cases, 0 wrong") == len(names)


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: removal.mechanism)
def test_a_mechanism_can_still_be_taken_out(removal):
    """What is to be removed is in its function, once, however it is laid out, and its test is there."""
    source = (ROOT / removal.file).read_text(encoding="utf-8")
    tidied = ast.unparse(ast.parse(source))  # without comments, each statement on a line
    assert removal.taken_out(source) == removal.taken_out(tidied) != tidied
    path, _, name = removal.test.partition("::")
    assert not name or re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("code", "times"), [("keep(3)", 0), ("keep(2)", 2)])
def test_what_stands_there_not_at_all_or_twice_is_not_taken_out(code, times):
    """Which one was meant is not guessed."""
    removal = Removal("mechanism", "charlm.module:function", code, "pass", "tests/test_files.py")
    with pytest.raises(ValueError, match=f"{times} times, not once"):
        removal.taken_out("def function():\n    keep(1)\n    keep(2)\n    if True: keep(2)\n\ndef other():\n    keep(3)\n")
