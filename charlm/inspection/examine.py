"""Find, confirm, prove: from a model and a text to findings. The order of the argument is the order of this file.

first half     every unit against every feature; each feature's best unit goes on
second half    that unit against chance, against the last 8 characters, against untrained models
then           what clamping it does to the loss, for those that hold
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from charlm.errors import TextError, counted
from charlm.features.labels import Bounds, Labels
from charlm.features.registry import Feature
from charlm.inspection import baselines
from charlm.inspection.confirmation import Confirmation, confirm
from charlm.inspection.findings import VERDICTS, Finding, Report, Saturation
from charlm.inspection.intervention import MOST_CONTROLS, intervene
from charlm.inspection.parallel import side_by_side
from charlm.inspection.ranking import count_units, rank
from charlm.inspection.statistics import BINS, Counts, Floats
from charlm.inspection.stretch import stretch_of
from charlm.inspection.telling import count_in, tell_nobody
from charlm.inspection.texts import Starts
from charlm.inspection.trace import Group, Trace, unit_of
from charlm.inspection.verdict import Effect
from charlm.model.network import Network
from charlm.text.corpus import Tell
from charlm.text.vocab import Ids, Vocab

LEAST_CHARACTERS = 2000  # in which units can be found in one half and tested in the other
SIGNIFICANCE = 0.05  # the highest p-value of what is confirmed
LEAST_GAIN = 0.05  # above the baselines, of what is confirmed
MOST_CLAMPED = 20_000  # characters that a clamped unit is followed over
LEAST_CLAMPED = 1_000  # characters, however large the model
CLAMP_WORK = 1.8e12  # multiplications for all clamps, if in the lowest layer; with more to do, each is followed less far
SHUT = BINS // 10  # below this bin a gate counts as shut
OPEN = BINS - BINS // 10  # from this bin on a gate counts as open

# What clamping does, by feature number: for a trace, its labels, pairs of feature number and row, and a seed.
Clamping = Callable[[Trace, Labels, Mapping[int, int], int, Tell], dict[int, Effect]]


def examine(
    model: Network,
    ids: Ids,
    vocab: Vocab,
    features: Sequence[Feature],
    seed: int,
    workers: int = 1,
    tell: Tell = tell_nobody,
) -> Report:
    """Each feature's best unit, tested. Raises `TextError` for a text under 2,000 characters.

    `workers` threads compute at a time; the numbers do not depend on how many. `tell` hears each stage, and how far it is.
    """
    check_length(len(ids), vocab)
    halves = (0, len(ids) // 2), (len(ids) // 2, len(ids))
    return argue(model, Labels(ids, vocab, features), halves, _clamp, seed, workers, tell)


def check_length(number: int, vocab: Vocab) -> None:
    """Raise `TextError` for a text of too few characters, or symbols of another kind."""
    if number < LEAST_CHARACTERS:
        unit = "symbol" if vocab.is_spelt else "character"
        what = f"{counted(number, unit)}: too few to find units in one half and test them in the other"
        raise TextError(what, f"read {counted(LEAST_CHARACTERS, unit)} or more")


def argue(
    model: Network,
    asked: Labels,
    halves: tuple[Bounds, Bounds],
    clamp: Clamping,
    seed: int,
    workers: int,
    tell: Tell,
    rare: Sequence[tuple[str, str]] = (),
) -> Report:
    """The argument of `examine`, for any model; `clamp` clamps the units that hold. Features too `rare` to be asked for, with
    the reasons, are reported as left out.
    """
    labels, left_out = _present(asked, halves)
    left_out = [*rare, *left_out]
    if not labels.features:
        habits = gate_habits(model, labels.ids, workers, tell, labels.starts)
        return Report(
            findings=(), left_out=tuple(left_out), untested=(), saturation=habits, num_characters=labels.num_characters
        )
    tell("reading the text", 0.0)
    first, state = Trace.over(model, labels.ids, halves[0], None, workers, labels.starts)
    second, _ = Trace.over(model, labels.ids, halves[1], state, workers, labels.starts)
    ranking = rank(first, labels, count_in(tell, "ranking every unit", 2 * first.size))
    rows = ranking.best()
    found = ranking.effects[rows, np.arange(len(rows))]
    testing = count_in(tell, "testing the best on the second half", 2 * second.size)
    confirmed = confirm(second, labels, rows.tolist(), np.sign(found), np.random.default_rng(seed), testing)
    gains = _gains(first, labels, halves, confirmed, tell)
    holds = (confirmed.effects * found > 0) & (confirmed.p_values <= SIGNIFICANCE) & (gains >= LEAST_GAIN)
    clamped = clamp(second, labels, {n: int(rows[n]) for n in np.flatnonzero(holds).tolist()}, seed, tell)
    findings = []
    for n, feature in enumerate(labels.features):
        effect = clamped.get(n)
        finding = Finding(
            unit=unit_of(first.groups, int(rows[n])),
            feature=feature.name,
            statistic="spearman" if feature.is_graded else "auroc",
            score=_score(found[n], feature),
            confirmed_score=_score(confirmed.effects[n], feature),
            p_value=None if confirmed.changes_too_seldom[n] else float(confirmed.p_values[n]),
            baseline_gain=float(gains[n]),
            delta_nats=effect.delta if effect else None,
            verdict="used" if effect and effect.is_used else "confirmed" if holds[n] else "correlated",
        )
        findings.append(finding)
    return Report(
        findings=tuple(sorted(findings, key=lambda finding: (list(VERDICTS).index(finding.verdict), -finding.strength))),
        left_out=tuple(left_out),
        untested=tuple(labels.features[n].name for n in np.flatnonzero(confirmed.changes_too_seldom).tolist()),
        saturation=saturation(first.groups, ranking.counts),
        num_characters=labels.num_characters,
    )


def _score(effect: float, feature: Feature) -> float:
    """An effect from -1 to 1 as it is reported: rho, or +-max(AUROC, 1 - AUROC)."""
    return float(effect) if feature.is_graded else float(np.copysign((1 + abs(effect)) / 2, effect))


def _present(labels: Labels, halves: tuple[Bounds, Bounds]) -> tuple[Labels, list[tuple[str, str]]]:
    """The labels of the features that the text has; the names of the others, and why they are left out."""
    reasons = labels.missing(*halves)
    left_out = [(feature.name, why) for feature, why in zip(labels.features, reasons, strict=True) if why]
    return labels.only([n for n, why in enumerate(reasons) if not why]), left_out


def _gains(trace: Trace, labels: Labels, halves: tuple[Bounds, Bounds], confirmed: Confirmation, tell: Tell) -> Floats:
    """By how much each pair's confirmed score exceeds the better of its two baselines: `(F,)`."""
    tell("predicting from the last 8 characters", 0.0)
    context = baselines.from_context(labels, halves)
    size = sum(min(stop - start, baselines.UNTRAINED_CHARACTERS) for start, stop in halves)
    trying = count_in(tell, "trying untrained models", 2 * size * baselines.UNTRAINED)
    above = np.abs(confirmed.effects) - np.maximum(context, baselines.untrained(trace, labels, halves, trying))
    return np.where([feature.is_graded for feature in labels.features], above, above / 2)  # an AUROC's range is half as wide


