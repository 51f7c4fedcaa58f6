"""What should make people doubt a run while it trains."""

import math
from dataclasses import dataclass

from charlm.training.events import EvalDone, Event, StepsDone

LEARNED = 0.9  # of the loss of a uniform guess: a model below it has learned something


@dataclass(slots=True)
class Doubts:
    """Hears of a language model's events, and says once if the validation part is worse than guessed.

    A uniform guess over V symbols loses log V nats at each. What has learned the training part, and loses more on the
    validation part, was taught by another kind of text; then the "best" model is one that has learned little.
    """

    num_symbols: int
    train_nats: float = math.inf
    is_said: bool = False

    def of(self, event: Event) -> str:
        """What is to be said after the event; empty for nothing."""
        if isinstance(event, StepsDone):
            self.train_nats = event.loss_nats
        if not isinstance(event, EvalDone) or event.validation_nats is None or self.is_said:
            return ""
        uniform = math.log(self.num_symbols)
        if event.validation_nats <= uniform or self.train_nats > LEARNED * uniform:
            return ""
        self.is_said = True
        losses = f"{event.validation_nats:.2f} nats/char on the validation part, {self.train_nats:.2f} in training"
        what = f"{losses}: above {uniform:.2f}, the loss of a uniform guess, so that part seems to be another kind of text"
        return f"{what}; with --last, the other commands take the newest model instead of the best"
