"""A run that was stopped, killed, damaged or edited: it ends as one that was not, or says why it cannot."""

import contextlib
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from benchmarks.reliability.faults import Op, Watch
from charlm.checkpoint.model import load_model
from charlm.config import End
from charlm.display.terminal import visible_line
from charlm.errors import CharlmError, Interrupted, RunError
from charlm.files import folder_lock
from charlm.runs.drive import drive
from charlm.runs.folder import open_run
from charlm.runs.signals import StopRequest
from charlm.tensorfile import TensorFile
from charlm.training.events import Event, StepsDone
from tests.commands import COMMAND, TEXT, TINY, is_error, running, trained
from tests.conftest import CELLS

STEPS = 40
OPTIONS = ("--max-steps", str(STEPS), "--eval-every", "10", "--sample-every", "15", "--dropout", "0.1")


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
    for kind in ("step", "eval", "sample"):
        steps = [record["step"] for record in records if record["event"] == kind]
        assert steps == sorted(set(steps)), (kind, steps)
        assert steps
    assert [record["event"] for record in records].count("done") == 1
    assert records[-1]["event"] == "done"


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize("cell", CELLS)
def test_an_interrupted_run_ends_like_one_that_was_not(new_run, whole, cell):
    """40 steps are the same bit for bit as 20 steps, a signal, and a resumption."""
    folder = new_run(cell)
    with pytest.raises(Interrupted) as stopped:
        go_on(folder, signal_at_step(19))
    assert "at step 20" in stopped.value.message
    assert "at step 20" in go_on(folder).notices[0]
    assert_same_end(folder, whole[cell])
    assert_metrics_grow(folder)


def test_a_run_interrupted_again_and_again_ends_the_same(new_run, whole):
    """Any number of interruptions, in the middle of epochs and of reports, change nothing."""
    folder = new_run()
    for step in (1, 4, 9, 13, 25, 38):
        with pytest.raises(Interrupted):
            go_on(folder, signal_at_step(step))
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


@pytest.mark.parametrize("number", [1, 5, 11, 12, 13, 24, 36, 48, 49])
def test_a_run_killed_at_any_event_ends_the_same(new_run, whole, number):
    """A process that ends without a word, at whatever event, costs time only."""
    folder = new_run()
    with pytest.raises(PowerCut):
        go_on(folder, cut_at_event(number))
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


