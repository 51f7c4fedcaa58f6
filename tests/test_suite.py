"""The tests themselves: each says what its law is, and what starts a process is kept out of the fast lane."""

import ast
import contextlib
import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from charlm.cli.app import main
from charlm.training.loop import train, training_step
from tests import commands, lanes

FILES = sorted(Path(__file__).parent.rglob("test_*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@each_file
def test_every_test_is_a_law_in_words(path: Path):
    """A file of tests says what its laws are about, and each test says its law."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    laws = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert [getattr(node, "name", path.name) for node in (tree, *laws) if not ast.get_docstring(node)] == []


def starts_a_process():
    subprocess.run(["true"], check=True)


class StartsItLater:
    def begin(self):
        return [starts_a_process() for _ in range(2)]


QUICK = [lambda: training_step, lambda: Path("subprocess"), lambda: [os.getpid()]]
NOT_QUICK = [
    starts_a_process,
    lambda: StartsItLater().begin(),
    lambda: main(["info"]),
    lambda: list(train),
    lambda: commands.trained(Path("text")),
    lambda: [os.fork()],
    contextlib.contextmanager(starts_a_process),
]


def test_what_reaches_a_command_a_run_or_a_process_is_not_quick():
    """However many helpers there are in between; what only makes a step, or names a thing, is quick."""
    assert [lanes.reaches(function, set()) for function in QUICK] == [False] * len(QUICK)
    assert [lanes.reaches(function, set()) for function in NOT_QUICK] == [True] * len(NOT_QUICK)


def test_a_quick_test_that_starts_a_process_is_told(request):
    """What reading the code does not show is found when it happens."""
    with pytest.raises(RuntimeError, match="takes it for quick"):
        os.system("true")
    assert request.node.get_closest_marker("whole") is None


@pytest.mark.parametrize("many", [1, lanes.FEW, lanes.FEW + 1, 4 * lanes.FEW, 1001])
def test_of_many_cases_a_few_are_quick(many):
    """They are spread over all of them, the first among them; where there are few, all are quick."""
    few = sorted(lanes.few_of(many))
    assert len(few) == min(many, lanes.FEW)
    assert few[0] == 0
    gaps = [second - first for first, second in pairwise([*few, many])]
    assert max(gaps) - min(gaps) <= 1
