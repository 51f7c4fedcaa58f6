"""How fast is training, compared with the loop that people write around nn.LSTM, nn.GRU and nn.RNN in float32?

    python -m benchmarks.training [--cells lstm,gru,rnn] [--hidden-size 512] [--num-layers 2] [--batch-size 64] [--seq-len 128]

Each figure comes from a process of its own, in turn, so that neither way profits from the other's setup. It is the median
step of some seconds, after a warm-up. Then comes the arithmetic rate, compared with that of the machine's matrix product of
the recurrence's shape, (B, H) times (H, gates x H), in charlm's precision.

The last line of a cell is Muon's share of its step: the time it takes beyond a step with AdamW.

With `--device cuda` the plain loop uses TF32, and a figure is the time of ten steps and one wait for the device.
"""

import argparse
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.machine import alternate, describe_machine
from charlm.config import End, ModelConfig, TrainConfig
from charlm.machine import keep_freed_memory, set_threads
from charlm.model.cells import CELLS
from charlm.model.devices import pick_device, pick_precision
from charlm.model.language_model import LanguageModel
from charlm.tasks.language import LanguageTask
from charlm.text.streams import Streams, Window
from charlm.training.captured import CapturedStep
from charlm.training.loop import training_step
from charlm.training.trainer import Trainer

V = 65
WARM_UP = 3


def random_text(options: argparse.Namespace) -> LanguageTask:
    """Draw random characters: the speed of training does not depend on what a text says."""
    ids = np.random.default_rng(0).integers(0, V, 1_000_000).astype(np.uint8)
    streams = Streams(ids=ids, batch_size=options.batch_size, seq_len=options.seq_len, seed=0)
    return LanguageTask(streams=streams, validation_ids=ids[:0])


def windows(options: argparse.Namespace) -> Iterator[Window]:
    """Yield the text's windows, without end."""
    for epoch in itertools.count():
        yield from random_text(options).batches(epoch, 0, torch.device(options.device))


def charlm_step(options: argparse.Namespace, optimiser: str) -> float:
    """Measure the seconds of a step of charlm."""
    set_threads(0)
    keep_freed_memory()
    config = ModelConfig(
        cell=options.cell, embedding_size=options.hidden_size, hidden_size=options.hidden_size, num_layers=options.num_layers
    )
    training = TrainConfig(batch_size=options.batch_size, seq_len=options.seq_len, optimiser=optimiser)
    device = pick_device(options.device)
    model = LanguageModel.initialised(config, V, generator=torch.Generator().manual_seed(0)).to(device)
    trainer = Trainer.fresh(model, random_text(options), training, End("steps", 10**6), pick_precision("auto", device))
    step = CapturedStep(sys.exit) if device.type == "cuda" else training_step
    return median_step((partial(step, trainer, window) for window in windows(options)), options)


