"""What is measured where there is a card is tried here on a processor, small."""

import subprocess
import sys

import pytest

from benchmarks.gpu import ROWS
from tests.conftest import AUSTEN

ROOT = AUSTEN.parent.parent


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_needs_a_card_can_be_measured(tmp_path):
    """Every row comes to a figure, and what is compared byte by byte is the same."""
    table = tmp_path / "gpu.md"
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--small", "--to", str(table)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row.split(" | ")[0].strip("| "): row for row in table.read_text().splitlines() if row.startswith("| ")}
    assert rows.keys() == {"figure", *(row.name for row in ROWS)}
    assert not [row for row in rows.values() if "not measured" in row or "failed" in row or "skipped: " in row]
    assert rows["resumed on the device"].count("the same bytes") == 1 + 2  # what is to be reached, and both comparisons


def test_a_table_that_is_cut_off_says_what_is_missing(tmp_path):
    """With no time left each row says so, and the file is there."""
    table = tmp_path / "gpu.md"
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--small", "--minutes", "0", "--to", str(table)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert table.read_text().count("not measured: ") == len(ROWS)
