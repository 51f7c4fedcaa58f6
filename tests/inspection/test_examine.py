"""The whole argument on a model whose latch is known by construction: found, confirmed, used; and what a verdict takes."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from charlm.errors import TextError
from charlm.features.registry import FEATURES, Feature, from_regex
from charlm.inspection import examine as module
from charlm.inspection.confirmation import Confirmation
from charlm.inspection.examine import LEAST_CHARACTERS, examine, gate_habits
from charlm.inspection.findings import VERDICTS, Delta, Finding, Report, Saturation
from charlm.inspection.ranking import binned
from charlm.inspection.trace import groups
from charlm.inspection.verdict import Effect
from charlm.text.vocab import Vocab
from tests.conftest import CELLS, new_model
from tests.inspection.reference import (
    LATCH,
    given,
    group_of,
    latch_model,
    mode_text,
    random_ids,
    read,
    traced,
    walk,
)

N = 6000
QUOTES = Vocab(kind="char", symbols=tuple(map(ord, "“”ab\n")), start=4)  # as `MODES`, with quotes for its brackets
TEXT = mode_text(N).replace("[", "“").replace("]", "”")
IDS = QUOTES.encode(TEXT)
QUOTED = FEATURES["inside_double_quotes"]


def quoted_more_or_less(text: str) -> np.ndarray:
    """0 to 4: higher inside quotes, and a little at an a."""
    return (QUOTED.label(text) * 3 + (np.array(list(text)) == "a")).astype(np.int32)


PRESENT = {
    "inside_double_quotes": QUOTED,
    "graded": Feature(name="graded", description="", is_graded=True, label=quoted_more_or_less),
    "a": from_regex("a", "a"),
    "a coin": given("a coin", np.random.default_rng(1).integers(0, 2, N)),
}
ABSENT = ("digit", "capital", "indentation")
ASKED = [*PRESENT.values(), *(FEATURES[name] for name in ABSENT)]


@cache  # each takes seconds
def examined(workers: int) -> tuple[Report, list[tuple[str, float]]]:
    """What is found in the latch's text, and the progress on the way."""
    told: list[tuple[str, float]] = []
    report = examine(latch_model(8), IDS, QUOTES, ASKED, 1, workers, lambda *each: told.append(each))
    return report, told


@pytest.fixture(scope="module")
def report() -> Report:
    return examined(1)[0]


@pytest.fixture(scope="module")
def findings(report) -> dict[str, Finding]:
    return {finding.feature: finding for finding in report.findings}


@pytest.mark.parametrize("feature", ["inside_double_quotes", "graded"])
def test_a_latch_for_quotes_is_found_confirmed_and_used(findings, feature):
    """Its unit is the best, perfectly so for the quotes; no chance, no context and no untrained model has it."""
    found = findings[feature]
    assert (found.unit.layer, found.unit.unit, found.verdict) == (0, LATCH, "used")
    assert found.p_value == 0.001
    assert found.baseline_gain > 0.05
    assert min(found.delta_nats.present, found.delta_nats.absent) > 0.01
    assert (found.score, found.confirmed_score) == pytest.approx((1, 1), abs=1e-6 if feature == QUOTED.name else 0.1)


@pytest.mark.parametrize("feature", ["a", "a coin"])
def test_what_context_tells_and_what_nothing_tells_is_correlated_and_no_more(findings, feature):
    """A unit that follows the last character, however closely, and the best unit for a coin's tosses are not clamped."""
    assert findings[feature].verdict == "correlated"
    assert findings[feature].delta_nats is None


