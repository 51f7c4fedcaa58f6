"""How fast the machine is: from a clock that is ours, and for real."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from charlm.config import End, ModelConfig, TrainConfig
from charlm.recipe import REFERENCE, Wish
from charlm.runs import speed as module
from charlm.runs.facts import machine_facts
from charlm.runs.speed import earlier_speed, measured_speed
from tests.conftest import CPU

CHARACTERS = REFERENCE.batch_size * REFERENCE.seq_len


class Machine:
    """A clock, and steps that take `base + each * length` seconds; what was asked of it is noted."""

    def __init__(self, base: float, each: float) -> None:
        self.base, self.each, self.time = base, each, 0.0
        self.lengths: list[int] = []

    def now(self) -> float:
        return self.time

    def steps(self, *_: object):
        def step(length: int) -> float:
            self.lengths.append(length)
            self.time += self.base + self.each * length
            return self.base + self.each * length

        return step


def measured(machine: Machine, seconds: float, monkeypatch: pytest.MonkeyPatch, device: torch.device = CPU) -> float:
    monkeypatch.setattr(module, "_steps", machine.steps)
    return measured_speed(ModelConfig(), TrainConfig(), device, "fp32", seconds, machine.now)


@pytest.mark.parametrize("base", [0.0, 1e-4, 0.04])
@pytest.mark.parametrize("each", [1e-5, 1e-3, 2e-2])
@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_the_speed_is_that_of_the_reference_shape(base, each, seconds, monkeypatch):
    """Where time suffices it is taken itself, else reckoned: exactly, where steps take a constant and so much a character."""
    machine = Machine(base, each)
    found = measured(machine, seconds, monkeypatch)
    true = CHARACTERS / (base + each * REFERENCE.seq_len)
    if len(set(machine.lengths)) > 2:
        assert found == pytest.approx(true)
    else:  # from one length alone, a constant is not told from the rest
        assert found <= true * 1.0001


@pytest.mark.parametrize("each", [1e-6, 1e-4, 1e-3, 5e-3])
@pytest.mark.parametrize("seconds", [0.1, 0.2, 1.0])
def test_measuring_keeps_to_its_time(each, seconds, monkeypatch):
    """No step is begun that would end later, on any machine that does the first few in it."""
    machine = Machine(1e-3, each)
    measured(machine, seconds, monkeypatch)
    assert machine.time <= seconds + 1e-3 + 8 * each


def test_a_step_that_was_disturbed_does_not_count(monkeypatch):
    """Of repeated steps the quickest is taken."""
    machine = Machine(0.0, 1e-4)
    real = machine.steps()
    delays = iter([0.0] * 5 + [0.5, 0.0])

    def steps(*_: object):
        def step(length: int) -> float:
            extra = next(delays, 0.0)
            machine.time += extra
            return real(length) + extra

        return step

    monkeypatch.setattr(module, "_steps", steps)
    found = measured_speed(ModelConfig(), TrainConfig(), CPU, "fp32", 1.0, machine.now)
    assert found == pytest.approx(CHARACTERS / (1e-4 * REFERENCE.seq_len))


def test_on_cuda_what_a_launch_takes_does_not_count(monkeypatch):
    """There a run's steps are launched in one piece."""
    found = measured(Machine(0.01, 1e-4), 1.0, monkeypatch, torch.device("cuda"))
    assert found == pytest.approx(CHARACTERS / (1e-4 * REFERENCE.seq_len))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_real_machine_has_a_speed(cell):
    """Every cell and optimiser can be measured, whatever the time."""
    for optimiser in ("muon", "adamw"):
        config = TrainConfig(optimiser=optimiser)
        assert measured_speed(ModelConfig(cell=cell), config, CPU, "fp32", 0.0) > 0


def test_measuring_changes_nothing_else():
    """The global random state is as it was."""
    before = torch.get_rng_state()
    measured_speed(ModelConfig(), TrainConfig(), CPU, "fp32", 0.0)
    assert torch.equal(before, torch.get_rng_state())


FACTS = machine_facts(CPU, "fp32")


def record(place: Path, name: str, number: int, speed: object, facts=FACTS, cell: str = "lstm", by_hand=()) -> None:
    contents = {
        "number": number,
        "machine": facts,
        "model": asdict(ModelConfig(cell=cell)),
        "training": asdict(TrainConfig()),
        "recipe": {"speed": speed, "by_hand": by_hand},
    }
    (place / name).mkdir()
    (place / name / "run.json").write_text(json.dumps(contents))


WISH = Wish(model=ModelConfig(), training=TrainConfig(), end=End())


def test_a_machine_is_remembered_by_its_newest_run(tmp_path: Path):
    """Of the runs beside the new one, on such a machine, of such a cell; nothing that is damaged or strange is in the way."""
    assert earlier_speed(tmp_path, FACTS, WISH) is None
    record(tmp_path, "old", 1, 13e3)
    record(tmp_path, "new", 2, 65e3)
    assert earlier_speed(tmp_path, FACTS, WISH) == 65e3
    record(tmp_path, "elsewhere", 3, 7e3, FACTS | {"processor": "another"})
    record(tmp_path, "other-cell", 4, 9e3, cell="rnn")
    record(tmp_path, "counted", 5, None)
    record(tmp_path, "odd", 6, "fast")
    record(tmp_path, "worse", 7, -1.0)
    record(tmp_path, "given", 8, 5e3, by_hand=["speed"])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert earlier_speed(tmp_path, FACTS, WISH) == 65e3
