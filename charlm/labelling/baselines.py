"""All baselines: fitted to a training part, and kept as tensors. Knows no models and no files."""

from typing import Any

import numpy.typing as npt

from charlm.errors import CheckpointError, brief
from charlm.labelling.baseline import Baseline, Sizes, Tell, Tensors, ignore, spread
from charlm.labelling.character_baselines import MOST_CHARACTERS, CommonestOfCharacter, CommonestOfWord, LongestWord, WordTable
from charlm.labelling.text_baselines import Majority, Regression
from charlm.text.examples import Examples

SEPARATOR = "."


def baselines_for_texts(train: Examples, validation: Examples, num_labels: int, tell: Tell = ignore) -> tuple[Baseline, ...]:
    """What a classifier is measured beside: the majority, and regression over n-grams where texts have any in common."""
    regression = Regression.fit(train, validation, num_labels, tell)
    return (Majority.fit(train), *([regression] if regression else []))


def baselines_for_characters(train: Examples, vocab_size: int, *, words_are_seen: bool) -> tuple[Baseline, ...]:
    """What a tagger is measured beside; a word cannot be looked up where spaces are what is to be restored."""
    train = spread(train, len(train), MOST_CHARACTERS)
    characters, table = CommonestOfCharacter.fit(train, vocab_size), WordTable.fit(train)
    by_word = CommonestOfWord if words_are_seen else LongestWord
    return (characters, *([by_word(table, characters)] if table else []))


def tensors_of(baselines: tuple[Baseline, ...]) -> dict[str, npt.NDArray[Any]]:
    """All their tensors, by the baseline's key, a dot, and the tensor's name."""
    keys = {kind: key for key, kind in BASELINES.items()}
    return {
        f"{keys[type(baseline)]}{SEPARATOR}{name}": tensor
        for baseline in baselines
        for name, tensor in baseline.tensors().items()
    }


def baselines_from(tensors: Tensors, sizes: Sizes) -> tuple[Baseline, ...]:
    """What `tensors_of` was given. Raises `CheckpointError` for tensors that it never gives."""
    parts: dict[str, dict[str, npt.NDArray[Any]]] = {key: {} for key in BASELINES}
    for name, tensor in tensors.items():
        key, _, rest = name.partition(SEPARATOR)
        if key not in BASELINES:
            raise CheckpointError(f"there is no baseline {brief(key)!r}")
        parts[key][rest] = tensor
    baselines = tuple(BASELINES[key].from_tensors(part, sizes) for key, part in parts.items() if part)
    unknown = sorted(set(tensors) - set(tensors_of(baselines)))
    if unknown:
        raise CheckpointError(f"no baseline has a tensor {brief(unknown[0])!r}")
    return baselines


# In the order in which people see them.
BASELINES: dict[str, type[Baseline]] = {
    "majority": Majority,
    "ngrams": Regression,
    "characters": CommonestOfCharacter,
    "words": CommonestOfWord,
    "longest": LongestWord,
}
