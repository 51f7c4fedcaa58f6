"""What a run reports, one frozen value an event, and what whoever listens must be able to do.

Every event says at which `step` and after how many `seconds` of training it came; losses are in nats per character.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at `step`, after `seconds` of training; `progress` is the share of the run that is done."""

    step: int
    seconds: float
    progress: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsDone(Event):
    """Some steps were taken since the last such event: their mean loss, mean gradient norm and speed."""

    loss_nats: float
    grad_norm: float
    chars_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalDone(Event):
    """The validation part was scored (about: in lanes); None where there is none. Asks for the model to be kept if best."""

    validation_nats: float | None
    is_best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDue(Event):
    """It is time to draw a sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDue(Event):
    """It is time to save all that an exact continuation needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDrawn(Event):
    """A sample, drawn at the run's fixed seed."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring(Event):
    """The best model is being scored exactly, of which the share `scored` is done."""

    scored: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDone(Event):
    """The run is over: the exact validation loss of the model that was saved, None without a validation part."""

    validation_nats: float | None
    checkpoint: str


class Reporter(Protocol):
    """Whoever shows a run."""

    def report(self, event: Event) -> None:
        """Show one event."""

    def notice(self, text: str) -> None:
        """Show one line that people should know."""

    def close(self) -> None:
        """Leave the screen as the next command would like to find it."""


def bits(nats: float | None) -> float | None:
    """Nats as bits."""
    return None if nats is None else nats / math.log(2)


def as_row(event: Event) -> dict[str, Any] | None:
    """The event as `--json` and `metrics.jsonl` write it; None for those that lead to no line."""
    names: dict[type[Event], str] = {StepsDone: "step", EvalDone: "eval", SampleDrawn: "sample", RunDone: "done"}
    name = names.get(type(event))
    if name is None:
        return None
    fields = asdict(event)
    if isinstance(event, StepsDone):
        fields["train_nats"] = fields.pop("loss_nats")
        if not math.isfinite(event.grad_norm):  # which loss scaling takes in its stride, and JSON has no number for
            fields["grad_norm"] = None
    if isinstance(event, EvalDone | RunDone):
        fields["validation_bpc"] = bits(event.validation_nats)
    return {"event": name, **fields}
