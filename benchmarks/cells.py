"""Which features does a model of a novel have a unit for, and does holding its quote cell have the expected effect?

    python -m benchmarks.cells [--seeds 6 10] [--max-steps 9000] [--keep FOLDER]
    python -m benchmarks.cells --checkpoint RUN [RUN ...]

Trains LSTMs of 512 units on data/austen.txt and runs `charlm inspect-cells` on the held-out text. Then the unit found for
`inside_double_quotes` is held over a stretch of that text, first at its value inside quotes, then at its value outside. After
a sign of punctuation a quote mark would close a quotation; after white space it would open one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import describe_machine
from charlm.checkpoint.model import load_model
from charlm.features.registry import FEATURES
from charlm.inspection.findings import UnitId
from charlm.inspection.intervention import part_of
from charlm.model.cells import Clamp
from charlm.model.stepper import Stepper
from charlm.runs.heldout import held_out

NOVEL = "data/austen.txt"
RECIPE = (
    "--optimiser adamw --learning-rate 4e-3 --num-layers 1 --hidden-size 512 --embedding-size 64 --dropout 0 "
    "--batch-size 16 --seq-len 64 --threads 1"
)
STRETCH = 20_000  # characters over which the quote cell is held
SHOWN = ("inside_double_quotes", "column")


def charlm(*arguments: str) -> str:
    """Run a charlm command; returns its standard output."""
    command = [sys.executable, "-m", "charlm", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def held_quote_cell(run: Path, unit: UnitId) -> str:
    """Measure the probability of a quote mark with the unit left alone, held as inside quotes and held as outside."""
    model, card = load_model(run / "model.safetensors", torch.device("cpu"))
    ids, _ = held_out(run / "model.safetensors", card)
    ids = ids[:STRETCH].astype(np.int64)
    text = "".join(chr(card.vocab.symbols[number]) for number in ids.tolist())
    inside = FEATURES["inside_double_quotes"].label(text).astype(bool)
    part = part_of(model, unit)
    place = model.layers[unit.layer].parts.index(part)
    mark = card.vocab.symbols.index(ord('"'))
    stepper = Stepper(model)

    with torch.inference_mode():
        state, course = model.initial_state(1), []
        for symbol in torch.from_numpy(ids).unsqueeze(1):
            _, state = stepper.step(symbol, state)
            course.append(float(state[unit.layer][place][0, unit.unit]))
        levels = [float(np.median(np.array(course)[side])) for side in (inside, ~inside)]
        clamps: list[list[Clamp]] = [[] for _ in model.layers]
        streams, units = torch.tensor([1, 2]), torch.tensor([unit.unit, unit.unit])
        clamps[unit.layer] = [Clamp(part, streams, units, torch.tensor(levels))]
        state, chances = model.initial_state(3), []
        for symbol in torch.from_numpy(ids).unsqueeze(1):
            logits, state = stepper.step(symbol.expand(3), state, clamps)
            chances.append(logits.softmax(dim=-1)[:, mark])
    chance = torch.stack(chances).numpy()  # (n, 3): left alone, held inside, held outside
    before = {
        "after . , ! or ? inside quotes, to close": inside & np.array([character in ".,!?" for character in text]),
        "after white space outside, to open": ~inside & np.array([character.isspace() for character in text]),
    }
    lines = [f'  unit {unit} held at {levels[0]:+.2f} as inside, at {levels[1]:+.2f} as outside: the probability of " next']
    for name, where in before.items():
        alone, held_inside, held_outside = chance[where].mean(axis=0)
        lines.append(
            f"    {name} ({where.sum()} places): {alone:.3f} left alone, {held_inside:.3f} held inside, "
            f"{held_outside:.3f} held outside"
        )
    return "\n".join(lines)


def look(run: Path) -> None:
    """Inspect a run with the command people use, and print what it says about quotes and columns."""
    began = time.monotonic()
    findings = json.loads(charlm("inspect-cells", "--checkpoint", str(run), "--json"))["findings"]
    print(f"  inspect-cells, {time.monotonic() - began:.0f} s in all:")
    for found in findings:
        unit = UnitId(layer=found["layer"], unit=found["unit"], signal=found["signal"])
        if found["feature"] in SHOWN or found["verdict"] != "correlated":
            print(
                f"    {found['feature']}: {unit} {found['statistic']} {found['score']:+.3f}, "
                f"confirmed {found['confirmed_score']:+.3f}, p {found['p_value']:.3f}, "
                f"gain {found['baseline_gain']:+.2f}: {found['verdict']}"
            )
        if found["feature"] == "inside_double_quotes":
            quotes = unit
    print(held_quote_cell(run, quotes), flush=True)


def main() -> None:
    """Train, look and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[6, 10])
    parser.add_argument("--max-steps", default="9000")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--checkpoint", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    print(describe_machine())
    for run in options.checkpoint:
        print(run)
        look(run)
    if options.checkpoint:
        return
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            run, began = (options.keep or Path(folder)) / f"seed{seed}", time.monotonic()
            further = ["--max-steps", options.max_steps, "--seed", str(seed), "--out", str(run), "--overwrite", "--json"]
            done = json.loads(charlm("train", NOVEL, *RECIPE.split(), *further).splitlines()[-1])
            print(f"seed {seed}: {done['validation_nats']:.4f} nats/char after {time.monotonic() - began:.0f} s", flush=True)
            look(run)


if __name__ == "__main__":
    main()
