"""How far below the memory a run really takes is the estimate that refuses runs?

    python -m benchmarks.memory

Trains networks of several shapes for three steps and saves them. Prints the most memory each process held, minus that of the
smallest one, beside the estimate of `charlm train`. A ratio above 1 would refuse runs that fit.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe_machine
from charlm.config import ModelConfig, TrainConfig
from charlm.training.memory import training_bytes

NOVEL = Path("data/austen.txt")
QUICKLY = ("--sample-every", "1000", "--validation-fraction", "0")  # scoring takes no more memory than training
SHAPES = ((2048, 1, 4, 16), (256, 2, 128, 256))  # units, layers, streams, steps: many weights; long windows


def held(place: str, *options: str) -> float:
    """Run `charlm train` for three steps with one thread; returns the most bytes it held."""
    command = [sys.executable, "-m", "charlm", "train", str(NOVEL), "--out", f"{place}/run", "--overwrite", "--quiet"]
    process = subprocess.Popen([*command, "--max-steps", "3", "--threads", "1", *QUICKLY, *options])
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit("charlm train failed")
    return usage.ru_maxrss * 1024


def main() -> None:
    """Measure and print."""
    print(describe_machine(), flush=True)
    vocab_size = len(set(NOVEL.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as place:
        idle = held(place, "--hidden-size", "8", "--num-layers", "1", "--batch-size", "2", "--seq-len", "8")
        for cell, optimiser, shape in itertools.product(("lstm", "gru", "rnn"), ("muon", "adamw"), SHAPES):
            hidden_size, num_layers, batch_size, seq_len = shape
            model = ModelConfig(cell=cell, hidden_size=hidden_size, num_layers=num_layers, embedding_size=128)
            training = TrainConfig(optimiser=optimiser, batch_size=batch_size, seq_len=seq_len)
            options = ["--cell", cell, "--optimiser", optimiser, "--hidden-size", str(hidden_size), "--embedding-size", "128"]
            options += ["--num-layers", str(num_layers), "--batch-size", str(batch_size), "--seq-len", str(seq_len)]
            measured = held(place, *options) - idle
            estimate = training_bytes(model, vocab_size, training, batch_size, saves=True)
            what = f"{cell} {num_layers} x {hidden_size}, {optimiser}, {batch_size} x {seq_len}"
            print(f"{what}: {measured / 1e6:.0f} MB, estimate {estimate / 1e6:.0f} MB: {estimate / measured:.2f}", flush=True)


if __name__ == "__main__":
    main()
