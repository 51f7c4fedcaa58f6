"""Are documents told apart? A list of 2,000 names, one a line, a minute of training, and what came of it.

    python -m benchmarks.documents [--max-time 60s] [--folder FOLDER] [and options of charlm train, such as --threads 1]

The names are the first 2,000, by the alphabet, of the words in data/austen.txt, data/twain.txt and data/films.tsv that begin
with a capital letter, have three letters or more, and are never written with a small one: names of people and places, and some
words that only ever began a sentence. Every figure is from charlm's own commands, but for the score of each document alone:
there the model reads one symbol at a time, and the softmax is in float64 NumPy.

ended      of 1,000 samples, those that end by themselves within 30 characters
exact      the exact validation loss, and that of each document alone
same       a run of 150 steps killed (SIGKILL) twice and resumed, and one that was not: are the models the same bytes?
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.machine import describe_machine
from benchmarks.quality import HERE
from charlm.checkpoint.model import load_model
from charlm.model.language_model import LanguageModel
from charlm.model.stepper import Stepper
from charlm.runs.data import documents_of, open_data
from charlm.runs.record import read_record
from charlm.text.documents import Documents

SOURCES = ("austen.txt", "twain.txt", "films.tsv")
NAMES, SAMPLES, LONGEST = 2000, 1000, 30
STEPS = 150  # of the runs that are killed
KILLS = (3, 9)  # evaluations, of fifteen, after which one is killed


def names() -> list[str]:
    """The list."""
    capital, small = set[str](), set[str]()
    for name in SOURCES:
        text = (HERE / "data" / name).read_text(encoding="utf-8")
        capital.update(re.findall(r"\b[A-Z][a-z]{2,}\b", text))
        small.update(re.findall(r"\b[a-z]+\b", text))
    return sorted(word for word in capital if word.lower() not in small)[:NAMES]


def started(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A command, begun."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "charlm", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def charlm(folder: Path, *arguments: str) -> tuple[str, str]:
    """Run a command; returns what it writes to standard output and to standard error."""
    process = started(folder, *arguments)
    out, err = process.communicate()
    if process.returncode:
        sys.exit(f"charlm {' '.join(arguments)}: {err}")
    return out, err


def alone(model: LanguageModel, documents: Documents) -> float:
    """The mean loss in nats, each document read by itself, a symbol at a time."""
    stepper, nats = Stepper(model), []
    with torch.inference_mode():
        for start, end in zip(documents.starts.tolist(), documents.ends.tolist(), strict=True):
            state = model.initial_state(1)
            for place in range(start, end - 1):
                logits, state = stepper.step(torch.tensor([int(documents.ids[place])]), state)
                scores = logits[0].double().numpy()
                greatest = scores.max()
                nats.append(np.log(np.exp(scores - greatest).sum()) + greatest - scores[int(documents.ids[place + 1])])
    return float(np.mean(nats))


def ended(folder: Path) -> None:
    """Draw samples from the run, and count."""
    options = ("--num-samples", str(SAMPLES), "--seed", "1", "--length", str(LONGEST + 1))
    out, _ = charlm(folder, "sample", "-c", "names", "--json", *options)
    texts = [row["text"] for row in json.loads(out)["samples"]]
    whole = sum(len(text) <= LONGEST for text in texts)
    known = set(names())
    new = [text for text in texts if text not in known]
    print(
        f"ended by themselves within {LONGEST} characters: {whole} of {len(texts)}; {len(set(texts))} different, "
        f"{len(new)} not in the list, mean length {np.mean([len(text) for text in texts]):.1f}"
    )
    print(f"the first ten: {', '.join(texts[:10])}")


def exact(folder: Path, said: dict[str, Any]) -> None:
    """Compare the run's exact score with that of each document alone."""
    model, _ = load_model(folder / "names" / "model.safetensors", torch.device("cpu"))
    assert isinstance(model, LanguageModel)  # noqa: S101 (there are no labels)
    held_out = documents_of(open_data(folder / "names", read_record(folder / "names" / "run.json")))[1]
    own = alone(model, held_out)
    found = said["validation_nats"]
    apart = f"each alone {own:.7f}; {abs(found - own):.1e} apart"
    print(f"validation loss of {len(held_out)} documents: {found:.7f} nats/char; {apart}")
    every = json.loads(charlm(folder, "eval", "names.txt", "-c", "names", "--json")[0])
    print(f"all {every['documents']} documents: {every['nats_per_char']:.4f} nats/char")


def same(folder: Path, options: list[str]) -> None:
    """Kill a run twice, go on with it, and compare it with one that was left alone."""
    arguments = (
        "train",
        "names.txt",
        "--documents",
        "line",
        "--max-steps",
        str(STEPS),
        "--eval-every",
        "10",
        "--quiet",
        *options,
    )
    charlm(folder, *arguments, "--out", "whole")
    killed: list[bool] = []
    rows = folder / "killed" / "metrics.jsonl"
    for number, evaluations in enumerate(KILLS):
        command = (*arguments, "--out", "killed") if not number else ("train", "--resume", "killed", "--quiet")
        process = started(folder, *command)
        while process.poll() is None and not (rows.is_file() and rows.read_text().count('"eval"') >= evaluations):
            time.sleep(0.01)
        process.kill()
        process.communicate()
        killed.append(process.returncode < 0)
    charlm(folder, "train", "--resume", "killed", "--quiet")
    models = [(folder / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    states = [load_file(folder / name / "last.safetensors") for name in ("whole", "killed")]  # whose heads count seconds
    alike = [name for name, tensor in states[0].items() if torch.equal(tensor, states[1][name])]
    print(
        f"{STEPS} steps, killed {sum(killed)} times and resumed: the same bytes in the model's file: {models[0] == models[1]},"
    )
    print(f"and in {len(alike)} of the {len(states[0])} tensors of the state")


def main() -> None:
    """Train, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-time", default="60s")
    parser.add_argument("--folder", type=Path)
    chosen, further = parser.parse_known_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        (folder / "names.txt").write_text("".join(f"{name}\n" for name in names()), encoding="utf-8")
        print(f"{NAMES} names: {', '.join(names()[::250])}, ...")
        arguments = (
            "train",
            "names.txt",
            "--documents",
            "line",
            "--max-time",
            chosen.max_time,
            "--out",
            "names",
            "--overwrite",
        )
        out, err = charlm(folder, *arguments, "--json", *further)
        print("\n".join(line for line in err.splitlines() if line.startswith(("recipe", "2,000"))))
        said = json.loads(out.splitlines()[-1])
        print(f"{said['step']} steps, {said['seconds']:.0f} s of training", flush=True)
        ended(folder)
        exact(folder, said)
        same(folder, further)


if __name__ == "__main__":
    main()