def plain_step(options: argparse.Namespace) -> float:
    """Measure the seconds of a step of the plain loop: an embedding, torch's layers, a head, AdamW, float32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    embedding, head = nn.Embedding(V, options.hidden_size), nn.Linear(options.hidden_size, V)
    cell = CELLS[options.cell].kernel(options.hidden_size, options.hidden_size, options.num_layers)
    for module in (embedding, cell, head):
        module.to(options.device)
    parameters = [*embedding.parameters(), *cell.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters)
    carried = None

    def step(window: Window) -> None:
        nonlocal carried
        outputs, state = cell(embedding(window.inputs), carried)
        loss = F.cross_entropy(head(outputs).flatten(0, 1), window.targets.flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        carried = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()

    return median_step((partial(step, window) for window in windows(options)), options)


def product_rate(options: argparse.Namespace) -> float:
    """Measure the matrix product of one step of the recurrence, in floating-point operations a second."""
    width = options.hidden_size * CELLS[options.cell].num_gates
    precision = pick_precision("auto", torch.device(options.device))
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    of = {"device": options.device, "dtype": dtype}
    h, u = torch.randn(options.batch_size, options.hidden_size, **of), torch.randn(width, options.hidden_size, **of)
    product = torch.empty(options.batch_size, width, **of)

    def step() -> None:
        for _ in range(options.seq_len):
            torch.mm(h, u.t(), out=product)

    seconds = median_step(itertools.repeat(step), options)
    return 2 * options.batch_size * options.hidden_size * width * options.seq_len / seconds


def median_step(steps: Iterable[Callable[[], object]], options: argparse.Namespace) -> float:
    """Run `steps` for `options.seconds`; returns the median seconds of one."""
    took: list[float] = []
    at_once = 10 if options.device == "cuda" else 2  # Muon moves each matrix at every second step
    steps, began = iter(steps), time.perf_counter()
    while len(took) < 2 * WARM_UP or time.perf_counter() - began < options.seconds:
        before = time.perf_counter()
        for step in itertools.islice(steps, at_once):
            step()
        if options.device == "cuda":
            torch.cuda.synchronize()
        took.append((time.perf_counter() - before) / at_once)
    return median(took[WARM_UP:])


WAYS = {
    "plain fp32": plain_step,
    "charlm, muon": lambda options: charlm_step(options, "muon"),
    "charlm, adamw": lambda options: charlm_step(options, "adamw"),
    "product": product_rate,
}


SHAPE = {"hidden_size": 512, "num_layers": 2, "batch_size": 64, "seq_len": 128}


def arguments() -> argparse.Namespace:
    """Parse what to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="lstm,gru,rnn")
    for name, default in SHAPE.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=default)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--way", choices=sorted(WAYS), help="measure this one alone, of --cells, and print the bare number")
    return parser.parse_args()


def in_a_process(way: str, cell: str, options: argparse.Namespace) -> float:
    """Measure one way in a process of its own."""
    shape = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in SHAPE]
    command = [
        sys.executable,
        "-m",
        "benchmarks.training",
        "--way",
        way,
        "--cells",
        cell,
        f"--seconds={options.seconds}",
        f"--device={options.device}",
        *shape,
    ]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def work(cell: str, options: argparse.Namespace) -> float:
    """Count the floating-point operations of a step: for each weight and character, two forward and four backward."""
    width = options.hidden_size * CELLS[cell].num_gates
    return 6 * 2 * options.hidden_size * width * options.num_layers * options.batch_size * options.seq_len


def main() -> None:
    """Measure and print."""
    options = arguments()
    if options.way:
        options.cell = options.cells
        print(WAYS[options.way](options))
        return
    shape = f"{options.num_layers} x {options.hidden_size}, batch {options.batch_size} x {options.seq_len}"
    print(f"{shape}; {options.runs} runs in turn, medians\n{describe_machine()}")
    for cell in options.cells.split(","):
        figures = alternate({way: partial(in_a_process, way, cell, options) for way in WAYS}, options.runs)
        rates = figures.pop("product")
        for way, steps in figures.items():
            ratios = [plain / step for plain, step in zip(figures["plain fp32"], steps, strict=True)]
            shares = [work(cell, options) / step / rate for step, rate in zip(steps, rates, strict=True)]
            speed = options.batch_size * options.seq_len / median(steps)
            print(
                f"{cell:5}{way:14} {median(steps) * 1e3:6.1f} ms a step ({min(steps) * 1e3:.1f} to {max(steps) * 1e3:.1f}), "
                f"{speed:8,.0f} characters/s, {median(ratios):5.2f} times the plain loop, {median(shares):4.0%} of the product",
                flush=True,
            )
        both = zip(figures["charlm, muon"], figures["charlm, adamw"], strict=True)
        print(f"{cell:5}Muon's share of a step {median([1 - adamw / muon for muon, adamw in both]):4.0%}", flush=True)


if __name__ == "__main__":
    main()
