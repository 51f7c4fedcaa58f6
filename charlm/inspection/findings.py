"""What inspecting a model gives: a unit, a finding about it, and a stretch of text with what the model did there.

Types only, for those that make them and for those that show them. Units and layers count from zero.
"""

from __future__ import annotations  # so that numpy is needed for the types only, and --help does without it

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from charlm.model.cells import Signal

VERDICTS = {
    "used": "confirmed, and both held at its mean and at its own values from elsewhere in the text it raises the loss more "
    "than 95 % of comparable units do, where the feature is present and where it is absent counting half each",
    "confirmed": "the same sign in the second half, p <= 0.05, and 0.05 or more above the baselines",
    "correlated": "the feature's best unit in the first half of the text, and nothing more",
}  # the strongest first


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitId:
    """One signal of one unit: the name of a part of its state or of a gate, as its cell's `signals` have it."""

    layer: int
    unit: int
    signal: str

    def __str__(self) -> str:
        return f"{self.layer}:{self.unit}:{self.signal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The rise in loss, in nats per character, where a feature is present and where it is absent."""

    present: float
    absent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A feature's best unit, and how far it was proven.

    `statistic` is "auroc" (yes/no features; `score` is +-max(AUROC, 1 - AUROC), minus when the unit is low where the feature
    holds) or "spearman" (graded ones). `score` is from the first half of the text, `confirmed_score` from the second.
    `delta_nats` is over as much text as settled the verdict, and None where the unit was not clamped.
    """

    unit: UnitId
    feature: str
    statistic: str
    score: float
    confirmed_score: float
    p_value: float
    baseline_gain: float
    delta_nats: Delta | None
    verdict: str

    @property
    def strength(self) -> float:
        """The score on a scale from 0 (nothing) to 1 (perfect) that both statistics share."""
        return 2 * abs(self.score) - 1 if self.statistic == "auroc" else abs(self.score)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stretch of n characters as the model read it.

    `pieces[t]` is what to show for character t (for a byte model, empty until a character is whole). `surprise[t]` is what
    character t cost in nats, NaN for a text's very first. `expected` `(n, K)` are the ids the model held most probable to come
    *after* character t, the likeliest first, and `probabilities` `(n, K)` theirs. `symbols[id]` shows an id.
    """

    start: int
    pieces: tuple[str, ...]
    surprise: npt.NDArray[np.float32]
    expected: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A short piece of text from anywhere, with a signal's value at each character: `values` `(len(pieces),)`.

    `values[peak]` is what it was chosen for.
    """

    start: int
    pieces: tuple[str, ...]
    values: npt.NDArray[np.float32]
    peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """All that is shown of one unit: every signal over a passage of n characters, and its habits in more of the text.

    `signals` are its cell's; `values` is `(S, n)`, each signal from its least value to 1.
    `histogram[s]` `(BINS,)` counts signal s over that same range; `snippets[s]` are passages where signal s is highest, the
    highest first, then those where it is lowest. `share_on[s]` is the fraction of time it is above the middle of its range.
    """

    layer: int
    unit: int
    signals: tuple[Signal, ...]
    values: npt.NDArray[np.float32]
    histogram: npt.NDArray[np.int64]
    snippets: tuple[tuple[Snippet, ...], ...]
    share_on: npt.NDArray[np.float64]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closeup:
    """A unit where one of its signals is liveliest: the view and the passage there, and the best finding about that signal."""

    unit: UnitId
    view: UnitView
    passage: Passage
    finding: Finding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """How often a gate of a layer is nearly shut and nearly open: for each unit the fraction of time below 0.1 and above 0.9.

    `left` and `right` are `(H,)` (Karpathy, Johnson and Fei-Fei 2015, figure 2).
    """

    layer: int
    gate: str
    left: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings, best first; which features were left out and why, and which change too slowly for a p-value (theirs is
    1); how often gates are shut and open.
    """

    findings: tuple[Finding, ...]
    left_out: tuple[tuple[str, str], ...]
    too_slow: tuple[str, ...]
    saturation: tuple[Saturation, ...]
    num_characters: int
