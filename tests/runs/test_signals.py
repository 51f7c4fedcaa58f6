"""Signals amid a run: the first saves and says how to go on, a second ends it, and handlers are given back."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charlm.errors import Interrupted
from charlm.runs.signals import StopRequest
from tests.commands import COMMAND, SIGNALS, TEXT, TINY, running
from tests.runs.reference import assert_metrics_grow, assert_same_end, go_on, signal_at_step


def test_a_signal_before_the_first_evaluation_leaves_a_model_without_a_score(new_run, charlm):
    """Stopped early, a run still leaves a model to sample from."""
    folder = new_run()
    with pytest.raises(Interrupted):
        go_on(folder, signal_at_step(2))
    scores = json.loads(charlm("info", "-c", str(folder), "--json").text)["scores"]
    assert scores["validation_nats"] is None
    assert charlm("sample", "-c", str(folder), "--length", "5", "--seed", "1").status == 0


@pytest.mark.parametrize("name", SIGNALS)
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


def test_a_run_stopped_while_it_is_scored_is_scored_when_resumed(new_run, whole, monkeypatch):
    """The exact score that a signal cut short is taken by the resumption, and recorded."""
    from charlm.tasks import language as module

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
