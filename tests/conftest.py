"""What the tests share: small texts, small models, and the command run in this process."""

import io
import os
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from benchmarks.machine import heed_signals
from charlm.checkpoint.training import trainer_bytes
from charlm.cli.app import main
from charlm.config import ModelConfig
from charlm.model import cells
from charlm.model.devices import CPU, runs
from charlm.model.language_model import LanguageModel
from charlm.training.trainer import Trainer
from tests.lanes import mark, quick

CELLS = tuple(cells.CELLS)
LAYERS = (1, 2, 3)
AUSTEN = Path(__file__).parent.parent / "data" / "austen.txt"

NEEDS_BF16 = pytest.mark.skipif(not runs("bf16", CPU), reason="this processor has no bfloat16 LSTM")

# Tests are of the processor, but for those that are marked `cuda`: what they take for the best device is the same everywhere.
CUDA = {"is_available": torch.cuda.is_available, "device_count": torch.cuda.device_count}
HIDDEN = {"is_available": lambda: False, "device_count": lambda: 0}
SEEN_BY_COMMANDS = os.environ.get("CUDA_VISIBLE_DEVICES")
HAS_CUDA = torch.cuda.is_available()

heed_signals()  # also in the background of a script, and with that whatever a test starts
torch.set_num_threads(1)  # small models need no more, and threads that wait for a busy core are slow
os.environ["OMP_NUM_THREADS"] = "1"  # the same for the commands that tests start


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is no quick test."""
    mark(items)


@pytest.hookimpl(tryfirst=True)  # before any fixture is made, of whatever scope
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs CUDA where there is none, and hide it from everything else."""
    needs_cuda = item.get_closest_marker("cuda") is not None
    if needs_cuda and not HAS_CUDA:
        pytest.skip("there is no CUDA here")
    for name, function in (CUDA if needs_cuda else HIDDEN).items():
        setattr(torch.cuda, name, function)
    if not needs_cuda:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif SEEN_BY_COMMANDS is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = SEEN_BY_COMMANDS


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """What is taken for quick starts no process, nor do its fixtures."""
    quick[:] = [] if item.get_closest_marker("whole") or item.get_closest_marker("slow") else [item]
    yield
    quick.clear()


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def with_denormals() -> Iterator[None]:
    """What a command sets for the whole process does not reach the next test."""
    yield
    torch.set_flush_denormal(False)


def new_model(cell: str, num_layers: int, vocab_size: int = 13, dropout: float = 0.0, seed: int = 0) -> LanguageModel:
    """A small untrained model; V, E and H all differ, so that a transpose fails."""
    config = ModelConfig(cell=cell, embedding_size=5, hidden_size=7, num_layers=num_layers, dropout=dropout)
    return LanguageModel.initialised(config, vocab_size, generator=torch.Generator().manual_seed(seed))


def save_trainer(path: Path, trainer: Trainer) -> None:
    """Save all that an exact continuation needs."""
    path.write_bytes(trainer_bytes(trainer))


class Replayed:
    """What a CUDA graph does: at each call the same work on the same tensors, whose contents are anything until then."""

    def __init__(self, function, arguments, generators=()):
        self.function, self.arguments = function, [each.clone() for each in arguments]
        self.results = function(*self.arguments)  # a graph would do what this does to Python's objects, and no more
        for each in self.results:
            each.fill_(torch.nan)

    def __call__(self, *arguments):
        for mine, given in zip(self.arguments, arguments, strict=True):
            mine.copy_(given)
        results = self.function(*self.arguments)
        for mine, new in zip(self.results, results, strict=True):
            mine.copy_(new)
        return self.results


class Philox(torch.Generator):
    """A GPU's generator, as a trainer sees it: what it draws follows from the 16 bytes of its state, a seed and an offset.

    Whoever draws calls `turn` first, for torch draws from the processor's generator that this is made of.
    """

    device = torch.device("cuda")

    def __init__(self, *_):
        super().__init__()
        self.manual_seed(0)

    def manual_seed(self, seed):
        self.seed, self.offset = seed, 0
        return self

    def turn(self):
        super().manual_seed(self.seed * 1_000_003 + self.offset)
        self.offset += 4

    def get_state(self):
        return torch.frombuffer(bytearray(struct.pack("<Qq", self.seed, self.offset)), dtype=torch.uint8)

    def set_state(self, state):
        if state.numel() != 16:
            raise RuntimeError("RNG state is wrong size")
        seed, offset = struct.unpack("<Qq", state.numpy().tobytes())
        if offset % 4:
            raise RuntimeError("offset must be a multiple of 4")
        self.seed, self.offset = seed, offset
        return self

    def clone_state(self):
        return Philox().set_state(self.get_state())


@dataclass
class Result:
    """What a command did."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.out.decode("utf-8")


@pytest.fixture
def charlm(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `charlm ARGUMENTS` in this process, with `stdin` bytes, and give its status and output."""

    def run(*arguments: str | os.PathLike[str], stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as left:
            main([os.fspath(argument) for argument in arguments])
        sys.stdout.flush()
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        status = left.value.code
        return Result(status if isinstance(status, int) else 0, captured.out, captured.err.decode("utf-8"))

    return run
