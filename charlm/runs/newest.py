"""The model of a run's newest saved state, which need not be its best. Trains nothing."""

import math
from pathlib import Path

import torch

from charlm.checkpoint.card import ModelCard, Scores, Setting, check_card
from charlm.checkpoint.model import filled, shapes_for
from charlm.checkpoint.training import WEIGHTS, read_weights, step_of
from charlm.errors import CheckpointError
from charlm.model.network import Network
from charlm.runs.data import documents_of, has_one_label_a_word, open_data
from charlm.runs.record import RUN, read_record
from charlm.tensorfile import TensorFile


def newest_model(state: Path, device: torch.device) -> tuple[Network, ModelCard]:
    """The weights of the saved state at `state`, in the folder of a run, and a card as a model file has it, without scores.

    Raises `CheckpointError` where the run's record is missing, or either is damaged, and `TextError` for a damaged copy of what
    it learns from.
    """
    card, _ = newest_card(state)
    return filled(state, card, read_weights(state, shapes_for(state, card))).to(device), card


def newest_card(state: Path) -> tuple[ModelCard, int]:
    """The card of the saved state at `state`, as `newest_model` gives it, and the number of parameters."""
    with TensorFile(state, "training") as file:
        step = step_of(state, file)
        parameters = sum(math.prod(shape) for name, shape in file.shapes.items() if name.startswith(WEIGHTS))
    path = state.parent / RUN
    try:
        record = read_record(path)
        data = open_data(state.parent, record) if record.labels or record.text.documents else None
    except OSError as error:
        what = f"{state} is the state of a run, and its {error.filename or path} cannot be read: {error.strerror}"
        raise CheckpointError(what, "leave --last out, or name the folder of a run") from error
    machine = record.machine
    card = ModelCard(
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
        one_label_a_word=data is not None and has_one_label_a_word(data),
        num_documents=tuple(map(len, documents_of(data))) if data is not None else (),
        is_one_file=len(record.files) == 1,
    )
    check_card(path, card)
    return card, parameters
