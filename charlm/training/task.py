"""All that the training loop knows of what it trains: a task. Knows nothing of any one of them, nor of the loop.

A task is what is to be learned and from what: it cuts its data into batches, says what the loss of one is, and scores a model
on the part that is held back. Each is a module in charlm/tasks/.
"""

from collections.abc import Iterator
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from charlm.evaluation import Score, TellCount, ignore
from charlm.model.stack import ModelState


class Batch(Protocol):
    """A NamedTuple of tensors that one step learns from; the shapes are the same throughout a run that captures its steps."""

    @property
    def num_predictions(self) -> int:
        """How many predictions the loss is the mean of."""

    def __iter__(self) -> Iterator[Tensor]:
        """Its tensors, of which its class makes another such batch."""


M_contra = TypeVar("M_contra", bound=nn.Module, contravariant=True)
B = TypeVar("B", bound=Batch)


class Task(Protocol[M_contra, B]):
    """What models of kind M are trained for, by batches of kind B."""

    @property
    def batch_size(self) -> int:
        """How many streams or examples a batch has side by side; fewer than were asked for where there are not so many."""

    @property
    def batches_per_epoch(self) -> int:
        """How many batches go through the data once."""

    @property
    def look_size(self) -> int:
        """About how many characters are read for a score that is not exact."""

    def initial_state(self, model: M_contra) -> ModelState:
        """What an epoch begins with, and is carried from batch to batch; `()` where nothing is carried."""

    def batches(self, epoch: int, start: int, device: torch.device) -> Iterator[B]:
        """The batches of `epoch` from number `start` on, on `device`: always the same ones for the same numbers."""

    def loss(self, model: M_contra, batch: B, state: ModelState, dropout: torch.Generator | None) -> tuple[Tensor, ModelState]:
        """The mean loss of the batch's predictions, in nats, and the state after it; gradients flow back to `state`."""

    def score(self, model: M_contra, *, exact: bool, tell: TellCount = ignore) -> Score | None:
        """The loss on the validation part, None where there is none; lower is better.

        Not exact is a look during training, sooner done. `tell` is told how many characters an exact score has read.
        """
