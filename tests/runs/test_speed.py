"""How fast the machine is: from a clock that is ours, and for real."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from charlm.config import End, ModelConfig, TrainConfig
from charlm.recipe import REFERENCE, Wish, coarse
from charlm.runs import speed as module
from charlm.runs.facts import machine_facts
from charlm.runs.record import write_record
from charlm.runs.speed import CHARACTERS, Speed, earlier_speed, measured_speed, speed_here
from tests.conftest import CPU
from tests.runs.reference import RECORD

CARD = torch.device("cuda")


class Machine:
    """A clock, and steps that take `base + each * length` seconds, the first `cold` more; what was asked of it is noted."""

    def __init__(self, base: float, each: float, cold: float = 0.0) -> None:
        self.base, self.each, self.cold, self.time = base, each, cold, 0.0
        self.lengths: list[int] = []
        self.delays = iter(())

    def now(self) -> float:
        return self.time

    def steps(self, *_: object):
        def step(length: int) -> float:
            took = self.base + self.each * length + next(self.delays, 0.0) + (0 if self.lengths else self.cold)
            self.lengths.append(length)
            self.time += took
            return took

        return step

    @property
    def true_speed(self) -> float:
        return CHARACTERS / (self.base + self.each * REFERENCE.seq_len)


def measured(machine: Machine, seconds: float, monkeypatch: pytest.MonkeyPatch, device: torch.device = CPU) -> Speed:
    monkeypatch.setattr(module, "_steps", machine.steps)
    return measured_speed(ModelConfig(), TrainConfig(), device, "fp32", seconds, machine.now)


@pytest.mark.parametrize("base", [0.0, 1e-4, 0.04])
@pytest.mark.parametrize("each", [1e-5, 1e-3, 2e-2])
@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.5])
def test_the_speed_is_that_of_the_reference_shape(base, each, seconds, monkeypatch):
    """It is taken where time suffices, and else reckoned: exactly, where steps take a constant and so much a character."""
    machine = Machine(base, each, cold=0.02)
    found = measured(machine, seconds, monkeypatch)
    assert found.is_rough == (REFERENCE.seq_len not in machine.lengths)
    if len(set(machine.lengths)) > 2:
        assert found.characters == pytest.approx(machine.true_speed)
    else:  # from one length alone, a constant is not told from the rest
        assert 1 / 8 < found.characters / machine.true_speed < 8


@pytest.mark.parametrize("base", [1e-4, 1e-2, 0.2])
@pytest.mark.parametrize("each", [1e-6, 1e-4, 5e-3, 0.5])
@pytest.mark.parametrize("seconds", [0.1, 0.2, 1.5])
def test_measuring_keeps_to_its_time(base, each, seconds, monkeypatch):
    """After the first two steps, of which nothing could be foretold, it ends well before a tenth of a time limit."""
    machine = Machine(base, each)
    measured(machine, seconds, monkeypatch)
    assert machine.time <= seconds * 0.1 / module.SHARE or machine.lengths in ([1], [1, 8])


def test_a_step_that_was_disturbed_does_not_count(monkeypatch):
    """Of repeated steps the quickest is taken."""
    machine = Machine(0.0, 1e-4)
    machine.delays = iter([0.0] * 4 + [0.5, 0.0, 0.3])
    assert measured(machine, 1.5, monkeypatch).characters == pytest.approx(machine.true_speed)


@pytest.mark.parametrize("base", [1e-3, 0.01])
def test_on_a_card_what_a_launch_takes_does_not_count(base, monkeypatch):
    """There a run's steps are launched in one piece; neither a cold start nor a delay is taken for work."""
    machine = Machine(base, 3e-5, cold=0.3)
    machine.delays = iter([0.0, 0.05, 0.0, 0.02, 0.0, 0.05, 0.01, 0.0, 0.03])
    found = measured(machine, 1.5, monkeypatch, CARD)
    assert not found.is_rough
    assert found.characters == pytest.approx(CHARACTERS / (3e-5 * REFERENCE.seq_len))


