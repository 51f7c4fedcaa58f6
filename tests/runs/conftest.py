"""The runs that tests of resuming begin from: one for each cell, not begun, and the same trained to its end."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import TEXT, trained
from tests.conftest import CELLS
from tests.runs.reference import OPTIONS, go_on


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each cell, a run folder that was made and whose training was not begun."""
    folders = {}
    for cell in CELLS:
        base = tmp_path_factory.mktemp(cell)
        folder = trained(base, TEXT, "--cell", cell, "--num-layers", "2", *OPTIONS)
        for path in folder.iterdir():
            if path.name not in ("run.json", "corpus.bin"):
                path.unlink()
        folders[cell] = folder
    return folders


@pytest.fixture(scope="session")
def whole(started, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each cell, the same run without an interruption."""
    folders = {}
    for cell, source in started.items():
        folders[cell] = tmp_path_factory.mktemp("whole") / cell
        shutil.copytree(source, folders[cell])
        go_on(folders[cell])
    return folders


@pytest.fixture
def new_run(started, tmp_path: Path) -> Callable[..., Path]:
    """Make a fresh copy of a run that was not begun."""

    def copy(cell: str = "lstm") -> Path:
        shutil.copytree(started[cell], tmp_path / "run")
        return tmp_path / "run"

    return copy
