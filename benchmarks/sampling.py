"""How fast does charlm sample one stream and many, against a loop over `nn.LSTM` with T=1?

    python -m benchmarks.sampling [--hidden-size 512] [--num-layers 2] [--streams 64] [--runs 7] [--seconds 1.5]

All draw with the same code from weights of the same shape; only the recurrence differs. They run in turn. Prints medians, and
the ratios of characters per second over all streams to the one-stream loop measured beside them.
"""

import argparse
import os
import time
from statistics import median

import numpy as np
import torch
from torch import nn

from benchmarks.machine import alternate, describe_machine
from charlm.config import ModelConfig, SampleConfig
from charlm.model.language_model import LanguageModel
from charlm.sampling import draw, generate

VOCAB_SIZE = 65


def charlm_speed(model: LanguageModel, num_samples: int, threads: int, seconds: float) -> float:
    """Measure `charlm.sampling.generate`, in characters per second over all streams."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    steps = generate(model, np.zeros(1, dtype=np.uint8), SampleConfig(length=10**9, num_samples=num_samples), generator)
    next(steps)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(steps)
        count += num_samples
    return count / (time.perf_counter() - began)


@torch.inference_mode()
def loop_speed(config: ModelConfig, seconds: float) -> float:
    """Measure the loop that people write (embedding, nn.LSTM on one step, head, draw; all cores), in characters per second."""
    torch.set_num_threads(os.cpu_count() or 1)
    embedding = nn.Embedding(VOCAB_SIZE, config.embedding_size)
    lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers)
    head = nn.Linear(config.hidden_size, VOCAB_SIZE)
    generator, sampling = torch.Generator().manual_seed(0), SampleConfig()
    ids, state = torch.zeros(1, dtype=torch.long), None
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        outputs, state = lstm(embedding(ids).unsqueeze(0), state)
        ids = draw(head(outputs[0]), sampling, generator)
        count += 1
    return count / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--num-layers", type=int, default=2)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    options = parser.parse_args()
    config = ModelConfig(hidden_size=options.hidden_size, num_layers=options.num_layers)
    model = LanguageModel.initialised(config, VOCAB_SIZE, generator=torch.Generator().manual_seed(0))
    cores = os.cpu_count() or 1
    many = f"charlm, {options.streams} streams"
    figures = alternate(
        {
            "nn.LSTM loop": lambda: loop_speed(config, options.seconds),
            "charlm": lambda: charlm_speed(model, 1, 1, options.seconds),
            f"{many}, 1 thread": lambda: charlm_speed(model, options.streams, 1, options.seconds),
            f"{many}, {cores} threads": lambda: charlm_speed(model, options.streams, cores, options.seconds),
        },
        options.runs,
    )
    print(f"LSTM {config.num_layers} x {config.hidden_size}, {options.runs} runs of {options.seconds:g} s in turn")
    print(describe_machine())
    for name, speeds in figures.items():
        pairs = [ours / theirs for ours, theirs in zip(speeds, figures["nn.LSTM loop"], strict=True)]
        print(
            f"{name:30} {median(speeds):8,.0f} characters/s ({min(speeds):,.0f} to {max(speeds):,.0f}), "
            f"{median(pairs):7.2f} times ({min(pairs):.1f} to {max(pairs):.1f})"
        )


if __name__ == "__main__":
    main()