def _clamp(trace: Trace, labels: Labels, pairs: Mapping[int, int], seed: int, tell: Tell) -> dict[int, Effect]:
    """What clamping does, by feature number, for `pairs` of feature number and row. Leaves out features without a stretch."""
    model = trace.model
    lanes = 2 * (1 + min(MOST_CONTROLS, model.config.hidden_size - 1)) + 1
    work = lanes * sum(weights.numel() for cell in model.layers for weights in cell.parameters()) * max(1, len(pairs))
    steps = int(min(MOST_CLAMPED, max(LEAST_CLAMPED, CLAMP_WORK / work)))
    works, total = {}, 0
    for n, row in pairs.items():
        stretch = stretch_of(labels.only([n]), trace, steps)
        if stretch is not None:
            works[n] = partial(intervene, trace, unit_of(trace.groups, row), stretch, np.random.default_rng([seed, n + 1]))
            total += lanes * len(stretch.is_present) + 1
    effects = side_by_side(list(works.values()), trace.workers, count_in(tell, "clamping units", total))
    return dict(zip(works, effects, strict=True))


def saturation(groups: Sequence[Group], counts: Counts) -> tuple[Saturation, ...]:
    """How often each gate is shut and open, from the counts `(U, BINS)` of all groups' bins."""
    result, row = [], 0
    for group in groups:
        shares = counts[row : row + group.size] / np.maximum(counts[row : row + group.size].sum(axis=1, keepdims=True), 1)
        if group.low == 0:
            left, right = shares[:, :SHUT].sum(axis=1), shares[:, OPEN:].sum(axis=1)
            result.append(Saturation(layer=group.layer, gate=group.signal, left=left, right=right))
        row += group.size
    return tuple(result)


def gate_habits(
    model: Network, ids: Ids, workers: int = 1, tell: Tell = tell_nobody, starts: Starts | None = None
) -> tuple[Saturation, ...]:
    """How often each gate is shut and open over a whole text, or texts that begin at `starts`, and nothing else."""
    tell("reading the text", 0.0)
    trace, _ = Trace.over(model, ids, (0, len(ids)), None, workers, starts)
    return saturation(trace.groups, np.concatenate(count_units(trace, count_in(tell, "counting", trace.size))))