def test_a_card_that_cannot_be_measured_is_taken_for_a_usual_one(monkeypatch):
    """Where there is no time; and one whose work does not show beside the launches has the highest speed there is."""
    assert measured(Machine(0.01, 1e-4, cold=2.0), 1.5, monkeypatch, CARD) == Speed(module.CARD_SPEED, is_rough=True)
    assert measured(Machine(0.01, 0.0), 1.5, monkeypatch, CARD).characters == module.MOST_SPEED


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_real_machine_has_a_speed(cell):
    """Every cell and optimiser can be measured, whatever the time."""
    for optimiser in ("muon", "adamw"):
        found = measured_speed(ModelConfig(cell=cell), TrainConfig(optimiser=optimiser), CPU, "fp32", 0.0)
        assert found.is_rough
        assert found.characters > 0


def test_measuring_changes_nothing_else():
    """The global random state is as it was."""
    before = torch.get_rng_state()
    measured_speed(ModelConfig(), TrainConfig(), CPU, "fp32", 0.0)
    assert torch.equal(before, torch.get_rng_state())


FACTS = machine_facts(CPU, "fp32")


def record(place: Path, name: str, number: int, speed: object, facts=FACTS, cell: str = "lstm", **others: object) -> None:
    (place / name).mkdir()
    path = place / name / "run.json"
    write_record(path, replace(RECORD, number=number, machine=facts, model=ModelConfig(cell=cell)))
    contents = json.loads(path.read_text()) | {"recipe": {"speed": speed, "speed_is": "measured"}}
    path.write_text(json.dumps(contents | others))


def wish(seconds: float | None = None) -> Wish:
    return Wish(model=ModelConfig(), training=TrainConfig(), end=End.of(seconds=seconds))


def test_a_machine_is_remembered_by_its_newest_run(tmp_path: Path):
    """Of the runs beside the new one, on such a machine, of such a cell; nothing that is damaged or strange is in the way."""
    assert earlier_speed(tmp_path, FACTS, wish()) is None
    assert earlier_speed(tmp_path / "nowhere", FACTS, wish()) is None
    record(tmp_path, "old", 1, 13e3)
    record(tmp_path, "later", 2, 65e3, started="2026-02-02")
    record(tmp_path, "earlier", 2, 17e3)
    assert earlier_speed(tmp_path, FACTS, wish()) == 65e3
    record(tmp_path, "elsewhere", 3, 7e3, replace(FACTS, processor="another"))
    record(tmp_path, "other-cell", 4, 9e3, cell="rnn")
    record(tmp_path, "counted", 5, None)
    record(tmp_path, "odd", 6, "fast")
    record(tmp_path, "worse", 7, -1.0)
    record(tmp_path, "given", 8, 5e3, recipe={"speed": 5e3, "speed_is": "given"})
    record(tmp_path, "rough", 9, 5e3, recipe={"speed": 5e3, "speed_is": "rough"})
    record(tmp_path, "of-before", 10, 5e3, recipe={"preset": "auto"})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert earlier_speed(tmp_path, FACTS, wish()) == 65e3


def test_what_is_known_of_a_machine_comes_before_a_rough_look(tmp_path: Path, monkeypatch):
    """A run too short to measure well, or at all, takes what an earlier one was told; without one, what it can get."""
    monkeypatch.setattr(module, "measured_speed", lambda *_: Speed(5e3, is_rough=True))
    assert speed_here(wish(2.0), FACTS, tmp_path, CPU) == Speed(coarse(5e3), is_rough=True)
    assert speed_here(wish(0.5), FACTS, tmp_path, CPU) is None
    record(tmp_path, "known", 1, 13e3)
    for seconds in (0.5, 2.0, None):
        assert speed_here(wish(seconds), FACTS, tmp_path, CPU) == Speed(13e3, is_rough=False)
    monkeypatch.setattr(module, "measured_speed", lambda *_: Speed(65e3, is_rough=False))
    assert speed_here(wish(), FACTS, tmp_path, CPU) == Speed(65e3, is_rough=False)


def test_what_goes_wrong_while_measuring_stops_no_run(tmp_path: Path, monkeypatch):
    """Memory that a card has no more, for one: training itself will say it better."""

    def fail(*_: object) -> Speed:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "measured_speed", fail)
    assert speed_here(wish(), FACTS, tmp_path, CPU) is None
