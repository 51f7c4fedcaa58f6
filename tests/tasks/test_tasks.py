"""What the loop relies on of every task, whatever is learned."""

import math

import numpy as np
import pytest
import torch

from charlm.checkpoint.training import load_trainer
from charlm.config import End, TrainConfig
from charlm.model.devices import CPU
from charlm.tasks.registry import TASKS
from charlm.text.corpus import Corpus, Splits
from charlm.text.vocab import Vocab
from charlm.training.loop import train
from charlm.training.task import Task
from charlm.training.trainer import Trainer
from tests.conftest import new_model, save_trainer

V = 13
CONFIG = TrainConfig(batch_size=4, seq_len=9, eval_every=7, sample_every=5)

each_task = pytest.mark.parametrize("name", TASKS)


def new_task(name: str, num_validation: int = 90) -> Task:
    ids = np.random.default_rng(0).integers(0, V, 700 + num_validation).astype(np.uint8)
    vocab = Vocab(kind="char", symbols=tuple(range(97, 97 + V)), start=0)
    splits = Splits(train=700, validation=len(ids), test=len(ids))
    return TASKS[name].of(Corpus(ids=ids, vocab=vocab, splits=splits, sha256="", ids_sha256=""), CONFIG)


def new_trainer(name: str) -> Trainer:
    return Trainer.fresh(new_model("gru", 2, V, dropout=0.3), new_task(name), CONFIG, End("steps", 40), "fp32")


def batches(task: Task, epoch: int, start: int = 0) -> list[list[torch.Tensor]]:
    return [list(batch) for batch in task.batches(epoch, start, CPU)]


def same(one: list[list[torch.Tensor]], other: list[list[torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for mine, theirs in zip(one, other, strict=True) for a, b in zip(mine, theirs, strict=True)
    )


@each_task
def test_an_epoch_is_the_same_whenever_it_is_read(name):
    """Its batches are as many as are promised, the same ones each time, and the last of them from any number on."""
    task = new_task(name)
    whole = batches(task, 1)
    assert len(whole) == task.batches_per_epoch > 1
    assert same(whole, batches(new_task(name), 1))
    assert same(whole[2:], batches(task, 1, 2))


@each_task
def test_the_loss_is_the_mean_of_what_a_batch_predicts(name):
    """One number, about log V a prediction for a model that knows nothing, with gradients to each weight and the state."""
    task, model = new_task(name), new_model("gru", 2, V)
    batch = next(task.batches(0, 0, CPU))
    state = tuple(tuple(part.requires_grad_() for part in cell_state) for cell_state in task.initial_state(model))
    loss, after = task.loss(model, batch, state, None)
    assert loss.shape == ()
    assert abs(loss.item() - math.log(V)) < 1
    assert batch.num_characters >= 1
    parts = [part for cell_state in state for part in cell_state]
    assert len(after) == len(state)
    for gradient in torch.autograd.grad(loss, [*model.parameters(), *parts]):
        assert gradient.isfinite().all()
        assert gradient.any()


@each_task
def test_dropout_comes_from_the_generator_alone(name):
    """The same seed gives the same loss, none gives another, and the global random state has no part in it."""
    task, model, before = new_task(name), new_model("gru", 2, V, dropout=0.5), torch.get_rng_state()
    batch = next(task.batches(0, 0, CPU))

    def loss(generator: torch.Generator | None) -> float:
        return task.loss(model, batch, task.initial_state(model), generator)[0].item()

    assert loss(torch.Generator().manual_seed(1)) == loss(torch.Generator().manual_seed(1)) != loss(None)
    assert torch.equal(torch.get_rng_state(), before)


@each_task
@pytest.mark.parametrize("exact", [False, True])
def test_a_score_changes_nothing_and_is_the_same_each_time(name, exact):
    """About log V for a model that knows nothing; and there is none where nothing is held back."""
    task, model = new_task(name), new_model("gru", 2, V)
    before = [p.detach().clone() for p in model.parameters()]
    scores = [task.score(model, exact=exact) for _ in range(2)]
    assert scores[0] == scores[1]
    assert abs(scores[0].nats_per_character - math.log(V)) < 1
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert new_task(name, num_validation=0).score(model, exact=exact) is None


@each_task
def test_a_stopped_run_of_any_task_ends_as_one_that_was_not(name, tmp_path):
    """40 steps are 17, saved, loaded into a new trainer and gone on with, bit for bit; and something was learned."""
    whole, first, second = (new_trainer(name) for _ in range(3))
    began = [p.detach().clone() for p in whole.model.parameters()]
    list(train(whole, elapsed=lambda: 0.0))
    list(train(first, elapsed=lambda: 0.0, should_stop=lambda: first.step >= 17))
    save_trainer(tmp_path / "last", first)
    assert load_trainer(tmp_path / "last", second) == []
    list(train(second, elapsed=lambda: 0.0))
    assert (whole.step, whole.epoch, whole.batch, whole.best_nats) == (
        second.step,
        second.epoch,
        second.batch,
        second.best_nats,
    )
    assert all(torch.equal(one, whole.tensors()[key]) for key, one in second.tensors().items())
    assert not any(torch.equal(one, other) for one, other in zip(began, whole.model.parameters(), strict=True))
