"""A validation part that is worse than guessed is said, once, and only where training has taught something."""

import math

import pytest

from charlm.runs.doubts import Doubts
from charlm.training.events import EvalDone, StepsDone

UNIFORM = math.log(50)


def said(*losses: tuple[float, float | None]) -> list[str]:
    """What is said at evaluations, each after some steps: the losses of both, in nats."""
    doubts, now = Doubts(50), {"step": 1, "seconds": 1.0, "progress": 0.5}
    found = []
    for training, validation in losses:
        assert doubts.of(StepsDone(**now, loss_nats=training, grad_norm=1.0, chars_per_second=1.0)) == ""
        found.append(doubts.of(EvalDone(**now, validation_nats=validation, is_best=False)))
    return found


def test_it_is_said_once_with_both_losses():
    """And how to sample the newest model, for the best has learned little."""
    first, second = said((1.5, 6.25), (1.2, 7.0))
    assert second == ""
    for part in ("6.25 nats/char on the validation part", "1.50 in training", f"{UNIFORM:.2f}", "--last"):
        assert part in first


@pytest.mark.parametrize("losses", [(1.5, UNIFORM - 0.01), (UNIFORM, UNIFORM + 0.1), (1.5, None)])
def test_nothing_is_said_of(losses):
    """A loss below a uniform guess, a model that has learned nothing yet, and a run without a validation part."""
    assert said(losses) == [""]
