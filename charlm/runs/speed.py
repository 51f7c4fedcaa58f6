"""How fast this machine trains: real steps of one reference shape, for about a second. Knows nothing of what follows."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from charlm.config import End, ModelConfig, TrainConfig
from charlm.machine import keep_freed_memory
from charlm.model.language_model import LanguageModel
from charlm.recipe import REFERENCE, Wish
from charlm.runs.facts import DECIDE_BITS
from charlm.runs.record import RUN, number_of, read_record
from charlm.text.streams import Window
from charlm.training.loop import Trainer, training_step

MOST_SECONDS = 0.7
LEAST_SECONDS = 0.1  # in fewer nothing is learned
SHARE = 0.1  # of a time limit, at the most
NUM_SYMBOLS = 64
LENGTHS = (8, 16, 32, REFERENCE.seq_len)  # of windows: the time of a short one foretells that of the next


def earlier_speed(place: Path, facts: dict[str, Any], wish: Wish) -> float | None:
    """What the newest run in `place` was told of a machine of the same `facts`, for such a network and optimiser."""
    for folder in sorted((path.parent for path in place.glob(f"[!.]*/{RUN}")), key=number_of, reverse=True):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            record = read_record(folder / RUN)
            asked = (record["model"]["cell"], record["training"]["optimiser"])
            speed, by_hand = record["recipe"]["speed"], record["recipe"]["by_hand"]
            is_alike = asked == (wish.model.cell, wish.training.optimiser) and all(
                record["machine"][name] == facts[name] for name in DECIDE_BITS
            )
            if is_alike and isinstance(speed, float) and speed > 0 and "speed" not in by_hand:
                return speed
    return None


def measured_speed(
    model: ModelConfig,
    training: TrainConfig,
    device: torch.device,
    precision: str,
    seconds: float,
    now: Callable[[], float] = time.perf_counter,
) -> float:
    """Characters a second at which the reference shape is trained here, by the cell and optimiser of `model` and `training`.

    It begins with short windows and goes on to the reference's own, as far as `seconds` suffice: no step is begun that would
    probably end later. A time that was not reached is reckoned from the last two.
    """
    began = now()
    keep_freed_memory()
    step = _steps(model, training, device, precision, now)
    step(1)  # in which libraries get ready
    times: dict[int, float] = {}
    for length in (*LENGTHS, *[LENGTHS[-1]] * 100):
        expected = _reckoned(times, length) if times else 0.0
        if now() - began + expected > seconds:
            break
        times[length] = min(step(length), times.get(length, float("inf")))
    if not times:
        times[1] = step(1)
    took = _reckoned(times, REFERENCE.seq_len)
    if device.type == "cuda":  # where a run's steps are launched in one piece, and what launches take here will not count
        took -= _reckoned(times, 0)
    return REFERENCE.batch_size * REFERENCE.seq_len / max(took, 1e-9)


def _steps(
    model: ModelConfig, training: TrainConfig, device: torch.device, precision: str, now: Callable[[], float]
) -> Callable[[int], float]:
    """A function that takes a step over a window of so many characters, and gives the seconds that it took."""
    size, streams = REFERENCE.size, REFERENCE.batch_size
    config = replace(
        ModelConfig(),
        cell=model.cell,
        dropout=0.0,
        num_layers=size.num_layers,
        hidden_size=size.hidden_size,
        embedding_size=size.embedding_size,
    )
    network = LanguageModel.initialised(config, NUM_SYMBOLS, torch.Generator().manual_seed(1)).to(device)
    trainer = Trainer.fresh(network, replace(TrainConfig(), optimiser=training.optimiser), End(max_steps=1), precision, streams)
    ids = torch.randint(NUM_SYMBOLS, (LENGTHS[-1] + 1, streams), generator=torch.Generator().manual_seed(1)).to(device)

    def step(length: int) -> float:
        start = now()
        loss, _ = training_step(trainer, Window(ids[:length], ids[1 : length + 1]))
        float(loss)  # waits for the device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return now() - start

    return step


def _reckoned(times: dict[int, float], length: int) -> float:
    """The time of a window of `length`, on the line through the two longest that were measured."""
    if length in times:
        return times[length]
    longest = sorted(times)[-2:]
    (short, long), (first, last) = (longest[0], longest[-1]), (times[longest[0]], times[longest[-1]])
    if last <= first:  # there is but one, or something else was in the way
        return last * length / long
    return last + (last - first) / (long - short) * (length - long)
