"""Find, confirm, prove: from a model and a text to findings. The order of the argument is the order of this file.

first half     every unit against every feature; each feature's best unit goes on
second half    that unit against chance, against the last 8 characters, against untrained models
then           what clamping it does to the loss, for those that hold
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from charlm.errors import TextError, counted
from charlm.features.labels import Bounds, Labels
from charlm.features.registry import Feature
from charlm.inspection import baselines
from charlm.inspection.findings import VERDICTS, Finding, Progress, Report, Saturation
from charlm.inspection.intervention import MOST_CONTROLS, Effect, intervene
from charlm.inspection.parallel import side_by_side
from charlm.inspection.ranking import Confirmation, confirm, count_units, rank
from charlm.inspection.statistics import BINS, Counts, Floats
from charlm.inspection.trace import Chapter, chapters, groups, unit_of
from charlm.model.language_model import LanguageModel, ModelState
from charlm.text.vocab import Ids, Vocab

LEAST_CHARACTERS = 2000
MOST_P, LEAST_GAIN = 0.05, 0.05
MOST_CLAMPED, LEAST_CLAMPED = 20_000, 1_000  # characters that a clamped unit is followed over
CLAMP_WORK = 1.8e12  # multiplications that all clamps of the lowest layer may take; with more to do, each is followed less far
TOP = 0.25  # of a graded feature's characters count as having it
SHUT, OPEN = BINS // 10, BINS - BINS // 10  # where a gate counts as saturated, in bins

T = TypeVar("T")


def examine(
    model: LanguageModel, ids: Ids, vocab: Vocab, features: Sequence[Feature], seed: int, workers: int = 1
) -> Generator[Progress, None, Report]:
    """Each feature's best unit, tested. Raises `TextError` for a text under 2,000 characters.

    `workers` threads compute at a time; the numbers do not depend on how many.
    """
    if len(ids) < LEAST_CHARACTERS:
        raise TextError(
            f"{counted(len(ids), 'character')}: too few to find units in one half and test them in the other",
            f"read {LEAST_CHARACTERS:,} characters or more",
        )
    halves = (0, len(ids) // 2), (len(ids) // 2, len(ids))
    labels, left_out = _present(Labels(ids, vocab, features), halves)
    if not labels.features:
        habits = yield from gate_habits(model, ids, workers)
        return Report(findings=(), left_out=tuple(left_out), too_slow=(), saturation=habits, num_characters=len(ids))
    yield Progress("reading the text", 0.0)
    first, state = _read(model, ids, halves[0], model.initial_state(1), workers)
    second, _ = _read(model, ids, halves[1], state, workers)
    ranking = yield from _stage("ranking every unit", 2 * halves[0][1], rank(model, first, labels, workers))
    rows = ranking.best()
    found = ranking.effects[rows, np.arange(len(rows))]
    rng = np.random.default_rng(seed)
    test = confirm(model, second, labels, rows.tolist(), np.sign(found), rng, workers=workers)
    confirmed = yield from _stage("testing the best on the second half", 2 * (len(ids) - halves[1][0]), test)
    gains = yield from _gains(model, labels, halves, confirmed, workers)
    holds = (confirmed.effects * found > 0) & (confirmed.p_values <= MOST_P) & (gains >= LEAST_GAIN)
    pairs = {n: int(rows[n]) for n in np.flatnonzero(holds).tolist()}
    clamped = yield from _clamp(model, labels, second, pairs, seed, workers)
    findings = []
    for n, feature in enumerate(labels.features):
        effect = clamped.get(n)
        finding = Finding(
            unit=unit_of(groups(model), int(rows[n])),
            feature=feature.name,
            statistic="spearman" if feature.is_graded else "auroc",
            score=_score(found[n], feature),
            confirmed_score=_score(confirmed.effects[n], feature),
            p_value=float(confirmed.p_values[n]),
            baseline_gain=float(gains[n]),
            delta_nats=effect.delta if effect else None,
            verdict="used" if effect and effect.is_used else "confirmed" if holds[n] else "correlated",
        )
        findings.append(finding)
    return Report(
        findings=tuple(sorted(findings, key=lambda finding: (list(VERDICTS).index(finding.verdict), -finding.strength))),
        left_out=tuple(left_out),
        too_slow=tuple(labels.features[n].name for n in np.flatnonzero(confirmed.is_too_slow).tolist()),
        saturation=saturation(model, ranking.counts),
        num_characters=len(ids),
    )


def _score(effect: float, feature: Feature) -> float:
    """An effect from -1 to 1 as it is reported: rho, or +-max(AUROC, 1 - AUROC)."""
    return float(effect) if feature.is_graded else float(np.copysign((1 + abs(effect)) / 2, effect))


def _present(labels: Labels, halves: tuple[Bounds, Bounds]) -> tuple[Labels, list[tuple[str, str]]]:
    """The features that the text has, and the others' names with the reasons."""
    reasons = labels.missing(*halves)
    left_out = [(feature.name, why) for feature, why in zip(labels.features, reasons, strict=True) if why]
    return labels.only([n for n, why in enumerate(reasons) if not why]), left_out