@pytest.mark.parametrize("feature", ["inside_double_quotes", "a", "a coin"])
def test_scores_are_scikit_learns_of_the_two_halves(findings, feature):
    """The score is +-max(AUROC, 1 - AUROC) of the unit's binned values in the first half, the confirmed one in the second."""
    found, model = findings[feature], latch_model(8)
    group = groups(model)[group_of(groups(model), found.unit)]
    values = traced(read(model, IDS))[group.layer, group.signal]
    bins, label = binned(group, values.t())[found.unit.unit].numpy(), PRESENT[feature].label(TEXT)
    for half, score in ((slice(0, N // 2), found.score), (slice(N // 2, N), found.confirmed_score)):
        auroc = roc_auc_score(label[half], bins[half])
        assert score == pytest.approx(auroc if auroc > 0.5 else auroc - 1, abs=1e-6)


def test_scores_lie_in_their_range(findings):
    """No score is beyond what its statistic can be, also of a unit that is its label."""
    for found in findings.values():
        assert max(abs(found.score), abs(found.confirmed_score)) <= 1
        assert 0 <= found.strength <= 1


def test_every_feature_asked_for_is_found_or_left_out(report):
    """Those that the text lacks are named with the reason, and have no finding; all others have one."""
    assert dict(report.left_out) == dict.fromkeys(ABSENT, "not in the text")
    assert sorted(found.feature for found in report.findings) == sorted(PRESENT)
    assert report.num_characters == N


def test_findings_are_ordered_by_verdict_and_then_by_strength(report):
    """The strongest verdict first; within it the strongest score, on a scale that both statistics share."""
    keys = [(list(VERDICTS).index(found.verdict), -found.strength) for found in report.findings]
    assert keys == sorted(keys)
    assert len({verdict for verdict, _ in keys}) > 1


def same(one: tuple[Saturation, ...], other: tuple[Saturation, ...]) -> None:
    assert [(each.layer, each.gate) for each in one] == [(each.layer, each.gate) for each in other]
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal([first.left, first.right], [second.left, second.right])


@pytest.mark.parametrize("workers", [2, 3])
def test_the_same_seed_gives_the_same_report_whatever_the_number_of_workers(report, workers):
    """Not one bit of any number depends on how many threads there were, or on an earlier run."""
    again, _ = examined(workers)
    assert replace(again, saturation=()) == replace(report, saturation=())
    same(again.saturation, report.saturation)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_stage_goes_from_nothing_to_all_and_never_stands_still(workers):
    """Stages come once each, and the fraction of each that takes long rises from 0 to 1, which it reaches at its end."""
    _, told = examined(workers)
    stages = [(stage, [fraction for _, fraction in some]) for stage, some in itertools.groupby(told, lambda each: each[0])]
    assert len({stage for stage, _ in stages}) == len(stages)
    assert sum(len(fractions) > 1 for _, fractions in stages) == 4  # ranking, testing, untrained models, clamping
    for _, fractions in stages:
        assert fractions[0] == 0
        assert all(before < after for before, after in itertools.pairwise(fractions))
        assert len(fractions) == 1 or fractions[-1] == pytest.approx(1)


def stub(monkeypatch, *, effect: float, p: float = 0.001, is_used: bool = True, **others: float) -> list[float]:
    """Have every test and clamp come out as is given, and the baselines `from_context` and `untrained`; gives their chances."""
    draws = []

    def confirmed(trace, labels, units, signs, rng, tell):
        draws.append(rng.random())
        tell(1)
        many = np.ones(len(units))
        return Confirmation(effects=effect * signs, p_values=p * many, changes_too_seldom=many == 0)

    def untrained(trained, labels, halves, tell):
        tell(1)
        return np.full(len(labels.features), others.get("untrained", 0.0))

    def clamped(trace, unit, stretch, rng, tell):
        draws.append(rng.random())
        tell(1)
        return Effect(delta=Delta(present=0.25, absent=0.5), is_used=is_used, num_characters=len(stretch.is_present))

    monkeypatch.setattr(module, "confirm", confirmed)
    monkeypatch.setattr(module, "intervene", clamped)
    monkeypatch.setattr(module.baselines, "untrained", untrained)
    in_context = others.get("from_context", 0.0)
    monkeypatch.setattr(module.baselines, "from_context", lambda labels, _: np.full(len(labels.features), in_context))
    return draws


@pytest.mark.parametrize(
    ("sign", "p", "above", "is_used", "verdict"),
    [
        (1, 0.05, 0.051, True, "used"),
        (1, 0.05, 0.051, False, "confirmed"),
        (-1, 0.001, 0.9, True, "correlated"),
        (1, 0.051, 0.9, True, "correlated"),
        (1, 0.001, 0.049, True, "correlated"),
    ],
)
@pytest.mark.parametrize("baseline", ["from_context", "untrained"])
@pytest.mark.parametrize("feature", ["inside_double_quotes", "graded"])
def test_a_verdict_takes_all_that_its_definition_says(feature, baseline, sign, p, above, is_used, verdict, monkeypatch):
    """The sign, p, the gain over the better baseline, and the clamps: each by itself decides; only what holds is clamped."""
    scale = 1 if PRESENT[feature].is_graded else 2  # an AUROC goes half as far
    others = {"from_context": -1.0, "untrained": -1.0, baseline: 0.95 - above * scale}
    stub(monkeypatch, effect=0.95 * sign, p=p, is_used=is_used, **others)
    (found,) = examine(latch_model(8), IDS, QUOTES, [PRESENT[feature]], seed=1).findings
    assert found.verdict == verdict
    assert found.baseline_gain == pytest.approx(above)
    assert found.p_value == p
    assert found.confirmed_score == pytest.approx(np.sign(found.score) * sign * (0.95 if scale == 1 else 0.975))
    assert found.delta_nats == (None if verdict == "correlated" else Delta(present=0.25, absent=0.5))


def test_all_chance_comes_from_the_seed(monkeypatch):
    """The rotations and each pair's clamp draw from generators of their own, the same for the same seed, others for another."""
    found = []
    for seed in (1, 1, 2):
        draws = stub(monkeypatch, effect=0.9)
        examine(latch_model(8), IDS, QUOTES, list(PRESENT.values()), seed)
        found.append(draws)
    assert found[0] == found[1]
    assert len({*found[0], *found[2]}) == 2 * (1 + len(PRESENT))


def test_a_text_too_short_to_be_halved_is_refused():
    """One character less than 2,000 is an error that names both numbers; 2,000 are read."""
    assert LEAST_CHARACTERS == 2000
    with pytest.raises(TextError, match="1,999") as error:
        examine(latch_model(8), IDS[:1999], QUOTES, [], seed=1)
    assert "2,000" in str(error.value.hint)
    assert examine(latch_model(8), IDS[:2000], QUOTES, [], seed=1).num_characters == 2000


@pytest.mark.parametrize("cell", CELLS)
def test_gates_are_shut_and_open_as_often_as_a_plain_count_says(cell):
    """Every gate of every layer and unit: the share of time below 0.1 and above 0.9; plain networks have none."""
    model, ids = new_model(cell, 2).double(), random_ids(300)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    signals = walk(model, ids).signals
    found = gate_habits(model, ids)
    names = [(layer, gate) for layer, gate in signals if gate in "iforz"]
    assert [(habit.layer, habit.gate) for habit in found] == names
    assert bool(names) == (cell != "rnn")
    for habit, name in zip(found, names, strict=True):
        np.testing.assert_allclose(habit.left, (signals[name] < 0.1).mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(habit.right, (signals[name] >= 0.9).mean(axis=0), atol=1e-12)
    assert not names or min(max(habit.left.max() for habit in found), max(habit.right.max() for habit in found)) > 0.05
    same(gate_habits(model, ids, workers=2), found)


def test_with_no_feature_there_are_gates_all_the_same():
    """A text that has none of what is asked for gives its habits, and says what was left out."""
    model = latch_model(8)
    report = examine(model, IDS, QUOTES, [FEATURES["digit"]], seed=1)
    assert (report.findings, report.left_out) == ((), (("digit", "not in the text"),))
    same(report.saturation, gate_habits(model, IDS))
