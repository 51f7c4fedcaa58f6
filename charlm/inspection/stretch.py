"""Where a text best shows a feature both present and absent; there a clamped unit is followed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.features.labels import Labels
from charlm.inspection.trace import Chapter, Trace

TOP = 0.25  # of the characters, those highest in a graded feature, count as having it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """n + 1 characters of text, and where a feature is: `is_present` `(n,)`, after each of the first n."""

    text: Chapter
    is_present: npt.NDArray[np.bool_]


def stretch_of(labels: Labels, trace: Trace, steps: int) -> Stretch | None:
    """The stretch, of `steps` characters and the next, in which the rarer of present and absent is most frequent for the one
    feature of `labels`. A stretch begins where a lane begins. None where no stretch has both.
    """
    best, least = None, 0
    for chapter in trace.chapters:
        (levels,) = labels.between(chapter.start, chapter.stop)
        is_present = levels >= (top_level(levels) if labels.features[0].is_graded else 1)
        size = min(steps, len(levels) - 1)
        before = np.concatenate([[0], is_present.cumsum()])
        for lane in range(chapter.ids.shape[1]):
            start = lane * chapter.ids.shape[0]
            if start + size < len(levels):
                present = int(before[start + size] - before[start])
                if min(present, size - present) > least:
                    least = min(present, size - present)
                    best = Stretch(text=chapter.some(lane, size + 1), is_present=is_present[start : start + size])
    return best


def top_level(levels: npt.NDArray[np.int64]) -> int:
    """The lowest level that at most a quarter of the characters reach; the highest level where more reach even that."""
    distinct, counts = np.unique(levels, return_counts=True)
    share = counts[::-1].cumsum()[::-1] / len(levels)
    enough = np.flatnonzero(share <= TOP)
    return int(distinct[enough[0] if enough.size else -1])