def _read(model: LanguageModel, ids: Ids, bounds: Bounds, state: ModelState, workers: int) -> tuple[list[Chapter], ModelState]:
    read = []
    for chapter, after in chapters(model, ids, bounds, state, workers):
        read.append(chapter)
        state = after
    return read, state


def _stage(stage: str, total: int, work: Generator[int, None, T]) -> Generator[Progress, None, T]:
    """Do `work`, which yields what it has done of `total`."""
    done = 0
    while True:
        yield Progress(stage, min(1.0, done / max(1, total)))
        try:
            done += next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def _gains(
    model: LanguageModel, labels: Labels, halves: tuple[Bounds, Bounds], confirmed: Confirmation, workers: int
) -> Generator[Progress, None, Floats]:
    """How far each pair's confirmed score is above the better of its two baselines."""
    yield Progress("predicting from the last 8 characters", 0.0)
    context = baselines.from_context(labels, halves)
    size = sum(min(stop - start, baselines.UNTRAINED_CHARACTERS) for start, stop in halves)
    work = baselines.untrained(model.config, labels, halves, model.device, workers)
    blind = yield from _stage("trying untrained models", 2 * size * baselines.UNTRAINED, work)
    above = np.abs(confirmed.effects) - np.maximum(context, blind)
    return np.where([feature.is_graded for feature in labels.features], above, above / 2)  # an AUROC goes half as far


def _clamp(
    model: LanguageModel, labels: Labels, text: list[Chapter], pairs: dict[int, int], seed: int, workers: int
) -> Generator[Progress, None, dict[int, Effect]]:
    """What clamping does for each pair, feature number to row, but where no stretch of the text has the feature at all."""
    lanes = 2 * (1 + min(MOST_CONTROLS, model.config.hidden_size - 1)) + 1
    work = lanes * sum(weights.numel() for cell in model.layers for weights in cell.parameters()) * max(1, len(pairs))
    steps = int(min(MOST_CLAMPED, max(LEAST_CLAMPED, CLAMP_WORK / work)))
    works, total = {}, 0
    for n, row in pairs.items():
        stretch = stretch_of(labels.only([n]), text, steps)
        if stretch is not None:
            _, is_present = stretch
            works[n] = intervene(model, unit_of(groups(model), row), *stretch, np.random.default_rng([seed, n + 1]))
            total += lanes * len(is_present) + 1
    effects = yield from _stage("clamping units", total, side_by_side(list(works.values()), workers))
    return dict(zip(works, effects, strict=True))


def stretch_of(labels: Labels, text: list[Chapter], steps: int) -> tuple[Chapter, npt.NDArray[np.bool_]] | None:
    """Where the text best shows one feature both present and absent: `steps` characters and the next, where it is present."""
    best, least = None, 0
    for chapter in text:
        (levels,) = labels.between(chapter.start, chapter.stop)
        is_present = levels >= (_top(levels) if labels.features[0].is_graded else 1)
        size = min(steps, len(levels) - 1)
        before = np.concatenate([[0], is_present.cumsum()])
        for lane in range(chapter.ids.shape[1]):
            start = lane * chapter.ids.shape[0]
            if start + size < len(levels):
                present = int(before[start + size] - before[start])
                if min(present, size - present) > least:
                    least = min(present, size - present)
                    best = chapter.some(lane, size + 1), is_present[start : start + size]
    return best


def _top(levels: npt.NDArray[np.int64]) -> int:
    """The lowest level that at most a quarter of the characters reach; the highest of all where more do."""
    distinct, counts = np.unique(levels, return_counts=True)
    share = counts[::-1].cumsum()[::-1] / len(levels)
    enough = np.flatnonzero(share <= TOP)
    return int(distinct[enough[0] if enough.size else -1])


def saturation(model: LanguageModel, counts: Counts) -> tuple[Saturation, ...]:
    """How often each gate is shut and open, from the counts `(U, BINS)` of all groups' bins."""
    result, row = [], 0
    for group in groups(model):
        shares = counts[row : row + group.size] / np.maximum(counts[row : row + group.size].sum(axis=1, keepdims=True), 1)
        if group.low == 0:
            left, right = shares[:, :SHUT].sum(axis=1), shares[:, OPEN:].sum(axis=1)
            result.append(Saturation(layer=group.layer, gate=group.signal, left=left, right=right))
        row += group.size
    return tuple(result)


def gate_habits(model: LanguageModel, ids: Ids, workers: int = 1) -> Generator[Progress, None, tuple[Saturation, ...]]:
    """How often each gate is shut and open over a whole text, and nothing else."""
    yield Progress("reading the text", 0.0)
    text, _ = _read(model, ids, (0, len(ids)), model.initial_state(1), workers)
    counts = yield from _stage("counting", len(ids), count_units(model, text, workers))
    return saturation(model, np.concatenate(counts))
