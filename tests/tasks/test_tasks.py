"""What the loop relies on of every task, whatever is learned."""

import math
from dataclasses import replace

import pytest
import torch

from charlm.checkpoint.training import load_trainer
from charlm.evaluation import Score
from charlm.model.devices import CPU
from charlm.tasks.registry import TASKS
from charlm.training.events import CheckpointDue, EvalDone, Event
from charlm.training.loop import train
from charlm.training.task import Task
from charlm.training.trainer import Trainer
from tests.conftest import save_trainer
from tests.tasks.making import CONFIG, LABELLED, new_network, new_task, new_trainer, num_choices

each_task = pytest.mark.parametrize("name", TASKS)


def batches(task: Task, epoch: int, start: int = 0) -> list[list[torch.Tensor]]:
    return [list(batch) for batch in task.batches(epoch, start, CPU)]


def same(one: list[list[torch.Tensor]], other: list[list[torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for mine, theirs in zip(one, other, strict=True) for a, b in zip(mine, theirs, strict=True)
    )


def assert_same(one: Trainer, other: Trainer) -> None:
    """Both stand at the same place, bit for bit."""
    for name in ("step", "epoch", "batch", "best_nats", "evaluated_step", "stale"):
        assert getattr(one, name) == getattr(other, name), name
    mine, theirs = one.tensors(), other.tensors()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in mine.items())


@each_task
def test_an_epoch_is_the_same_whenever_it_is_read(name):
    """Its batches are as many as are promised, the same ones each time, and the last of them from any number on."""
    task = new_task(name)
    whole = batches(task, 1)
    assert len(whole) == task.batches_per_epoch > 1
    assert same(whole, batches(new_task(name), 1))
    assert same(whole[2:], batches(task, 1, 2))
    assert not same(whole, batches(task, 2))


@each_task
def test_the_loss_is_the_mean_of_what_a_batch_predicts(name):
    """One number, about the log of the number of choices, with gradients to each weight and the state."""
    task, model = new_task(name), new_network(name)
    batch = next(task.batches(0, 0, CPU))
    state = tuple(tuple(part.requires_grad_() for part in cell_state) for cell_state in task.initial_state(model))
    loss, after = task.loss(model, batch, state, None)
    assert loss.shape == ()
    assert abs(loss.item() - math.log(num_choices(name))) < 1
    assert batch.num_characters >= 1
    parts = [part for cell_state in state for part in cell_state]
    assert len(after) == len(state)
    for gradient in torch.autograd.grad(loss, [*model.parameters(), *parts]):
        assert gradient.isfinite().all()
        assert gradient.any()


@each_task
def test_dropout_comes_from_the_generator_alone(name):
    """The same seed gives the same loss, none gives another, and the global random state has no part in it."""
    task, model, before = new_task(name), new_network(name, dropout=0.5), torch.get_rng_state()
    batch = next(task.batches(0, 0, CPU))

    def loss(generator: torch.Generator | None) -> float:
        return task.loss(model, batch, task.initial_state(model), generator)[0].item()

    assert loss(torch.Generator().manual_seed(1)) == loss(torch.Generator().manual_seed(1)) != loss(None)
    assert torch.equal(torch.get_rng_state(), before)


@each_task
@pytest.mark.parametrize("exact", [False, True])
def test_a_score_changes_nothing_and_is_the_same_each_time(name, exact):
    """About the log of the number of choices for a model that knows nothing; and none where nothing is held back."""
    task, model = new_task(name), new_network(name)
    before = [p.detach().clone() for p in model.parameters()]
    scores = [task.score(model, exact=exact) for _ in range(2)]
    assert scores[0] == scores[1]
    assert abs(scores[0].nats_per_character - math.log(num_choices(name))) < 1
    assert (scores[0].accuracy is None) == (name not in LABELLED)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert task.look_size > 0
    empty = new_task(name, num_validation=0)
    assert empty.score(model, exact=exact) is None
    assert empty.look_size == 0


def stopped_and_resumed(whole: Trainer, first: Trainer, second: Trainer, path, steps: int = 17) -> list[Event]:
    """Train one to its end, and another so many steps, after which a third goes on from its file; the first one's events."""
    events = list(train(whole, elapsed=lambda: 0.0))
    list(train(first, elapsed=lambda: 0.0, should_stop=lambda: first.step >= steps))
    save_trainer(path, first)
    assert load_trainer(path, second) == []
    list(train(second, elapsed=lambda: 0.0))
    assert_same(whole, second)
    return events


@each_task
def test_a_stopped_run_of_any_task_ends_as_one_that_was_not(name, tmp_path):
    """40 steps are 17, saved, loaded into a new trainer and gone on with, bit for bit; and something was learned."""
    trainers = [new_trainer(name) for _ in range(3)]
    began = [p.detach().clone() for p in trainers[0].model.parameters()]
    stopped_and_resumed(*trainers, tmp_path / "last")
    assert not any(torch.equal(one, other) for one, other in zip(began, trainers[0].model.parameters(), strict=True))


class Worsening:
    """A task whose score is how far the model has come from where it began, so that the first is the best."""

    def __init__(self, name: str) -> None:
        self.task = new_task(name)
        self.began = [p.detach().clone() for p in new_network(name, dropout=0.3).parameters()]

    def __getattr__(self, name: str) -> object:
        return getattr(self.task, name)

    def score(self, model, *, exact, tell=None) -> Score:
        pairs = zip(self.began, model.parameters(), strict=True)
        return Score(nats=sum(float((p.detach() - p0).norm()) for p0, p in pairs), num_characters=1)


@each_task
@pytest.mark.parametrize("steps", [1, 22])
def test_a_run_of_any_task_ends_when_its_patience_has(name, steps, tmp_path):
    """Three evaluations without a better one end it, at the same step though it was stopped between them, bit for bit."""
    config = replace(CONFIG, patience=3)
    trainers = [new_trainer(name, config, Worsening(name)) for _ in range(3)]
    events = stopped_and_resumed(*trainers, tmp_path / "last", steps)
    assert [(event.step, event.is_best) for event in events if isinstance(event, EvalDone)] == [
        (7, True),
        (14, False),
        (21, False),
        (28, False),
    ]
    assert isinstance(events[-1], CheckpointDue)
    assert trainers[0].is_over
    assert (trainers[0].step, trainers[0].stale) == (28, 3)


@each_task
def test_a_run_without_patience_does_not_count(name):
    """Where none is asked for, nothing ends early, and a file has no word of it."""
    trainer = new_trainer(name, CONFIG, Worsening(name))
    list(train(trainer, elapsed=lambda: 0.0))
    assert (trainer.step, trainer.stale) == (40, 0)


@pytest.mark.cuda
@each_task
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_stopped_run_of_any_task_ends_on_cuda_as_one_that_was_not(name, precision, tmp_path):
    """The same on a card, whose steps, where batches are of many shapes, are plain ones."""
    trainers = [new_trainer(name, device="cuda", precision=precision) for _ in range(3)]
    events = stopped_and_resumed(*trainers, tmp_path / "last")
    assert all(math.isfinite(event.validation_nats) for event in events if isinstance(event, EvalDone))