@pytest.mark.parametrize("call", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("after", [False, True])
def test_a_run_killed_at_any_rename_ends_the_same(new_run, whole, monkeypatch, call, after):
    """A process that ends just before or after any file is put in its place costs time only."""
    folder, real, calls = new_run(), Path.replace, []

    def cut(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == call:
            if after:
                real(self, target)
            raise PowerCut
        return real(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(PowerCut):
        go_on(folder)
    monkeypatch.undo()
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


def test_a_run_killed_before_its_first_save_starts_over(new_run, whole, charlm):
    """Without anything saved, resuming is starting."""
    folder = new_run()
    result = charlm("train", "--resume", str(folder))
    assert result.status == 0
    assert_same_end(folder, whole["lstm"])


def test_a_signal_before_the_first_evaluation_leaves_a_model_without_a_score(new_run, charlm):
    """Stopped early, a run still leaves a model to sample from."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(2))
    scores = json.loads(charlm("info", "-c", str(folder), "--json").text)["scores"]
    assert scores["validation_nats"] is None
    assert charlm("sample", "-c", str(folder), "--length", "5", "--seed", "1").status == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_saves_and_says_how_to_go_on(charlm, tmp_path: Path, name):
    """The first signal ends a run with status 128 + its number, a model, and a command that can be copied."""
    (tmp_path / "t.txt").write_text(TEXT)
    number = getattr(signal, name)
    command = [*COMMAND, "train", "t.txt", *TINY, "--max-time", "1h", "--out", "my run"]
    with running(*command) as process:
        for line in process.stderr:
            if line.startswith("step "):
                break
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 128 + number
    last = rest.splitlines()[-1]
    step = int(re.findall(r"at step (\d+)", last)[0])
    assert "Traceback" not in rest
    assert not last.startswith("charlm: error")
    assert (tmp_path / "my run" / "model.safetensors").is_file()
    printed = shlex.split(last[last.index("charlm train") :])
    assert printed == ["charlm", "train", "--resume", "my run"]
    result = charlm(*printed[1:], "--max-steps", str(step + 2))
    assert result.status == 0, result.err
    assert f"at step {step}" in result.err


STUBBORN = """
import os, signal
from charlm.runs.signals import StopRequest
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    print("one", stop.signal, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print("two", flush=True)
"""


def test_a_second_signal_quits_at_once():
    """Who insists is obeyed."""
    done = subprocess.run([sys.executable, "-c", STUBBORN], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, "one 2\n")


def test_an_ignored_signal_stays_ignored():
    """A run under nohup does not stop when its terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_given_back():
    """After a run signals do what they did before."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal == signal.SIGTERM
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_resuming_a_finished_run_says_so_and_changes_nothing(charlm, new_run):
    """A run at its end stays as it is, to the byte."""
    folder = new_run()
    assert charlm("train", "--resume", "run").status == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = charlm("train", "--resume", "run")
    assert result.status == 0
    assert f"already trained to its end, step {STEPS}" in result.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_run_stopped_while_it_is_scored_is_scored_when_resumed(new_run, whole, monkeypatch):
    """The exact score that a signal cut short is taken by the resumption, and recorded."""
    from charlm.runs import drive as module

    folder, real = new_run(), module.surprisals

    def interrupted(model, ids, tell):
        os.kill(os.getpid(), signal.SIGINT)
        yield from real(model, ids, tell)

    monkeypatch.setattr(module, "surprisals", interrupted)
    with pytest.raises(Interrupted):
        go_on(folder)
    monkeypatch.undo()
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


OTHER_OPTIONS = [
    ("--hidden-size", "9"),
    ("--seed", "2"),
    ("--seed", "0"),
    ("--dropout", "0"),
    ("--learning-rate", "1"),
    ("--cell", "gru"),
    ("--cell", "lstm"),
    ("--out", "elsewhere"),
    ("--overwrite",),
    ("--symbols", "byte"),
    ("--eval-every", "3"),
]


@pytest.mark.parametrize("option", OTHER_OPTIONS, ids=" ".join)
def test_resuming_takes_no_other_option(charlm, new_run, option):
    """What a run was started with is not said again, and cannot be changed."""
    new_run()
    is_error(charlm("train", "--resume", "run", *option), 2, option[0])


def test_resuming_takes_no_corpus(charlm, new_run, tmp_path: Path):
    """A run has its corpus already."""
    (tmp_path / "t.txt").write_text(TEXT)
    new_run()
    is_error(charlm("train", "t.txt", "--resume", "run"), 2, "CORPUS")


@pytest.mark.parametrize(
    ("option", "value", "step"), [("--max-steps", "50", 50), ("--epochs", "4", 52), ("--max-steps", "15", 15)]
)
def test_moving_the_end_says_so_and_is_recorded(charlm, new_run, option, value, step):
    """A new end re-stretches the schedule, with a notice, and stays the run's end."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(11))
    result = charlm("train", "--resume", "run", option, value, "--json")
    assert result.status == 0, result.err
    assert f"the end moves from {STEPS} steps to {step} steps" in result.err
    assert "learning rate" in result.err
    assert json.loads(result.text.splitlines()[-1])["step"] == step
    assert json.loads((folder / "run.json").read_text())["end"] == {"unit": "steps", "amount": step}
    assert_metrics_grow(folder)


def test_the_same_end_again_is_no_move(charlm, new_run, whole):
    """Saying the end that a run has already changes nothing."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(11))
    result = charlm("train", "--resume", "run", "--max-steps", str(STEPS))
    assert "the end moves" not in result.err
    assert_same_end(folder, whole["lstm"])


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


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_last_state_falls_back_to_the_one_before(new_run, whole, how):
    """With last.safetensors damaged, previous.safetensors goes on, says so, and ends the same."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    DAMAGE[how](folder / "last.safetensors")
    reporter = go_on(folder)
    assert any("last.safetensors" in notice and "previous.safetensors" in notice for notice in reporter.notices)
    assert any("at step 20" in notice for notice in reporter.notices)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


def test_both_states_damaged_is_an_error(charlm, new_run):
    """With nothing to go on from, a run says so in its last line, and the model file stays."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    model = (folder / "model.safetensors").read_bytes()
    for name in ("last.safetensors", "previous.safetensors"):
        flip(folder / name)
    result = charlm("train", "--resume", "run", "--quiet")
    is_error(result, 1, "previous.safetensors", "hash")
    assert (folder / "model.safetensors").read_bytes() == model


def set_record(folder: Path, **changes: object) -> None:
    contents = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(contents | changes))


SPOILED: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda folder: (folder / "run.json").write_text("{"),
    "not an object": lambda folder: (folder / "run.json").write_text("[]"),
    "short corpus": lambda folder: os.truncate(folder / "corpus.bin", 100),
    "no corpus": lambda folder: (folder / "corpus.bin").unlink(),
    "one bit of the corpus": lambda folder: flip(folder / "corpus.bin"),
    "no hash": lambda folder: set_record(folder, ids_sha256=None),
    "a vocabulary that is smaller": lambda folder: set_record(folder, vocab={"kind": "char", "start": 0, "symbols": "\nabc"}),
    "a record without end": lambda folder: os.truncate(folder / "run.json", 1 << 25),
    "bad bytes": lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_run_folder_is_one_line_of_error(charlm, new_run, how):
    """A run folder that cannot be opened is an error that names it."""
    SPOILED[how](new_run())
    is_error(charlm("train", "--resume", "run"), 1, "run")


def test_two_trainers_do_not_share_a_folder(charlm, new_run):
    """While one process trains a run, another gets an error, and changes nothing."""
    folder = new_run()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with folder_lock(folder):
        is_error(charlm("train", "--resume", "run", "--max-steps", "99", "--quiet"), 1, "another process")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("torn", [b'{"event": "st', b"\xff\xfe", b"[]\n", b'{"event": "step"}\n', b"\n\n"])
def test_a_torn_line_in_the_metrics_is_dropped(new_run, whole, torn):
    """What a crash left at the end of metrics.jsonl is no obstacle."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


SINCE: dict[str, Callable[[Path], object]] = {
    "t.txt has gone": lambda path: path.unlink(),
    "t.txt has changed": lambda path: path.write_text(TEXT + "!"),
    "": lambda path: os.utime(path, (0, 0)),
}


@pytest.mark.parametrize("notice", SINCE)
def test_the_corpus_file_is_not_needed_any_more(charlm, tmp_path: Path, notice):
    """A run goes on with its own copy, the same, though the text has gone or changed; one line says so, where it is so."""
    path = tmp_path / "t.txt"
    for out in ("a", "b"):
        path.write_text(TEXT)
        assert charlm("train", "t.txt", *TINY, "--max-steps", "5", "--out", out).status == 0
        if out == "b":
            SINCE[notice](path)
        result = charlm("train", "--resume", out, "--max-steps", "9")
        assert result.status == 0, result.err
    said = [line for line in result.err.splitlines() if "goes on with its own copy" in line]
    assert len(said) == bool(notice)
    assert notice in "".join(said)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_a_text_from_a_pipe_is_not_looked_for(charlm):
    """What was read from standard input cannot be compared, and nothing is said of it."""
    assert charlm("train", "-", *TINY, "--max-steps", "5", stdin=TEXT.encode()).status == 0
    assert "own copy" not in charlm("train", "--resume", "stdin", "--max-steps", "9").err


def test_a_run_is_found_by_its_path_and_by_its_name(charlm, tmp_path: Path):
    """--resume takes a path, or a name under checkpoints/."""
    (tmp_path / "t.txt").write_text(TEXT)
    assert charlm("train", "t.txt", *TINY, "--max-steps", "3").status == 0
    for name in ("t", "checkpoints/t", str(tmp_path / "checkpoints" / "t")):
        assert charlm("train", "--resume", name).status == 0


def test_another_number_of_threads_is_said_to_add_up_otherwise(new_run):
    """A resumption that cannot be bit-exact says so."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    machine = json.loads((folder / "run.json").read_text())["machine"]
    set_record(folder, machine=machine | {"torch": "1.0", "processor": "Z80"})
    said = [notice for notice in go_on(folder).notices if "not bit-exact" in notice]
    assert len(said) == 1
    assert "torch 1.0 -> " in said[0]
    assert "processor Z80 -> " in said[0]


def test_a_run_in_bfloat16_goes_on_on_a_machine_without(charlm, tmp_path, monkeypatch):
    """In the best precision that there is, with one line that says so, to the same end in steps."""
    (tmp_path / "t.txt").write_text(TEXT)
    monkeypatch.setattr("charlm.model.devices.runs", lambda *_: True)
    begin = ("train", "t.txt", "--cell", "gru", *TINY, "--precision", "bf16")  # a GRU runs in it on any processor
    assert charlm(*begin, "--max-steps", "4", "--out", "run", "--quiet").status == 0
    monkeypatch.setattr("charlm.model.devices.runs", lambda precision, _: precision == "fp32")
    result = charlm("train", "--resume", "run", "--max-steps", "8")
    assert result.status == 0, result.err
    assert [line for line in result.err.splitlines() if "bf16" in line] == [
        "not bit-exact from here on: precision bf16 -> fp32"
    ]


def test_a_fact_that_an_earlier_charlm_did_not_keep_has_not_changed(new_run):
    """What run.json does not say of the machine that the run was begun on is not said to be another now."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    machine = json.loads((folder / "run.json").read_text())["machine"]
    set_record(folder, machine={name: fact for name, fact in machine.items() if name not in ("torch", "processor")})
    assert not [notice for notice in go_on(folder).notices if "not bit-exact" in notice]


def test_a_record_that_was_edited_is_said_to_be(new_run):
    """Settings in run.json that the saved state was not trained with make another run of it, and one line says which."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    training = json.loads((folder / "run.json").read_text())["training"]
    set_record(folder, training=training | {"clip_norm": 0.5})
    said = [notice for notice in go_on(folder).notices if "not bit-exact" in notice]
    assert said == ["not bit-exact from here on: run.json was changed: clip_norm 1.0 -> 0.5"]


EDITS: dict[str, Callable[[dict], dict]] = {
    "end 40 steps -> 80 steps": lambda record: {"end": record["end"] | {"amount": 80}},
    "validation": lambda record: {"splits": record["splits"] | {"validation": record["splits"]["validation"] - 1}},
    "vocab_sha256": lambda record: {"vocab": record["vocab"] | {"symbols": record["vocab"]["symbols"][:-1] + "z"}},
}


@pytest.mark.parametrize("what", EDITS)
@pytest.mark.parametrize("left", ["last.safetensors", "previous.safetensors"])
def test_no_edit_of_a_record_is_silent(new_run, what, left):
    """Whatever it is that decides what the next step does: one line says that it is no longer what it was."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    if left == "previous.safetensors":
        (folder / "last.safetensors").unlink()
    set_record(folder, **EDITS[what](json.loads((folder / "run.json").read_text())))
    said = [notice for notice in go_on(folder).notices if "not bit-exact" in notice]
    assert len(said) == 1
    assert what in said[0]


def test_the_state_before_the_last_says_too_what_has_changed(new_run):
    """What a crash between two renames leaves is resumed with the same remarks."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    (folder / "last.safetensors").unlink()
    machine = json.loads((folder / "run.json").read_text())["machine"]
    set_record(folder, machine=machine | {"torch": "1.0"})
    assert [notice for notice in go_on(folder).notices if "torch 1.0 -> " in notice]


def test_a_record_that_claims_a_larger_model_is_not_believed(charlm, new_run):
    """No memory is taken for a model that no saved state could hold."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(4))
    model = json.loads((folder / "run.json").read_text())["model"]
    set_record(folder, model=model | {"hidden_size": 2000, "num_layers": 2})
    is_error(charlm("train", "--resume", "run", "--quiet"), 1, "too small for the model")


def test_a_scoring_that_cannot_be_saved_says_how_to_go_on(charlm, new_run, whole, monkeypatch):
    """The disk may be full at the very end, too."""
    from charlm.runs import drive as module

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = new_run()
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_model", full)
        is_error(charlm("train", "--resume", "run", "--quiet"), 1, "No space left", "charlm train --resume run")
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


def test_a_fall_back_keeps_the_good_state_until_there_are_two(new_run):
    """The state that a damaged one is replaced by does not push out the one before, which was gone on from."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    flip(folder / "last.safetensors")
    good = (folder / "previous.safetensors").read_bytes()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(22))
    assert (folder / "previous.safetensors").read_bytes() == good
    with TensorFile(folder / "last.safetensors", "training") as file:
        assert file.head["position"]["step"] == 23


def test_a_line_of_the_metrics_that_was_half_written_is_taken_back(new_run, whole):
    """A disk that takes half a line takes it whole, later, once."""
    folder, torn = new_run(), []

    def act(_number: int, op: Op) -> int | None:
        if op.kind == "write" and op.path.endswith("metrics.jsonl") and len(torn) < 5:
            torn.append(op)
            return len(op.data) // 2
        return None

    with Watch(folder, act).watching():
        go_on(folder)
    assert len(torn) == 5
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len((whole["lstm"] / "metrics.jsonl").read_text().splitlines())
    assert_metrics_grow(folder)


@pytest.mark.parametrize("gone", [("last",), ("last", "previous")])
def test_a_state_that_is_gone_is_said_to_be(new_run, whole, gone):
    """Going on from less than was there is never silent."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    for name in gone:
        (folder / f"{name}.safetensors").unlink()
    said = " ".join(go_on(folder).notices)
    assert ("last.safetensors is not there" in said) == (len(gone) == 1)
    assert ("starts from the beginning" in said) == (len(gone) == 2)
    assert_same_end(folder, whole["lstm"])


def test_an_edit_that_no_state_fits_is_named(charlm, new_run):
    """Where run.json was changed so that nothing saved fits it, the change is said, and not only that nothing fits."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    training = json.loads((folder / "run.json").read_text())["training"]
    set_record(folder, training=training | {"batch_size": 3})
    is_error(charlm("train", "--resume", "run", "--quiet"), 1, "run.json was changed: batch_size 4 -> 3")


def test_what_is_no_file_is_no_state(new_run, whole):
    """A pipe in the place of a state, or a folder in that of litter, keeps no run from going on."""
    folder = new_run()
    os.mkfifo(folder / "last.safetensors")
    (folder / ".x.tmp").mkdir()
    (folder / ".last.safetensors.01234567.tmp").mkdir()
    go_on(folder)
    assert_same_end(folder, whole["lstm"])


@pytest.mark.parametrize("name", ["a\nb.txt", "a\rcharlm: error: fake.txt", "\x1b[2J.txt"])
def test_the_name_of_a_text_is_never_a_line_of_its_own(charlm, tmp_path: Path, name):
    """Where a file is named, what follows a line's end in its name does not look like something we said."""
    (tmp_path / name).write_text(TEXT)
    result = charlm("train", name, *TINY, "--max-steps", "3", "--out", "run")
    (tmp_path / name).unlink()
    again = charlm("train", "--resume", "run", "--max-steps", "5")
    said = [line for line in again.err.splitlines() if "own copy" in line]
    assert len(said) == 1
    assert f"{visible_line(name)} has gone" in said[0]
    assert result.status == again.status == 0
    assert not {"\r", "\x1b"} & set(result.err + again.err)


RECORDS = {
    "large": b" " * (1 << 25),
    "lists": b"[" + b"[]," * (1 << 20) + b"0]",
    "numbers": b"[" + b"1e9," * (1 << 20) + b"0]",
    "deep": b"[" * 4000,
    "infinite": b'{"number": Infinity}',
    "late": b'{"number": 9007199254740991}',
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_strangers_record_is_read_within_bounds(charlm, new_run, what):
    """A run.json of any kind takes little memory, is no obstacle to other runs, and does not make its run the newest."""
    folder = new_run()
    (Path("checkpoints") / "strange").mkdir(parents=True)
    (Path("checkpoints") / "strange" / "run.json").write_bytes(RECORDS[what])
    (Path("checkpoints") / "strange" / "model.safetensors").write_bytes(b"")
    (folder.parent / "t.txt").write_text(TEXT)
    assert charlm("train", "t.txt", *TINY, "--max-steps", "2").status == 0
    tracemalloc.start()
    result = charlm("info")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert result.status == 0
    assert "checkpoints/t/model" in result.err
    is_error(charlm("train", "--resume", "strange", "--quiet"), 1, "strange")


@pytest.mark.parametrize(
    "end",
    [
        {"max_steps": None, "epochs": None, "max_seconds": None},
        {"max_steps": None, "epochs": 2.0, "max_seconds": None},
        {"max_steps": 5, "epochs": None, "max_seconds": 5.0},
        {"unit": "epochs", "amount": 2.0},
        {"unit": "years", "amount": 2},
        {"unit": "steps", "amount": 2.5},
        {"unit": "steps"},
        {},
        5,
    ],
)
def test_a_record_must_have_one_end(charlm, new_run, end):
    """A run without an end, or with one that is not in steps or seconds, is an error that names the field."""
    set_record(new_run(), end=end)
    is_error(charlm("train", "--resume", "run", "--max-steps", "50", "--quiet"), 1, "end")


def test_a_run_that_was_replaced_while_it_was_opened_is_left_alone(new_run):
    """What was read before the folder was held must still be so when it is."""
    folder = new_run()
    run = open_run(folder)
    set_record(folder, started="later")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunError, match="changed by another process"):
        drive(run, Silent())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("how", [*(name for name in DAMAGE if name != "a model"), "gone"])
@pytest.mark.parametrize("step", [24, STEPS])
def test_a_damaged_model_is_said_and_chosen_anew(new_run, how, step):
    """Without its best model a run goes on, says so, and ends with one that was evaluated and scored."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    if step == STEPS:
        go_on(folder)
    (DAMAGE | {"gone": Path.unlink})[how](folder / "model.safetensors")
    reporter = go_on(folder)
    assert [notice for notice in reporter.notices if "model.safetensors" in notice and "takes its place" in notice]
    _, card = load_model(folder / "model.safetensors", torch.device("cpu"))
    assert card.step in (30, STEPS)
    assert card.scores.exact


class Full:
    """A disk that takes nothing from its write number `first` on, `times` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: int, times: int) -> None:
        from charlm.runs import disk

        self.writes, self.first, self.times, self.real = 0, first, times, disk.write_atomically
        monkeypatch.setattr(disk, "write_atomically", self)

    def __call__(self, path: Path, contents: bytes, keep: Path | None = None) -> None:
        self.writes += 1
        if self.first <= self.writes < self.first + self.times:
            raise OSError(28, "No space left on device", str(path))
        self.real(path, contents, keep)


@pytest.mark.parametrize("first", range(2, 10))
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_disk_that_is_full_for_a_while_costs_nothing(new_run, whole, monkeypatch, first, times):
    """A save that fails is said, training goes on, the next save makes up for it, and the run ends as if nothing had been."""
    folder = new_run()
    with monkeypatch.context() as patch:
        full = Full(patch, first, times)
        reporter = Silent()
        with contextlib.suppress(RunError):
            drive(open_run(folder), reporter, report_seconds=0.0)
    assert [notice for notice in reporter.notices if "could not be saved: No space left on device" in notice]
    if full.writes >= first + times:
        assert [notice for notice in reporter.notices if "saved again" in notice]
    go_on(folder)
    assert_same_end(folder, whole["lstm"])
    assert_metrics_grow(folder)


def test_a_disk_that_stays_full_fails_at_the_end(new_run, whole, monkeypatch):
    """What could not be saved is an error that says how to go on, and what had been saved is still there."""
    folder = new_run()
    with monkeypatch.context() as patch:
        Full(patch, 4, 10**9)
        with pytest.raises(RunError, match="No space left") as error:
            go_on(folder)
    assert "charlm train --resume" in error.value.hint
    go_on(folder)
    assert_same_end(folder, whole["lstm"])


def test_a_folder_that_takes_no_files_fails_before_the_first_step(new_run, monkeypatch):
    """Whoever cannot save is told so at once."""
    folder = new_run()
    steps: list[Event] = []
    Full(monkeypatch, 1, 10**9)
    with pytest.raises(RunError, match="cannot be written to"):
        go_on(folder, steps.append)
    assert steps == []


@pytest.mark.parametrize("step", [1, 17, 20, STEPS])
def test_a_screen_that_has_gone_costs_no_work(new_run, whole, step):
    """When showing an event fails, the run stops with everything saved, and resumed it ends as if nothing had been."""

    def broken(event: Event) -> None:
        if event.step == step:
            raise BrokenPipeError

    folder = new_run()
    with pytest.raises(BrokenPipeError):
        go_on(folder, broken)
    assert (folder / "model.safetensors").exists()
    go_on(folder)
    assert_same_end(folder, whole["lstm"])


def test_a_fall_back_is_not_lost_to_the_next_save(new_run, whole, monkeypatch):
    """After a damaged newest state, the good one before it stays until a new one is whole."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    flip(folder / "last.safetensors")

    from charlm.runs import disk

    real = disk.write_atomically

    def full(path: Path, contents: bytes, keep: Path | None = None) -> None:
        if path.name == "last.safetensors":
            raise OSError(28, "No space left on device")
        real(path, contents, keep)

    monkeypatch.setattr(disk, "write_atomically", full)
    with pytest.raises(RunError, match="No space"):
        go_on(folder)
    monkeypatch.undo()
    go_on(folder)
    assert_same_end(folder, whole["lstm"])


def test_a_model_without_a_score_is_as_new_as_the_last_save(new_run, monkeypatch):
    """Before the first evaluation every save keeps the model as it then is."""
    monkeypatch.setattr("charlm.training.loop.SAVE_SECONDS", 0.0)
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(5))
    assert load_model(folder / "model.safetensors", torch.device("cpu"))[1].step == 6


def test_an_end_moved_to_where_the_run_stands_is_evaluated(new_run):
    """A run that is over because its end came to it is scored at its last step like any other."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(24))
    go_on(folder, end=End("steps", 25))
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["event"] == "eval"] == [10, 20, 25]


@pytest.mark.parametrize("end", [End("steps", STEPS - 1), End("seconds", 1e-9)])
def test_an_end_that_is_behind_is_refused(whole, tmp_path, end):
    """A run that is past the end it is given says so, and its record stays as it was."""
    folder = tmp_path / "run"
    shutil.copytree(whole["lstm"], folder)
    before = (folder / "run.json").read_bytes()
    with pytest.raises(RunError, match="already past"):
        go_on(folder, end=end)
    assert (folder / "run.json").read_bytes() == before


def test_a_run_limited_by_time_goes_on_with_the_time_it_had_left(new_run, monkeypatch):
    """Seconds count on from where they were saved, by a clock that no one can set back."""
    folder = new_run()
    set_record(folder, end={"unit": "seconds", "amount": 100.0})
    clock = itertools.count()  # a second at each look
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("time.time", lambda: -float(next(clock)))
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(9))
    saved = [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert 10 <= saved[-1] < 50
    go_on(folder)
    seconds = [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds)
    assert seconds[len(saved)] - saved[-1] < 5
    assert 100 <= seconds[-1] < 105


def test_nothing_but_the_runs_files_is_left(new_run):
    """Interrupted, resumed and finished, a run has left no temporary file."""
    folder = new_run()
    with contextlib.suppress(CharlmError):
        go_on(folder, signal_at_step(5))
    go_on(folder)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
