"""How often does a clamp that stops once its verdict is settled reach another verdict than a clamp that reads on?

    python -m benchmarks.stopping [--models 6] [--pairs 40] [--characters 3000] [--best 30]

Two of three models, of 1 or 2 x 48, are trained for some steps on a novel, the others never. Pairs are a feature and one of
the units that follow it best. Each pair is clamped twice, with and without looks, over the same characters and controls.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.machine import describe_machine
from benchmarks.planted import NOVEL, encoded, trained
from charlm.config import ModelConfig
from charlm.features.labels import Labels
from charlm.features.registry import FEATURES
from charlm.inspection.intervention import intervene
from charlm.inspection.ranking import rank
from charlm.inspection.stretch import stretch_of
from charlm.inspection.trace import Trace, unit_of
from charlm.inspection.verdict import Effect
from charlm.model.language_model import LanguageModel

HIDDEN, READ, STEPS = 48, 60_000, 400  # units; characters to train on, and as many to look at; steps


def both_ways(seed: int, pairs: int, characters: int, best: int) -> Iterator[tuple[Effect, Effect]]:
    """Measure the effects of one model's units twice: with a clamp that may stop, and with one that reads on."""
    rng = np.random.default_rng([seed, 14])
    novel = NOVEL.read_text(encoding="utf-8")
    start = int(rng.integers(len(novel) - 2 * READ))
    ids, vocab = encoded(novel[start : start + 2 * READ])
    shape = ModelConfig(embedding_size=16, hidden_size=HIDDEN, num_layers=1 + seed % 2, dropout=0.0)
    model = LanguageModel.initialised(shape, len(vocab), generator=torch.Generator().manual_seed(seed))
    if seed % 3:
        model = trained(model, ids[:READ], STEPS, seed)
    ids = ids[READ:]
    asked = Labels(ids, vocab, list(FEATURES.values()))
    present = [n for n, why in enumerate(asked.missing((0, READ // 2), (READ // 2, READ))) if not why]
    labels = asked.only(present)
    text, _ = Trace.over(model, ids, (0, READ))
    strengths = np.abs(rank(text, labels).effects)
    while pairs:
        feature = int(rng.integers(len(present)))
        stretch = stretch_of(labels.only([feature]), text, characters)
        row = int(np.argsort(-strengths[:, feature])[rng.integers(best)])
        if stretch is not None:
            unit, seeds = unit_of(text.groups, row), [seed, pairs]
            stopped = intervene(text, unit, stretch, np.random.default_rng(seeds))
            yield stopped, intervene(text, unit, stretch, np.random.default_rng(seeds), looks=1)
            pairs -= 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--characters", type=int, default=3000)
    parser.add_argument("--best", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_machine())
    found: list[tuple[Effect, Effect]] = []
    for seed in range(options.models):
        found += both_ways(seed, options.pairs, options.characters, options.best)
        used = sum(full.is_used for _, full in found)
        early = sum(stopped.num_characters < full.num_characters for stopped, full in found)
        read = np.mean([stopped.num_characters / full.num_characters for stopped, full in found])
        wrongly_used = sum(stopped.is_used > full.is_used for stopped, full in found)
        wrongly_not = sum(stopped.is_used < full.is_used for stopped, full in found)
        print(
            f"{seed + 1} models, {len(found)} pairs, {used} used: {early} stopped early, {read:.2f} of the characters read; "
            f"{wrongly_used} said to be used that are not, {wrongly_not} the other way round",
            flush=True,
        )


if __name__ == "__main__":
    main()
