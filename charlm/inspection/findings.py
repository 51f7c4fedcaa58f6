"""What inspecting a model gives: units, findings about them, and stretches of text with what the model did there.

Types only, shared by the code that makes them and the code that shows them. Units and layers count from zero.
"""

from __future__ import annotations  # so that --help need not load numpy, which only the types need

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
    """The rise in loss, in nats for each character or label, where a feature is present and where it is absent."""

    present: float
    absent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A feature's best unit, and how much of it was proven.

    `statistic` is "auroc" for yes/no features, where `score` is +-max(AUROC, 1 - AUROC), with minus for a unit that is low
    where the feature holds; it is "spearman" for graded ones. `score` is from the first half of the text, `confirmed_score`
    from the second. `p_value` is None where the label changes too seldom to be tested. `delta_nats` is over the text that
    settled the verdict, and None where the unit was not clamped.
    """

    unit: UnitId
    feature: str
    statistic: str
    score: float
    confirmed_score: float
    p_value: float | None
    baseline_gain: float
    delta_nats: Delta | None
    verdict: str

    @property
    def strength(self) -> float:
        """The score from 0 (nothing) to 1 (perfect), on one scale for both statistics."""
        return 2 * abs(self.score) - 1 if self.statistic == "auroc" else abs(self.score)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stretch of n characters as the model read it.

    `pieces[t]` is what to show for character t (for a byte model, empty until a character is complete). `surprise[t]` is the
    loss in nats on character t, NaN for the first of a text. `expected` `(n, K)` are the ids that the model holds most probable
    *after* character t, the likeliest first, and `probabilities` `(n, K)` are theirs. `symbols[id]` is what to show for an id.

    With `has_labels` the model gives labels instead: `surprise[t]` is the loss on the text's label or on the character's, NaN
    where that is not known, and the ids are those of labels.
    """

    start: int
    pieces: tuple[str, ...]
    surprise: npt.NDArray[np.float32]
    expected: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    symbols: tuple[str, ...]
    has_labels: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A short piece of text from anywhere, with a signal's value at each character: `values` `(len(pieces),)`.

    It was chosen for `values[peak]`.
    """

    start: int
    pieces: tuple[str, ...]
    values: npt.NDArray[np.float32]
    peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """All that is shown of one unit: every signal over a passage of n characters, and its habits over more of the text.

    `signals` are the S signals of its cell; `values` is `(S, n)`, each signal from its least value to 1. `histogram[s]`
    `(HISTOGRAM_BINS,)` counts signal s over that range; `snippets[s]` are snippets where signal s is highest, the highest
    first, then where it is lowest. `share_on[s]` is the fraction of the time that it is above the middle of its range.
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
    """A unit where one of its signals varies most: the view and the passage there, and the best finding about that signal."""

    unit: UnitId
    view: UnitView
    passage: Passage
    finding: Finding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """How often a gate of a layer is nearly shut and nearly open (Karpathy, Johnson and Fei-Fei 2015, figure 2).

    `left` `(H,)` is each unit's fraction of the time below 0.1, `right` `(H,)` that above 0.9.
    """

    layer: int
    gate: str
    left: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings, best first; which features were left out, and why; which are not tested, as their labels change too seldom;
    how often gates are shut and open.
    """

    findings: tuple[Finding, ...]
    left_out: tuple[tuple[str, str], ...]
    untested: tuple[str, ...]
    saturation: tuple[Saturation, ...]
    num_characters: int
