"""Files of earlier commits open, sample, resume and finish; what they lack takes its default; later ones are left alone."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import safetensors.torch

from charlm.checkpoint.format import to_bytes
from charlm.checkpoint.model import load_model
from charlm.config import CorpusConfig, ModelConfig, TrainConfig
from charlm.model.devices import CPU
from charlm.runs.facts import DECIDE_BITS
from charlm.tensorfile import TensorFile
from tests.commands import is_error
from tests.earlier.make import SAMPLED, STEPS, STOPPED

EARLIER = sorted(path.parent for path in Path(__file__).parent.glob("earlier/*/*/run.json"))
HEADS = {"model.safetensors": "model", "last.safetensors": "training", "previous.safetensors": "training"}
MACHINE = re.compile(rf"not bit-exact from here on: ({'|'.join(DECIDE_BITS)}) [^:]*")


@pytest.fixture(params=EARLIER, ids=lambda path: f"{path.parent.name}-{path.name}")
def made(request) -> Path:
    """A run as its commit left it."""
    return request.param


@pytest.fixture
def run(made, tmp_path: Path) -> Path:
    """A copy of it, to go on with."""
    return shutil.copytree(made, tmp_path / "run")


def rewrite(path: Path, change: Callable[[dict], None]) -> None:
    """Change the JSON of a run's file, with a hash that fits."""
    if path.name == "run.json":
        head = json.loads(path.read_text())
        change(head)
        path.write_text(json.dumps(head))
        return
    with TensorFile(path, HEADS[path.name]) as file:
        head = file.head
    change(head)
    path.write_bytes(to_bytes(safetensors.torch.load(path.read_bytes()), head))


def finish(charlm, run: Path) -> None:
    """Go on with the run to its end, in silence but for what another machine makes of it; its model is then scored exactly."""
    result = charlm("train", "--resume", "run")
    assert result.status == 0, result.err
    assert f"resuming run at step {STOPPED}" in result.err
    said = [line for line in result.err.splitlines() if line.startswith(("not bit-exact", "run: ", "run/"))]
    assert [line for line in said if not MACHINE.fullmatch(line)] == []
    assert json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"] == STEPS
    _, card = load_model(run / "model.safetensors", CPU)
    assert card.scores.exact


def test_there_are_such_files():
    """Of two cells at least: the tests below are of something."""
    assert {path.name for path in EARLIER} == {"lstm", "gru"}


def test_the_model_samples_what_it_did(charlm, made):
    """The most probable text is the one that its own commit drew, to the byte."""
    result = charlm("sample", "-c", made, *SAMPLED)
    assert result.status == 0, result.err
    assert result.out == made.with_suffix(".txt").read_bytes()


def test_the_run_is_resumed_and_finished(charlm, run):
    """Nothing is said to have changed but the machine."""
    finish(charlm, run)


def without_defaults(values: dict, cls: type) -> None:
    for field in fields(cls):
        if field.default is not MISSING and values.get(field.name, ...) == field.default:
            del values[field.name]


CONFIGS = {"model": ModelConfig, "training": TrainConfig, "text": CorpusConfig}


def test_what_a_file_lacks_takes_its_default_and_nothing_is_said(charlm, run, made):
    """As a file would have it that was written before a field there was: no other model, no word of a change."""

    def strip(head: dict) -> None:
        for name, cls in CONFIGS.items():
            if name in (values := head.get("run") or head):
                without_defaults(values[name], cls)

    for name in ("run.json", *HEADS):
        rewrite(run / name, strip)
    assert "seed" not in json.loads((run / "run.json").read_text())["training"]
    assert load_model(run / "model.safetensors", CPU)[1] == load_model(made / "model.safetensors", CPU)[1]
    finish(charlm, run)


PLACES: dict[str, tuple[str, Callable[[dict], dict]]] = {
    "a record": ("run.json", lambda head: head),
    "a record's model": ("run.json", lambda head: head["model"]),
    "a model file": ("model.safetensors", lambda head: head),
    "a model file's scores": ("model.safetensors", lambda head: head["scores"]),
    "a state": ("last.safetensors", lambda head: head),
    "a state's position": ("last.safetensors", lambda head: head["position"]),
    "a state's training": ("last.safetensors", lambda head: head["run"]["training"]),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_a_later_charlm_wrote_is_left_to_it(charlm, run, place):
    """A field that is not known asks for an upgrade, and no older state is gone back to: not a byte of the run changes."""
    name, within = PLACES[place]
    rewrite(run / name, lambda head: within(head).update(later=1))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    is_error(charlm("train", "--resume", "run", "--quiet"), 1, "'later', which this charlm does not know", "Upgrade charlm")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    if name == "model.safetensors":
        is_error(charlm("info", "-c", "run"), 1, "'later'", "Upgrade charlm")
