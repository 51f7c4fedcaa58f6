"""What a run does about the world around it: screens that go, and what others left behind."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from charlm.errors import RunError
from charlm.files import folder_lock
from charlm.runs.drive import Screen, drive
from charlm.runs.folder import open_run
from charlm.training.events import Event, RunDone, StepsDone
from tests.commands import TEXT, trained

STEPS = 40
WHEN = {"step": 3, "seconds": 1.0, "progress": 0.5}
EVENT = StepsDone(**WHEN, loss_nats=1.0, grad_norm=1.0, chars_per_second=1.0)


class Breaking:
    """A reporter that raises `fault` from `step` on, and keeps what it was told."""

    def __init__(self, step: int, fault: Exception) -> None:
        self.step, self.fault = step, fault
        self.told: list[int | str] = []

    def report(self, event: Event) -> None:
        self.told.append(event.step)
        if event.step >= self.step:
            raise self.fault

    def notice(self, text: str) -> None:
        self.told.append(text)

    def close(self) -> None:
        pass


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder that was made and whose training was not begun."""
    folder = trained(tmp_path, TEXT, "--max-steps", str(STEPS), "--eval-every", "10")
    for path in folder.iterdir():
        if path.name not in ("run.json", "corpus.bin"):
            path.unlink()
    return folder


GONE = [BrokenPipeError(), OSError(5, "Input/output error")]
FULL = OSError(28, "No space left on device")
FAULTS = [*GONE, FULL]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_lost_screen_is_told_nothing_more(fault):
    """From its first error of input and output on a screen is left alone, and the error is kept."""
    reporter = Breaking(0, fault)
    screen = Screen(reporter)
    screen.notice("before")
    for _ in range(2):
        screen.report(EVENT)
        screen.notice("after")
    assert reporter.told == ["before", 3]
    assert screen.lost is fault


def test_other_errors_of_a_screen_are_errors():
    """A reporter that is wrong is not taken for one that has gone."""
    with pytest.raises(ZeroDivisionError):
        Screen(Breaking(0, ZeroDivisionError())).report(EVENT)


def test_a_log_on_a_full_disk_does_not_stop_the_run(run):
    """What is shown may go to a file: when that can take no more, the run goes on to its end, and then says so."""
    reporter = Breaking(7, FULL)
    with pytest.raises(OSError, match="No space left"):
        drive(open_run(run), reporter, report_seconds=0.0)
    assert reporter.told[-1] == 7
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["event"] == "done"


@pytest.mark.parametrize("fault", GONE, ids=repr)
def test_a_lost_screen_stops_the_run_with_its_state_saved(run, fault):
    """The step at hand is the last one, it is saved, and the run is not scored: no one is there to wait for it."""
    reporter = Breaking(7, fault)
    with pytest.raises(type(fault)):
        drive(open_run(run), reporter, report_seconds=0.0)
    assert reporter.told[-1] == 7
    with safe_open(run / "last.safetensors", "pt") as file:
        assert json.loads(file.metadata()["charlm"])["position"]["step"] in (7, 8)
    assert (run / "model.safetensors").exists()
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert "done" not in {record["event"] for record in records}


def test_litter_of_a_process_that_was_killed_is_swept(run):
    """Temporary files are gone when a run begins, and nothing else is."""
    for name in ("last", "baselines"):
        (run / f".{name}.safetensors.0123abcd.tmp").write_bytes(b"half")
    for kept in (".note", "mine.tmp"):
        (run / kept).write_text("mine")

    class Looking(Breaking):
        def notice(self, text: str) -> None:
            self.told.append("".join(path.name for path in run.glob(".*.tmp")))

    looking = Looking(STEPS + 1, BrokenPipeError())
    assert isinstance(drive(open_run(run), looking), RunDone)
    assert looking.told[0] == ""
    assert {path.name for path in run.glob(".*")} == {".note"}
    assert (run / "mine.tmp").exists()


def test_the_temporary_files_of_another_trainer_are_not_litter(run):
    """While another process has the run, nothing in it is touched."""
    (run / ".last.safetensors.0123abcd.tmp").write_bytes(b"half")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with folder_lock(run), pytest.raises(RunError):
        drive(open_run(run), Breaking(0, BrokenPipeError()))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
