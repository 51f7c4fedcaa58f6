"""Labelled texts for the tests of what judges labels."""

from collections.abc import Sequence

import numpy as np

from charlm.text.examples import BEGINS, INSIDE, OUTSIDE, UNLABELLED, Examples


def texts(*labelled: tuple[str, int]) -> Examples:
    """Texts with a label each; ids are code points less 32."""
    return Examples(
        ids=ids_of("".join(text for text, _ in labelled)),
        bounds=np.cumsum([0, *(len(text) for text, _ in labelled)]),
        labels=np.array([label for _, label in labelled], dtype=np.uint16),
        places=np.zeros(0, dtype=np.uint8),
    )


def tagged(*rows: tuple[str, Sequence[int | None]]) -> Examples:
    """Texts with a label for each character (None where there is none); words are what blanks part, and blanks are in none."""
    joined = "".join(text for text, _ in rows)
    bounds = np.cumsum([0, *(len(text) for text, _ in rows)])
    places = [
        OUTSIDE if character == " " else BEGINS if at in bounds or joined[at - 1] == " " else INSIDE
        for at, character in enumerate(joined)
    ]
    labels = [UNLABELLED if label is None else label for _, each in rows for label in each]
    assert len(labels) == len(joined)
    return Examples(
        ids=ids_of(joined), bounds=bounds, labels=np.array(labels, dtype=np.uint16), places=np.array(places, dtype=np.uint8)
    )


def ids_of(text: str) -> np.ndarray:
    return np.array([ord(character) - 32 for character in text], dtype=np.uint8)


def random_tagged(rng: np.random.Generator, num_texts: int, num_labels: int, length: int = 23) -> Examples:
    """Texts of random words, blanks and labels, some of them missing."""
    rows = []
    for _ in range(num_texts):
        text = "".join(rng.choice(list("abc  "), rng.integers(1, length)))
        rows.append((text, [None if rng.random() < 0.2 else int(rng.integers(num_labels)) for _ in text]))
    return tagged(*rows)
