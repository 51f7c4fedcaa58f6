"""What is added from outside, one class or function and one entry each, meets the laws of what is there.

The toys are the examples of CONTRIBUTING.md (tests/toys.py), so that what that page says works.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOYS = ("mgu", "mingru", "since_comma", "lion", "echo", "Percent")  # what they are called where laws are gone through
QUICK = (
    *("tests/model/test_cells.py", "tests/model/test_language_model.py", "tests/training/test_optimiser.py", "tests/tasks"),
    *("tests/features/test_features.py", "tests/display/test_progress.py"),
)
TRAIN = """
import tests.toys
from charlm.cli.app import main
main(["train", "t.txt", "--max-steps", "20", "--hidden-size", "8", "--cell", "mgu", "--optimiser", "lion", "--task", "echo"])
"""
LOOK = """
import tests.toys
from charlm.cli.app import main
main(["inspect-cells", "t.txt", "--json", "--feature", "e=e"])
"""


def laws_kept(places: tuple[str, ...]) -> str:
    """The names of the laws that toys were held against in a pytest of its own, all of which they keep."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.toys", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-q", "-rp", "-m", "not slow", "-k", " or ".join(TOYS), *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


EVERYWHERE = pytest.param(("tests",), marks=[pytest.mark.slow, pytest.mark.timeout(900)], id="all")


@pytest.mark.parametrize("places", [pytest.param(QUICK, id="quick"), EVERYWHERE])
def test_a_toy_of_each_kind_keeps_the_laws_of_its_registry(places):
    """A cell, a feature, an optimiser, a task and a reporter: each is there where laws are gone through, and keeps them."""
    kept = re.findall(r"^PASSED .*\[(.*)\]$", laws_kept(places), re.MULTILINE)
    assert {toy for toy in TOYS if any(toy in name for name in kept)} == set(TOYS)


def test_a_run_with_toys_is_a_run(tmp_path):
    """The command line takes what was added by its name, and trains, saves, reads and inspects it."""
    (tmp_path / "t.txt").write_text("the cat sat on the mat. " * 200, encoding="utf-8")
    for code in (TRAIN, LOOK):
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}){code}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert '"feature": "e"' in done.stdout
    assert "since_comma" in done.stderr  # left out: there is no comma
