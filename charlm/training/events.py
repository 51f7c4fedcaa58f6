"""What a run reports, one frozen value an event, and what a listener must be able to do.

Every event says at which `step` and after how many `seconds` of training it came; losses are in nats per character.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from charlm.labelling.judge import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at `step`, after `seconds` of training; `progress` is the share of the run done, from 0 to 1."""

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
    """A look at the validation part (an inexact score) was taken; None where there is none. Asks to keep the model if best."""

    validation_nats: float | None
    is_best: bool
    accuracy: float | None = None  # the share of labels that came out right


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDue(Event):
    """It is time to draw a sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDue(Event):
    """It is time to save everything that an exact continuation needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDrawn(Event):
    """A sample, drawn at the run's fixed seed."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionsDrawn(SampleDrawn):
    """What the model makes of some texts it is not trained on, where it gives labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring(Event):
    """The best model is being scored, or what is needed for it is done: `what` says it, `scored` the share, from 0 to 1."""

    what: str
    scored: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDone(Event):
    """The run is over: the exact validation loss of the saved model, None without a validation part.

    Where it gives `labels`, also its accuracy there, and a judgement on the test part, if that was not scored before.
    """

    validation_nats: float | None
    checkpoint: str
    accuracy: float | None = None
    labels: tuple[str, ...] = ()
    judgement: "Judgement | None" = None


class Reporter(Protocol):
    """Shows a run to its user."""

    def report(self, event: Event) -> None:
        """Show one event."""

    def notice(self, text: str) -> None:
        """Show one line that people should know."""

    def close(self) -> None:
        """Leave the screen ready for the next command."""


def bits(nats: float | None) -> float | None:
    """Nats as bits."""
    return None if nats is None else nats / math.log(2)


ROWS: dict[type[Event], str] = {
    StepsDone: "step",
    EvalDone: "eval",
    SampleDrawn: "sample",
    PredictionsDrawn: "predictions",
    RunDone: "done",
}


def as_row(event: Event) -> dict[str, Any] | None:
    """The event as the row that `--json` and `metrics.jsonl` write; None for an event without a row."""
    name = ROWS.get(type(event))
    if name is None:
        return None
    fields = {each.name: getattr(event, each.name) for each in dataclasses.fields(event)}
    if isinstance(event, StepsDone):
        fields["train_nats"] = fields.pop("loss_nats")
        if not math.isfinite(event.grad_norm):  # normal under loss scaling, and JSON has no number for it
            fields["grad_norm"] = None
    if isinstance(event, EvalDone | RunDone) and event.accuracy is None:
        del fields["accuracy"]
        fields["validation_bpc"] = bits(event.validation_nats)
    if isinstance(event, RunDone):
        del fields["labels"], fields["judgement"]
        if event.judgement is not None:
            from charlm.labelling.judge import as_json  # loads torch, which `charlm info` does without

            fields["test"] = as_json(event.labels, event.judgement.model, event.judgement.baselines)
    return {"event": name, **fields}
