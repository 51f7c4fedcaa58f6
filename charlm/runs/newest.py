"""The model of a run's newest saved state, which need not be its best. Trains nothing, and does not open the run's text."""

from pathlib import Path

import torch

from charlm.checkpoint.card import ModelCard, Scores, Setting
from charlm.checkpoint.training import read_weights
from charlm.errors import CheckpointError
from charlm.model.network import Network, sizes_of
from charlm.runs.find import LAST
from charlm.runs.record import RUN, read_record
from charlm.tasks.registry import model_class


def newest_model(model: Path, device: torch.device) -> tuple[Network, ModelCard]:
    """The weights of the last saved state of the run whose best model is at `model`, and a card without scores.

    Raises `CheckpointError` where there is no run, or its state is damaged.
    """
    run = model.parent
    if not (run / LAST).is_file() or not (run / RUN).is_file():
        what = f"--last was given, and {model} has no saved state {LAST} beside it"
        raise CheckpointError(what, "leave it out, or name the folder of a run")
    try:
        record = read_record(run / RUN)
    except OSError as error:
        raise CheckpointError(f"{run / RUN} cannot be read: {error.strerror}") from error
    kind = model_class(record.training.task)
    network = kind.empty(*sizes_of(record.model, len(record.vocab), len(record.labels)))
    step = read_weights(run / LAST, network)
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
    )
    return network.to(device), card
