"""What a baseline is: a way to label that needs no network. Knows no models and no files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from charlm.errors import CheckpointError
from charlm.labelling.words import Labels
from charlm.text.batches import some
from charlm.text.examples import Examples

Tensors = Mapping[str, npt.NDArray[Any]]
Tell = Callable[[str, float], None]  # what is being fitted, and how far it is, from 0 to 1


def ignore(stage: str, fraction: float) -> None:
    """Ignore how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many labels and ids there are: what a file's tensors are checked against."""

    num_labels: int
    vocab_size: int


class Baseline(Protocol):
    """A way to label texts or, `by_character`, their characters. `name` is what people see, `about` says what it does."""

    name: ClassVar[str]
    about: ClassVar[str]
    by_character: ClassVar[bool]

    def predict(self, examples: Examples) -> Labels:
        """The label of each of n texts `(n,)`, or of each of their N characters `(N,)`."""
        ...

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """All that `from_tensors` needs: float32, float16, uint16 or int64, and no array is empty."""
        ...

    @classmethod
    def from_tensors(cls, tensors: Tensors, sizes: Sizes) -> Self:
        """What has these tensors, which may be anyone's. Raises `CheckpointError` for those that `tensors` never gives."""
        ...


def spread(examples: Examples, most_texts: int, most_characters: int) -> Examples:
    """All texts, or a sample spread evenly over them: at most about as many texts, and as many characters."""
    share = min(most_texts / max(1, len(examples)), most_characters / max(1, examples.num_characters))
    if share >= 1:
        return examples
    number = max(1, int(share * len(examples)))
    return some(examples, np.arange(number) * len(examples) // number)


def commonest(groups: npt.NDArray[np.integer[Any]], values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """For each group, in rising order, where among M its commonest value is first: of `groups` `(M,)` and `values` `(M,)`.

    Of values that are equally common the least is taken.
    """
    order = np.lexsort((values, groups))
    groups, values = groups[order], values[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (groups[1:] != groups[:-1]) | (values[1:] != values[:-1])
    starts = np.flatnonzero(is_new)
    counts = np.diff(starts, append=len(order))
    best = np.lexsort((-counts, groups[starts]))
    _, firsts = np.unique(groups[starts][best], return_index=True)
    chosen: npt.NDArray[np.int64] = order[starts[best[firsts]]]
    return chosen


def checked(tensors: Tensors, name: str, dtype: type, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """The tensor of that name, type and shape, None for any size above 0. Raises `CheckpointError` for any other."""
    tensor = tensors.get(name)
    if tensor is None:
        raise CheckpointError(f"a baseline has no tensor {name}")
    sizes = tuple(want or size for want, size in zip(shape, tensor.shape, strict=False))
    if tensor.dtype != dtype or len(tensor.shape) != len(shape) or tensor.shape != sizes or not tensor.size:
        raise CheckpointError(f"a baseline's tensor {name} has another type or shape: {tensor.dtype} of {list(tensor.shape)}")
    return tensor


def checked_labels(tensors: Tensors, name: str, shape: tuple[int | None, ...], num_labels: int) -> Labels:
    """As `checked`, for labels, which must be below `num_labels`."""
    labels: Labels = checked(tensors, name, np.uint16, shape)
    if labels.max() >= num_labels:
        raise CheckpointError(f"a baseline's tensor {name} has the label {labels.max()}, and there are {num_labels}")
    return labels


def checked_hashes(tensors: Tensors, name: str) -> npt.NDArray[np.int64]:
    """As `checked`, for hashes, which must rise."""
    hashes: npt.NDArray[np.int64] = checked(tensors, name, np.int64, (None,))
    if not (hashes[1:] > hashes[:-1]).all():
        raise CheckpointError(f"a baseline's tensor {name} is not in order")
    return hashes


def checked_finite(tensors: Tensors, name: str, dtype: type, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """As `checked`, for finite numbers."""
    numbers = checked(tensors, name, dtype, shape)
    if not np.isfinite(numbers).all():
        raise CheckpointError(f"a baseline's tensor {name} has a number that is not finite")
    return numbers
