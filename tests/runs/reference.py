"""Runs of forty steps: how they are stopped, damaged and resumed in tests, and that two of them ended alike."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open

from charlm.config import CorpusConfig, End, ModelConfig, TrainConfig
from charlm.runs.drive import drive
from charlm.runs.folder import open_run
from charlm.runs.record import MachineFacts, RunRecord
from charlm.text.parts import Splits
from charlm.text.vocab import Vocab
from charlm.training.events import Event, StepsDone

STEPS = 40

LABELLED = ("classify", "tag", "restore")  # the runs that learn labels, by their names

OPTIONS = ("--max-steps", str(STEPS), "--eval-every", "10", "--sample-every", "15", "--dropout", "0.1")


RECORD = RunRecord(
    argv=("charlm", "train"),
    number=7,
    text=CorpusConfig(),
    machine=MachineFacts(threads=2),
    model=ModelConfig(),
    training=TrainConfig(),
    end=End("steps", 300),
    vocab=Vocab(kind="char", symbols=(97, 98), start=1),
    splits=Splits(train=9, validation=10, test=11),
    corpus_sha256="a" * 64,
    ids_sha256="b" * 64,
)


class Silent:
    """A reporter that shows nothing, and does `act` at each event."""

    def __init__(self, act: Callable[[Event], None] = lambda _event: None) -> None:
        self.act = act
        self.notices: list[str] = []

    def report(self, event: Event) -> None:
        self.act(event)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def close(self) -> None:
        pass


class PowerCut(BaseException):
    """The end of the process, as far as a run can tell."""


def cut_at_event(number: int) -> Callable[[Event], None]:
    seen: list[Event] = []

    def act(event: Event) -> None:
        seen.append(event)
        if len(seen) == number:
            raise PowerCut

    return act


def signal_at_step(step: int, number: int = signal.SIGINT) -> Callable[[Event], None]:
    """Send this process the signal `number` right after `step`, so that the next step is the last."""

    def act(event: Event) -> None:
        if isinstance(event, StepsDone) and event.step == step:
            os.kill(os.getpid(), number)

    return act


def go_on(folder: Path, act: Callable[[Event], None] = lambda _event: None, end: End | None = None) -> Silent:
    """Resume the run in `folder`, reporting every step."""
    reporter = Silent(act)
    drive(open_run(folder, end=end), reporter, report_seconds=0.0)
    return reporter


def tensors_and_head(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        head = json.loads(file.metadata()["charlm"])
    del head["sha256"], head["position"]["seconds"]
    return tensors, head


def assert_same_end(folder: Path, other: Path) -> None:
    """Both runs ended alike, bit for bit; only how long it took may differ."""
    assert (folder / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    (mine, my_head), (theirs, their_head) = (tensors_and_head(path / "last.safetensors") for path in (folder, other))
    assert my_head == their_head
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert torch.equal(mine[name], theirs[name]), name


def assert_metrics_grow(folder: Path) -> None:
    """metrics.jsonl has only whole lines, each kind of event at most once a step, in order, and one done at the end."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for kinds in (("step",), ("eval",), ("sample", "predictions")):
        steps = [record["step"] for record in records if record["event"] in kinds]
        assert steps == sorted(set(steps)), (kinds, steps)
        assert steps
    assert [record["event"] for record in records].count("done") == 1
    assert records[-1]["event"] == "done"


def flip(path: Path, offset: int = -3) -> None:
    contents = bytearray(path.read_bytes())
    contents[offset] ^= 1
    path.write_bytes(contents)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "flipped bit": flip,
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "a model": lambda path: shutil.copy(path.with_name("model.safetensors"), path),
}


def set_record(folder: Path, **changes: object) -> None:
    contents = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(contents | changes))
