"""The command as other tests use it: run in this process, started as another, or started on a terminal.

What is started here has ended when its block has, also when the test fails in it.
"""

import contextlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.machine import last_of_each
from charlm.checkpoint.model import load_model, save_model
from charlm.cli.app import main
from charlm.model.heads import Classifier, Labeller
from tests.conftest import Result
from tests.inspection.labelled import LATCH, NAMES, WORDS, mood_model, moods
from tests.inspection.reference import latch_model, mode_text

TEXT = "the cat sat on the mat.\n" * 20
TINY = ("--hidden-size", "8", "--embedding-size", "5", "--seq-len", "8", "--batch-size", "4")
SHORT = (*TINY, "--max-steps", "5", "--sample-every", "1000")  # a sample takes longer than the steps between two
PATIENCE = 60.0  # seconds, for what has nothing left to do but to end
COMMAND = (sys.executable, "-m", "charlm")
SIGNALS = ["SIGINT", *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGTERM", "SIGHUP"))]  # each does the same


def trained(folder: Path, text: str | bytes = TEXT, *options: str, name: str = "t.txt") -> Path:
    """Train on `text`, in a file of that name in `folder`; gives the run's folder."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with contextlib.chdir(folder), pytest.raises(SystemExit) as left:
        main(["train", name, "--quiet", *last_of_each(*SHORT, *options)])
    assert left.value.code in (0, None)
    return folder / "checkpoints" / "t"


def latch_run(folder: Path) -> Path:
    """A run whose model is `latch_model`, of 8 units; gives its folder."""
    run = trained(folder, mode_text(8000), "--embedding-size", "6")
    _, card = load_model(run / "model.safetensors", torch.device("cpu"))
    model = latch_model(8)
    known = len(card.vocab)  # [ ] a b: all that the latch knows but the newline, its last
    model.embedding.weight.data, model.head.weight.data = model.embedding.weight[:known].data, model.head.weight[:known].data
    model.head.bias.data = model.head.bias[:known].data
    save_model(run / "model.safetensors", model, card)
    return run


def mood_run(folder: Path, kind: type[Labeller] = Classifier, *options: str) -> Path:
    """A run whose model is `mood_model`, of 8 units, and half of whose texts are held out; gives its folder."""
    examples, by_character = moods(200, by_character=kind.by_character), kind.by_character
    names, rows = NAMES[kind], []
    for text in range(len(examples)):
        part = examples.part(text, text + 1)
        characters = WORDS.decode(part.ids)
        labels = [names[label] for label in part.labels.tolist()]
        rows += (
            [f"{c}\t{label}\n" for c, label in zip(characters, labels, strict=True)]
            if by_character
            else [characters, "\t", labels[0]]
        )
        rows.append("\n")
    (folder / "moods.tsv").write_text("".join(rows))
    task = "tag" if by_character else "classify"
    sizes = ("--embedding-size", "6", "--seq-len", "100", "--validation-fraction", "0.4", "--test-fraction", "0.1")
    with contextlib.chdir(folder), pytest.raises(SystemExit) as left:
        main(["train", "moods.tsv", "--task", task, "--quiet", *last_of_each(*SHORT, *sizes, *options)])
    assert left.value.code in (0, None)
    run = folder / "checkpoints" / "moods"
    model, card = load_model(run / "model.safetensors", torch.device("cpu"))
    assert (card.vocab.symbols, card.labels) == (WORDS.symbols, names)
    by_hand = mood_model(kind, 8, [LATCH], bidirectional=card.model.bidirectional)
    assert model.head.weight.shape == by_hand.head.weight.shape
    save_model(run / "model.safetensors", by_hand, card)
    return run


def is_error(result: Result, status: int, *fragments: str) -> None:
    """Check that `result` is one line of error with a hint, saying `fragments`, and nothing else."""
    assert result.status == status, result.err
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("charlm: error: ")
    assert re.search(r"\. \S", result.err), "no hint"
    assert "Traceback" not in result.err
    assert "bug in charlm" not in result.err
    assert result.out == b""
    for fragment in fragments:
        assert fragment in result.err


@contextlib.contextmanager
def running(*command: str | os.PathLike[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process whose output and errors are pipes of text; `options` are those of `Popen`."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes | options) as process:
        try:
            yield process
            process.wait(PATIENCE)
        finally:
            process.kill()


def on_terminal(*arguments: str, **environment: str) -> str:
    """What the command writes to standard output when that is a terminal."""
    master, slave = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", **environment}
    with running(*COMMAND, *arguments, stdin=subprocess.DEVNULL, stdout=slave, env=variables) as process:
        os.close(slave)
        pieces = []
        with contextlib.suppress(OSError):  # Linux says EIO where other systems say end of file
            while piece := os.read(master, 65536):
                pieces.append(piece)
        os.close(master)
        error = process.stderr.read()
    assert process.returncode == 0, error
    return b"".join(pieces).decode().replace("\r\n", "\n")
