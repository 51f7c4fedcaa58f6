"""How fast this machine trains, measured by steps of one reference shape, or as recorded by earlier runs. Chooses nothing."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from charlm.config import End, ModelConfig, TrainConfig
from charlm.errors import CheckpointError
from charlm.machine import keep_freed_memory
from charlm.model.language_model import LanguageModel
from charlm.recipe import REFERENCE, STEP, SYMBOLS, Wish, coarse
from charlm.runs.facts import is_alike
from charlm.runs.record import RUN, MachineFacts, read_record
from charlm.tasks.language import LanguageTask
from charlm.text.streams import Streams, Window
from charlm.training.loop import training_step
from charlm.training.trainer import Trainer

CHARACTERS = REFERENCE.batch_size * REFERENCE.seq_len  # in a step
MEASURED, ROUGH, GIVEN = "measured", "rough", "given"  # how a speed was found; later runs reuse only a measured one
MOST_STEPS = 100
MOST_SECONDS = 1.5
SHARE = 0.06  # of a time limit: should a predicted step take half as long again, measuring still takes less than a tenth
LEAST_SECONDS = 0.1  # less time than this tells nothing
# Lengths of windows. A processor begins with short ones, whose time predicts that of the next. On a card, launching kernels
# takes the same time for a long window as for a short one, and the captured steps of a run do not pay it.
LENGTHS = {"cpu": (8, 16, 32, REFERENCE.seq_len), "cuda": (64, 256)}
REPEATS = 3  # of each length on a card, after one to warm up
CARD_SPEED = 1e6  # assumed of a card that could not be measured: about what one H200 reached. Not tried on a card
MOST_SPEED = 4e6  # the most assumed of any card: about three times that. Not tried on a card


@dataclass(frozen=True, slots=True)
class Speed:
    """Characters a second of the reference shape; `is_rough` when no step of the full shape was measured."""

    characters: float
    is_rough: bool


def speed_here(wish: Wish, facts: MachineFacts, place: Path, device: torch.device) -> Speed | None:
    """The speed of this machine, rounded coarsely; None when it cannot be known.

    The speed recorded by a run in `place` is kept unless it is clearly wrong. It is used alone when there is only time for a
    rough measurement.
    """
    earlier, seconds = earlier_speed(place, facts, wish), min(MOST_SECONDS, SHARE * (wish.seconds or math.inf))
    found = None
    if seconds >= LEAST_SECONDS:
        with contextlib.suppress(RuntimeError):  # such as a card without free memory: training will say what to do
            found = measured_speed(wish.model, wish.training, device, facts.precision, seconds)
    if (found is None or found.is_rough) and earlier is not None:
        return Speed(earlier, is_rough=False)
    return None if found is None else Speed(coarse(found.characters, earlier), found.is_rough)


def earlier_speed(place: Path, facts: MachineFacts, wish: Wish) -> float | None:
    """The speed recorded by the newest run in `place` with the same machine facts, cell and optimiser; None without one."""
    newest: tuple[int, str, float] | None = None
    with contextlib.suppress(OSError):
        for path in place.glob(f"[!.]*/{RUN}"):
            with contextlib.suppress(OSError, CheckpointError):
                record = read_record(path)
                asked, speed = (record.model.cell, record.training.optimiser), record.recipe.speed
                anchors = record.recipe.speed_is == MEASURED and is_alike(record.machine, facts)
                if anchors and asked == (wish.model.cell, wish.training.optimiser) and speed is not None and speed > 0:
                    newest = max(newest or (0, "", 0.0), (record.number, record.started, speed))
    return newest[2] if newest else None


def measured_speed(
    model: ModelConfig,
    training: TrainConfig,
    device: torch.device,
    precision: str,
    seconds: float,
    now: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Measure how fast the reference shape trains here, with the cell and optimiser of `model` and `training`.

    After the first step, no step begins that would probably end after `seconds`. If the full length is never reached, its time
    is estimated from the two longest windows measured.
    """
    began = now()
    keep_freed_memory()
    step = _steps(model, training, device, precision, now)
    times = {1: step(1)}  # a warm-up, in which libraries initialise
    if device.type == "cuda":
        return _card_speed(step, lambda: now() - began < seconds)
    lengths = LENGTHS["cpu"]
    for length in (*lengths, *[lengths[-1]] * MOST_STEPS):
        if now() - began + _reckoned(times, length) > seconds:
            break
        times.pop(1, None)
        times[length] = min(step(length), times.get(length, math.inf))
    took = max(_reckoned(times, REFERENCE.seq_len), 1e-9)
    return Speed(CHARACTERS / took, is_rough=REFERENCE.seq_len not in times)


def _card_speed(step: Callable[[int], float], has_time: Callable[[], bool]) -> Speed:
    """Measure a card by the extra time a long window takes over a short one; `CARD_SPEED` when there is no time."""
    times: list[float] = []
    for length in LENGTHS["cuda"]:
        several = []
        for _ in range(1 + REPEATS):
            if not has_time():
                return Speed(CARD_SPEED, is_rough=True)
            several.append(step(length))
        times.append(min(several[1:]))
    short, long = LENGTHS["cuda"]
    took = (times[1] - times[0]) / (long - short) * REFERENCE.seq_len
    return Speed(min(MOST_SPEED, CHARACTERS / max(took, 1e-9)), is_rough=False)


def _steps(
    model: ModelConfig, training: TrainConfig, device: torch.device, precision: str, now: Callable[[], float]
) -> Callable[[int], float]:
    """Make a function that takes one step over a window of the given length and returns the seconds it took."""
    size, streams = REFERENCE.size, REFERENCE.batch_size
    config = replace(
        ModelConfig(),
        cell=model.cell,
        dropout=0.0,
        num_layers=size.num_layers,
        hidden_size=size.hidden_size,
        embedding_size=size.embedding_size,
    )
    network = LanguageModel.initialised(config, SYMBOLS, generator=torch.Generator().manual_seed(1)).to(device)
    longest = max(LENGTHS["cuda" if device.type == "cuda" else "cpu"])
    ids = torch.randint(SYMBOLS, ((streams + 1) * longest + 1,), generator=torch.Generator().manual_seed(1)).numpy()
    task = LanguageTask(streams=Streams.fitted(ids, streams, longest, seed=1), validation_ids=ids[:0])
    trainer = Trainer.fresh(network, task, replace(TrainConfig(), optimiser=training.optimiser), End("steps", 1), precision)
    whole = next(task.batches(0, 0, device))

    def step(length: int) -> float:
        start = now()
        loss, _ = training_step(trainer, Window(whole.inputs[:length], whole.targets[:length]))
        float(loss)  # waits for the device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return now() - start

    return step


def _reckoned(times: dict[int, float], length: int) -> float:
    """Estimate the seconds of a window of `length`, on the line through the two longest windows measured.

    With one measurement, or when the longer one was not slower, use the recipe's model: a constant plus a time per character.
    """
    if length in times:
        return times[length]
    longest = sorted(times)[-2:]
    (short, long), (first, last) = (longest[0], longest[-1]), (times[longest[0]], times[longest[-1]])
    if last <= first:
        streams = REFERENCE.batch_size
        return last * (STEP + streams * length) / (STEP + streams * long)
    return last + (last - first) / (long - short) * (length - long)
