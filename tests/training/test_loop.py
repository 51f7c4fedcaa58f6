"""Truncated backpropagation through time: exact continuation, carried state, events, divergence, time."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from charlm.checkpoint.training import load_trainer
from charlm.config import End, SampleConfig, TrainConfig
from charlm.errors import DivergedError
from charlm.evaluation import Score
from charlm.sampling import generate
from charlm.tasks import language
from charlm.tasks.language import LanguageTask
from charlm.text.streams import Streams
from charlm.training import loop
from charlm.training.events import CheckpointDue, EvalDone, Event, SampleDue, StepsDone
from charlm.training.loop import train, training_step
from charlm.training.optimiser import FINAL_RATE, WEIGHT_DECAY, follow_schedule, schedule
from charlm.training.trainer import Trainer
from tests.conftest import CELLS, LAYERS, NEEDS_BF16, new_model, save_trainer

V = 13
TEXT = np.random.default_rng(0).integers(0, V, 700).astype(np.uint8)
HELD_OUT = np.random.default_rng(1).integers(0, V, 90).astype(np.uint8)
CONFIG = TrainConfig(batch_size=4, seq_len=9, eval_every=7, sample_every=5)
STREAMS = Streams.fitted(TEXT, CONFIG.batch_size, CONFIG.seq_len, CONFIG.seed)
TASK = LanguageTask(streams=STREAMS, validation_ids=HELD_OUT)


def new_trainer(cell: str = "lstm", layers: int = 1, steps: int = 40, config: TrainConfig = CONFIG, **kwargs) -> Trainer:
    return Trainer.fresh(new_model(cell, layers, V, dropout=0.3, **kwargs), TASK, config, End("steps", steps), "fp32")


def ticking() -> Callable[[], float]:
    """A clock that moves on by one second each time it is read."""
    times = iter(range(10**9))
    return lambda: float(next(times))


def run(trainer: Trainer, **kwargs) -> Iterator[Event]:
    return train(trainer, elapsed=ticking(), report_seconds=math.inf, **kwargs)


def all_tensors(trainer: Trainer) -> list[torch.Tensor]:
    moments = [value for state in trainer.optimiser.state.values() for value in state.values()]
    carried = [part for cell_state in trainer.state for part in cell_state]
    return [*trainer.model.parameters(), *moments, *carried, trainer.generator.get_state()]


def assert_same(one: Trainer, other: Trainer) -> None:
    assert all(torch.equal(a, b) for a, b in zip(all_tensors(one), all_tensors(other), strict=True))
    assert (one.step, one.epoch, one.batch, one.best_nats) == (other.step, other.epoch, other.batch, other.best_nats)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("cell", CELLS)
def test_an_interrupted_run_ends_as_one_that_never_stopped(cell, layers, tmp_path):
    """40 steps are 20 steps, saved, loaded into a new trainer and gone on with, bit for bit."""
    whole = new_trainer(cell, layers)
    list(run(whole))
    first = new_trainer(cell, layers)
    list(run(first, should_stop=lambda: first.step >= 20))
    assert first.step == 20
    save_trainer(tmp_path / "last", first)
    second = new_trainer(cell, layers, seed=99)
    second.generator.manual_seed(123)
    load_trainer(tmp_path / "last", second)
    assert_same(first, second)
    list(run(second))
    assert_same(whole, second)


@pytest.mark.parametrize("cell", CELLS)
def test_looking_does_not_disturb(cell):
    """Evaluating and sampling in mid-run leaves the rest of the run as it would have been, bit for bit."""
    looking, blind = new_trainer(cell, 2), new_trainer(cell, 2, config=TrainConfig(batch_size=4, seq_len=9, eval_every=999))
    for event in run(looking):
        if isinstance(event, SampleDue):
            generator = torch.Generator().manual_seed(0)
            assert len(list(generate(looking.model, HELD_OUT[:3], SampleConfig(length=4), generator))) == 4
    list(run(blind))
    blind.best_nats = looking.best_nats
    assert_same(looking, blind)


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_is_zero_at_an_epochs_start_and_carried_at_every_other_step(cell):
    """What a step starts from is zero in the first window of an epoch, else what the step before it ended with."""
    starts, ends = [], []

    def spy(trainer, window):
        starts.append((trainer.batch, trainer.state))
        result = training_step(trainer, window)
        ends.append(trainer.state)
        return result

    list(run(new_trainer(cell, 2), step=spy))
    assert {window for window, _ in starts} == set(range(STREAMS.windows_per_epoch))
    for (window, state), before in zip(starts[1:], ends[:-1], strict=True):
        flat, expected = ([part for cell_state in s for part in cell_state] for s in (state, before))
        if window == 0:
            assert not any(part.any() for part in flat)
        else:
            assert all(torch.equal(a, b) for a, b in zip(flat, expected, strict=True))
            assert any(part.any() for part in flat)


def test_a_step_equals_one_written_out_by_hand():
    """Forward, mean cross-entropy, clipping and AdamW, each from its own formula, move every weight to the same place."""
    config = TrainConfig(batch_size=4, seq_len=9, clip_norm=0.05, optimiser="adamw", learning_rate=6e-3)
    trainer = Trainer.fresh(new_model("rnn", 1, V), TASK, config, End("steps", 40), "fp32")
    window = next(STREAMS.windows(0))
    twin = new_model("rnn", 1, V)
    h, total = torch.zeros(4, 7), torch.zeros(())
    for inputs, targets in zip(window.inputs, window.targets, strict=True):
        h = torch.tanh(
            F.linear(twin.embedding.weight[inputs], *twin.layers[0].input_weights) + F.linear(h, *twin.layers[0].past_weights)
        )
        total = total + F.nll_loss(F.log_softmax(twin.head(h), dim=-1), targets, reduction="sum")
    loss = total / window.targets.numel()
    grads = torch.autograd.grad(loss, list(twin.parameters()))
    norm = torch.sqrt(sum((grad**2).sum() for grad in grads))
    assert norm > config.clip_norm
    rate = config.learning_rate * schedule(0.0)
    follow_schedule(trainer.optimiser, 0.0)
    found_loss, found_norm = training_step(trainer, window)
    torch.testing.assert_close((found_loss, found_norm), (loss.detach(), norm), atol=1e-6, rtol=1e-5)
    for ours, theirs, grad in zip(trainer.model.parameters(), twin.parameters(), grads, strict=True):
        clipped = grad * config.clip_norm / norm
        m, v = clipped, clipped**2  # after one step, with the bias of both moments corrected
        decayed = theirs * (1 - rate * (WEIGHT_DECAY if theirs.ndim > 1 else 0))
        torch.testing.assert_close(ours, decayed - rate * m / (v.sqrt() + 1e-8), atol=1e-6, rtol=1e-4)


def test_every_event_comes_when_it_is_due():
    """A report comes first, evaluations and samples at their steps, a checkpoint with each evaluation and at the end."""
    events = list(run(new_trainer()))
    steps = lambda kind: [event.step for event in events if isinstance(event, kind)]  # noqa: E731
    assert steps(EvalDone) == [7, 14, 21, 28, 35, 40]
    assert steps(SampleDue) == [5, 10, 15, 20, 25, 30, 35, 40]
    assert set(steps(EvalDone)) <= set(steps(CheckpointDue))
    assert steps(StepsDone) == sorted(set(steps(EvalDone) + steps(SampleDue) + steps(CheckpointDue) + [1]))
    assert isinstance(events[-1], CheckpointDue)
    assert next(event.is_best for event in events if isinstance(event, EvalDone))
    order = [StepsDone, EvalDone, SampleDue, CheckpointDue]
    for before, after in pairwise(events):
        assert before.step < after.step or order.index(type(before)) < order.index(type(after))


def test_a_report_is_of_characters_and_not_of_symbols():
    """Where a symbol stands for 2.5 characters on average, each costs so much less, and so many more are read a second."""
    plain, wide = (
        list(run(Trainer.fresh(new_model("lstm", 1, V), task, CONFIG, End("steps", 9), "fp32")))
        for task in (TASK, replace(TASK, characters_per_symbol=2.5))
    )
    reports = [[event for event in events if isinstance(event, StepsDone)] for events in (plain, wide)]
    assert len(reports[0]) > 1
    for one, other in zip(*reports, strict=True):
        assert one.loss_nats == pytest.approx(2.5 * other.loss_nats, rel=1e-12)
        assert other.chars_per_second == pytest.approx(2.5 * one.chars_per_second, rel=1e-12)
        assert one.grad_norm == other.grad_norm


def test_a_stopped_run_ends_with_a_checkpoint_and_no_evaluation():
    """What a signal needs is to be saved, at once."""
    trainer = new_trainer(config=TrainConfig(batch_size=4, seq_len=9))
    events = list(run(trainer, should_stop=lambda: trainer.step == 3))
    assert [type(event) for event in events if event.step == 3][-2:] == [StepsDone, CheckpointDue]
    assert trainer.step == 3


def test_a_time_limit_counts_training_alone_and_ends_annealed(monkeypatch):
    """Seconds of evaluation and of the caller's own work do not count; the last step's rate is close to the floor."""
    clock = {"now": 0.0}
    rates, real_score = [], language.approximate_score

    def step(trainer, window):
        clock["now"] += 1.0
        result = training_step(trainer, window)
        rates.append(trainer.optimiser.param_groups[-1]["lr"])
        return result

    def score(*arguments):
        clock["now"] += 1000.0
        return real_score(*arguments)

    monkeypatch.setattr(language, "approximate_score", score)
    trainer = Trainer.fresh(new_model("gru", 1, V), TASK, CONFIG, End("seconds", 100.0), "fp32")
    for _ in train(trainer, elapsed=lambda: clock["now"], step=step):
        clock["now"] += 500.0
    assert trainer.step == 100
    assert trainer.seconds == 100.0
    assert rates[-1] < 1.1 * FINAL_RATE * CONFIG.learning_rate
    assert max(rates) > 0.99 * CONFIG.learning_rate


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_before_anything_is_saved(bad, monkeypatch):
    """From the step that diverges on there is no evaluation and no checkpoint."""
    real = language.next_symbol_nats
    calls = iter(range(10**6))
    monkeypatch.setattr(language, "next_symbol_nats", lambda *a: real(*a) * (bad if next(calls) >= 9 else 1.0))
    seen = []
    with pytest.raises(DivergedError, match=str(bad)):
        seen.extend(run(new_trainer()))  # a list keeps what came before the error
    assert max(event.step for event in seen) <= 9


@pytest.mark.parametrize(("clip_norm", "advice"), [(1.0, "a smaller --learning-rate or --clip-norm;"), (0.0, "--clip-norm 1;")])
def test_what_is_advised_to_a_run_that_diverged_can_help(clip_norm, advice, monkeypatch):
    """Where nothing is clipped no smaller norm is advised, but one at all."""
    real = language.next_symbol_nats
    monkeypatch.setattr(language, "next_symbol_nats", lambda *a: real(*a) * math.nan)
    config = TrainConfig(batch_size=4, seq_len=9, clip_norm=clip_norm)
    with pytest.raises(DivergedError) as diverged:
        list(run(new_trainer(config=config)))
    assert advice in diverged.value.hint


def test_a_scale_that_nothing_helps_any_more_ends_the_run():
    """Where every gradient overflows no step is taken, and a run that only halves its scale says so instead of going on."""
    trainer, seen = new_trainer(), []
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1e-9)
    with pytest.raises(DivergedError, match="scale is 1e-09"):
        seen.extend(run(trainer))
    assert not any(isinstance(event, CheckpointDue) for event in seen)


@pytest.mark.parametrize(
    ("name", "bad"),
    [("model", 1e13), *((name, bad) for name in ("model", "optimiser", "state") for bad in (math.nan, math.inf))],
)
def test_what_could_not_be_opened_again_is_never_saved(name, bad):
    """A weight, a moment or a carried state that is no number, or a weight beyond any that is learned, ends the run instead."""
    trainer, seen = new_trainer(), []
    with pytest.raises(DivergedError, match=name):
        seen.extend(run(trainer, should_stop=lambda: spoil(trainer, name, bad)))  # a list keeps what came before the error
    assert not any(isinstance(event, CheckpointDue) for event in seen)


@pytest.mark.parametrize("name", ["optimiser", "state"])
def test_a_large_number_that_is_no_weight_is_saved(name):
    """A moment or a carried state may be greater than any weight that is learned."""
    trainer = new_trainer()
    seen = list(run(trainer, should_stop=lambda: spoil(trainer, name, 1e13)))
    assert any(isinstance(event, CheckpointDue) for event in seen)


def spoil(trainer, name, bad) -> bool:
    """At step 5, put the number into one of the tensors of that kind; and stop."""
    if trainer.step == 5:
        next(tensor for key, tensor in trainer.tensors().items() if key.startswith(name)).data.flatten()[0:1].fill_(bad)
    return trainer.step == 5


def test_the_rate_rises_then_falls():
    """Up to the peak in a short warm-up, down along half a cosine to the floor, never outside."""
    rates = [schedule(step / 1000) for step in range(1001)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1.0)
    assert 0 < peak < 50
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(FINAL_RATE)
    assert schedule(0.51) == pytest.approx((1 + FINAL_RATE) / 2)


def test_no_evaluation_is_missed_while_a_report_waits(monkeypatch):
    """Time that passes while a report waits for the device counts, and an evaluation that falls into it comes after it."""
    clock, real_report = {"now": 0.0}, loop.report

    def step(*arguments):
        clock["now"] += 0.25
        return training_step(*arguments)

    def report(trainer, *arguments):
        trainer.seconds += 2.0
        return real_report(trainer, *arguments)

    monkeypatch.setattr(loop, "report", report)
    monkeypatch.setattr(loop, "PATIENCE", 0)
    config = TrainConfig(batch_size=4, seq_len=9)
    trainer = Trainer.fresh(new_model("rnn", 1, V), TASK, config, End("seconds", 200.0), "fp32")
    events = list(train(trainer, elapsed=lambda: clock["now"], step=step, report_seconds=1.0))
    assert sum(isinstance(event, EvalDone) for event in events) == loop.EVALUATIONS
    assert sum(isinstance(event, SampleDue) for event in events) == loop.SAMPLES


@pytest.mark.parametrize("patience", [0, 2, 5, 10**6])
def test_an_evaluation_waits_until_much_was_read(patience, monkeypatch):
    """Each comes at a twentieth of the run, so many times what it reads after the one before it; the last one at the end."""
    monkeypatch.setattr(loop, "PATIENCE", patience)
    config, steps = TrainConfig(batch_size=4, seq_len=9), 200
    trainer = Trainer.fresh(new_model("rnn", 1, V), TASK, config, End("steps", steps), "fp32")
    at = [event.step for event in train(trainer, elapsed=lambda: 0.0) if isinstance(event, EvalDone)]
    least = patience * len(HELD_OUT) // (4 * 9)
    expected = [0]
    for step in range(steps // loop.EVALUATIONS, steps, steps // loop.EVALUATIONS):
        if step - expected[-1] >= least:
            expected.append(step)
    assert at == [*expected[1:], steps]


def test_the_best_is_the_lowest_so_far(monkeypatch):
    """An evaluation is the best when its loss is below all before it, and at no other time."""
    losses = iter([3.0, 2.0, 2.5, 1.0, 1.0, 0.5])
    monkeypatch.setattr(language, "approximate_score", lambda *_: Score(nats=next(losses), num_characters=1))
    trainer = new_trainer()
    assert [event.is_best for event in run(trainer) if isinstance(event, EvalDone)] == [True, True, False, True, False, True]
    assert trainer.best_nats == 0.5


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=NEEDS_BF16)])
@pytest.mark.parametrize(
    "stop", [1, STREAMS.windows_per_epoch - 1, STREAMS.windows_per_epoch, STREAMS.windows_per_epoch + 1, 39]
)
def test_a_run_can_be_interrupted_at_any_step(stop, precision, tmp_path):
    """Around the end of an epoch as anywhere, in either precision, what goes on is what would have been, bit for bit."""
    trainers = [new_trainer("lstm", 2) for _ in range(3)]
    for trainer in trainers:
        trainer.precision = precision
    whole, first, second = trainers
    list(run(whole))
    list(run(first, should_stop=lambda: first.step >= stop))
    save_trainer(tmp_path / "last", first)
    load_trainer(tmp_path / "last", second)
    list(run(first))  # in memory
    list(run(second))  # by way of the file
    assert_same(whole, first)
    assert_same(whole, second)


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_that_was_carried_is_never_written_to(cell):
    """What a step left behind stays what it was through later steps, evaluations and samples: no buffer is shared."""
    trainer, kept = new_trainer(cell, 2), []
    for _ in train(trainer, elapsed=ticking(), report_seconds=0.0):
        flat = [part for cell_state in trainer.state for part in cell_state]
        kept.append((flat, [part.clone() for part in flat]))
        list(generate(trainer.model, HELD_OUT[:3], SampleConfig(length=2), torch.Generator().manual_seed(0)))
    assert all(torch.equal(a, b) for states, copies in kept for a, b in zip(states, copies, strict=True))


@pytest.mark.parametrize("held_out", [HELD_OUT, HELD_OUT[:0]], ids=["validation", "no-validation"])
def test_weights_that_are_no_numbers_are_never_offered_for_saving(held_out):
    """A step whose loss is finite but which ruins the weights ends the run before an evaluation or a checkpoint."""
    config = TrainConfig(batch_size=4, seq_len=9, learning_rate=1e300, eval_every=1)
    task = LanguageTask(streams=STREAMS, validation_ids=held_out)
    trainer, seen = Trainer.fresh(new_model("rnn", 1, V), task, config, End("steps", 40), "fp32"), []
    with pytest.raises(DivergedError):
        seen.extend(train(trainer, elapsed=ticking()))
    assert not any(isinstance(event, EvalDone | CheckpointDue) for event in seen)


@pytest.mark.parametrize("seconds", range(2 * STREAMS.windows_per_epoch - 3, 2 * STREAMS.windows_per_epoch + 4))
def test_a_time_limit_at_an_epochs_end_still_ends_with_a_checkpoint(seconds):
    """Wherever the time runs out, in a step or while a report waits, the last step is evaluated and saved."""
    trainer = Trainer.fresh(new_model("rnn", 1, V), TASK, CONFIG, End("seconds", float(seconds)), "fp32")
    events = list(train(trainer, elapsed=ticking(), report_seconds=0.0))
    assert isinstance(events[-1], CheckpointDue)
    assert [event.step for event in events if isinstance(event, EvalDone)][-1] == trainer.step == events[-1].step
