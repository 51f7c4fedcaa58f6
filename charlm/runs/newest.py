"""The model of a run's newest saved state, which need not be its best. Trains nothing, and does not open the run's text."""

import math
from pathlib import Path

import torch

from charlm.checkpoint.card import ModelCard, Scores, Setting, read_card
from charlm.checkpoint.model import fill
from charlm.checkpoint.training import WEIGHTS, read_weights, step_of
from charlm.errors import CheckpointError
from charlm.model.network import Network, sizes_of
from charlm.runs.find import MODEL
from charlm.runs.record import RUN, RunRecord, read_record
from charlm.tasks.registry import model_class
from charlm.tensorfile import TensorFile


def newest_model(state: Path, device: torch.device) -> tuple[Network, ModelCard]:
    """The weights of the saved state at `state`, in the folder of a run, and a card as a model file has it, without scores.

    Raises `CheckpointError` where the run's record is missing, or either is damaged.
    """
    record = _record_of(state)
    kind, sizes = model_class(record.training.task), sizes_of(record.model, len(record.vocab), len(record.labels))
    tensors, step = read_weights(state, kind.shapes(*sizes))
    network = kind.empty(*sizes)
    fill(state, network, tensors)
    return network.to(device), _card(state, record, step)


def newest_card(state: Path) -> tuple[ModelCard, int]:
    """The card of the saved state at `state`, as `newest_model` gives it, and the number of parameters."""
    with TensorFile(state, "training") as file:
        step = step_of(state, file)
        parameters = sum(math.prod(shape) for name, shape in file.shapes.items() if name.startswith(WEIGHTS))
    return _card(state, _record_of(state), step), parameters


def _record_of(state: Path) -> RunRecord:
    path = state.parent / RUN
    try:
        return read_record(path)
    except OSError as error:
        what = f"{state} is the state of a run, and its {path} cannot be read: {error.strerror}"
        raise CheckpointError(what, "leave --last out, or name the folder of a run") from error


def _card(state: Path, record: RunRecord, step: int) -> ModelCard:
    best, machine = state.parent / MODEL, record.machine
    known = read_card(best)[0] if best.is_file() else None
    return ModelCard(
        model=record.model,
        training=record.training,
        text=record.text,
        vocab=record.vocab,
        splits=record.splits,
        corpus_sha256=record.corpus_sha256,
        setting=Setting(
            charlm=machine.charlm, torch=machine.torch, device=machine.device.partition(":")[0], precision=machine.precision
        ),
        step=step,
        scores=Scores(validation_nats=None, exact=False),
        labels=record.labels,
        one_label_a_word=known is not None and known.one_label_a_word,
        num_documents=known.num_documents if known is not None else (),
    )
