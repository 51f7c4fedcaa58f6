"""The task: all that the training loop, and whoever drives it, knows of what is trained. Knows no task in particular.

A task says what is learned and from what data: it cuts the data into batches, computes the loss of a batch, and scores a model
on the part that is held back. Each is a class in charlm/tasks/, whose `model` is the class of its models; its class method
`of(data, training)` makes it for a run.
"""

from collections.abc import Iterator
from typing import ClassVar, Protocol, TypeVar

import torch
from torch import Tensor, nn

from charlm.evaluation import Score, TellCount, ignore
from charlm.model.stack import ModelState


class Batch(Protocol):
    """A NamedTuple of tensors that one step learns from."""

    @property
    def num_characters(self) -> int:
        """The number of characters that a step reads."""

    def __iter__(self) -> Iterator[Tensor]:
        """Its tensors, in the order in which its class takes them."""


M_contra = TypeVar("M_contra", bound=nn.Module, contravariant=True)
B = TypeVar("B", bound=Batch)


class Task(Protocol[M_contra, B]):
    """What models of type M are trained for, in batches of type B."""

    has_one_shape: ClassVar[bool]  # whether all batches have the same shapes, so that a step can be captured as a CUDA graph

    @property
    def characters_per_symbol(self) -> float:
        """How many characters of a text a prediction stands for, on average; 1 unless symbols are of several sizes."""

    @property
    def batch_size(self) -> int:
        """The number of streams or examples in a batch; fewer than requested where the data have not enough."""

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches that go through the data once: exactly as many as `batches` gives of a whole epoch."""

    @property
    def look_size(self) -> int:
        """About how many characters a look reads: a score that is not exact."""

    def initial_state(self, model: M_contra) -> ModelState:
        """The state that an epoch begins with, and that is carried from batch to batch; `()` where nothing is carried."""

    def batches(self, epoch: int, start: int, device: torch.device) -> Iterator[B]:
        """The batches of `epoch` from number `start` on, on `device`; the same `epoch` and `start` always give the same."""

    def loss(
        self, model: M_contra, batch: B, state: ModelState, generator: torch.Generator | None
    ) -> tuple[Tensor, ModelState]:
        """The mean loss of the batch's predictions, in nats, and the state after it; gradients flow back to `state`.

        Dropout is drawn from `generator`; without one there is none.
        """

    def score(self, model: M_contra, *, exact: bool, tell: TellCount = ignore) -> Score | None:
        """The loss on the validation part, None where there is none; lower is better.

        A score that is not exact is a look during training, and faster. An exact one must call `tell`, now and then, with how
        many characters it has read: a signal is only heard there.
        """
