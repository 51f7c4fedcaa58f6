"""What a vocabulary lacks, spelt: words in characters, and characters in the bytes of their UTF-8 form. Knows numbers only."""

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

NUM_BYTES = 256
BYTE0 = 0x110100  # the symbol of the byte b is BYTE0 + b: no code point, and room for others between


def is_surrogate(points: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.bool_]:
    """Which code points are halves of a character, and have no UTF-8 form."""
    halves: npt.NDArray[np.bool_] = points >> 11 == 0x1B
    return halves


def is_leading(number: int) -> bool:
    """Whether a byte begins a character in UTF-8."""
    return number & 0xC0 != 0x80


def spelt(points: npt.NDArray[np.unsignedinteger], ids: Numbers, first_byte: int) -> Numbers:
    """The ids `(M,)` of a text whose `(N,)` code points have `ids`: in place of each -1 its bytes, whose ids begin at
    `first_byte`; nothing in place of each -2.
    """
    is_unknown = ids == -1
    unknown = points[is_unknown]
    sizes = (ids >= 0).astype(np.int64)
    sizes[is_unknown] = 1 + (unknown >= 0x80) + (unknown >= 0x800) + (unknown >= 0x10000)
    ends = sizes.cumsum()
    is_known = ids >= 0
    places = ends[is_known] - 1
    result = np.empty(ends[-1] if ends.size else 0, dtype=np.int64)
    is_byte = np.ones(len(result), dtype=np.bool_)
    is_byte[places] = False
    result[places] = ids[is_known]
    raw = unknown.astype("<u4").tobytes().decode("utf-32-le").encode("utf-8")
    result[is_byte] = np.frombuffer(raw, dtype=np.uint8).astype(np.int64) + first_byte
    return result


def with_words(ids: Numbers, starts: Numbers, ends: Numbers, words: Numbers) -> Numbers:
    """The ids `(N,)` of characters, with the id of each of some words at its first, and -2 at its others."""
    steps = np.zeros(len(ids) + 1, dtype=np.int64)
    steps[starts + 1] += 1
    steps[ends] -= 1
    result = np.where(steps.cumsum()[:-1] > 0, -2, ids)
    result[starts] = words
    return result
