"""The runs that tests of resuming begin from: of each cell and each kind of labels, and the same trained to the end."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.reliability.figure import KINDS
from tests.commands import trained
from tests.conftest import CELLS
from tests.runs.reference import OPTIONS, go_on


class Made(dict[str, Path]):
    """Run folders by name, each made when it is first asked for."""

    def __init__(self, make: Callable[[str], Path]) -> None:
        self.make = make

    def __missing__(self, name: str) -> Path:
        self[name] = self.make(name)
        return self[name]


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By the name of a cell or of a kind of labels, a run folder that was made and whose training was not begun."""

    def make(name: str) -> Path:
        cell, kind = (name, "language") if name in CELLS else ("gru", name)
        file, text, options = KINDS[kind]
        base = tmp_path_factory.mktemp(name)
        folder = trained(base, text, *options, "--cell", cell, "--num-layers", "2", *OPTIONS, name=file)
        for path in folder.iterdir():
            if path.name not in ("run.json", "corpus.bin", "examples.bin"):
                path.unlink()
        return folder

    return Made(make)


@pytest.fixture(scope="session")
def whole(started, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By the same names, the same run without an interruption."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("whole") / name
        shutil.copytree(started[name], folder)
        go_on(folder)
        return folder

    return Made(make)


@pytest.fixture
def new_run(started, tmp_path: Path) -> Callable[..., Path]:
    """Make a fresh copy of a run that was not begun."""

    def copy(name: str = "lstm") -> Path:
        shutil.copytree(started[name], tmp_path / "run")
        return tmp_path / "run"

    return copy
