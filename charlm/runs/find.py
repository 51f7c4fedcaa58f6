"""Where runs and models are, and the names of a run's files. Opens no model, and does not load torch."""

from pathlib import Path

import charlm
from charlm.errors import CheckpointError, RunError
from charlm.runs.record import RUN, number_of

RUNS = Path("checkpoints")
PACKAGE = Path(charlm.__file__).parent
SHIPPED = (PACKAGE / "shipped" / "austen", PACKAGE.parent / "checkpoints" / "austen")  # as installed, and in a checkout
CORPUS, EXAMPLES, METRICS = "corpus.bin", "examples.bin", "metrics.jsonl"
MODEL, LAST, PREVIOUS = "model.safetensors", "last.safetensors", "previous.safetensors"
INITIAL, BASELINES = "initial.safetensors", "baselines.safetensors"


def find_run(name: str) -> Path:
    """Find the run folder `name`: a path, or a name under checkpoints/. Raises `RunError`."""
    for folder in (Path(name), RUNS / name):
        if (folder / RUN).is_file():
            return folder
    raise RunError(f"{name} is not a run folder", "charlm train CORPUS starts a run")


def find_model(name: str | None, *, last: bool = False) -> Path:
    """Find the model file for -c/--checkpoint: a file, a run folder, a name under checkpoints/, or the model that ships.

    None means the run started last under checkpoints/, or else the model that ships. `last` asks for the newest state of the
    run instead. Raises `CheckpointError` when there is no such file.
    """
    if last:
        return _find_state(name)
    places: tuple[Path, ...]
    if name is None:
        newest = _started_last(MODEL)
        places = SHIPPED if newest is None else (newest,)
    else:
        places = (Path(name), RUNS / name, *(place for place in SHIPPED if place.name == name))
    for place in places:
        for path in (place, place / MODEL):
            if path.is_file():
                return path
    if name is None:
        raise CheckpointError("there is no model under checkpoints/ yet", "charlm train CORPUS makes one")
    raise CheckpointError(f"there is no model at {name}", "give a run folder, or its model.safetensors")


def _find_state(name: str | None) -> Path:
    """The newest state of the run that has the model `name`."""
    if name is None:
        if newest := _started_last(LAST):
            return newest / LAST
        raise CheckpointError("there is no run under checkpoints/ yet", "charlm train CORPUS starts one")
    for place in (Path(name), RUNS / name):
        path = (place.parent if place.is_file() else place) / LAST
        if path.is_file():
            return path
    find_model(name)  # for its error
    raise CheckpointError(f"--last was given, and {name} has no {LAST} beside it", "leave it out, or name the folder of a run")


def _started_last(file: str) -> Path | None:
    """The run under checkpoints/ that was started last, of those that have a `file`."""
    runs = (path.parent for path in RUNS.glob(f"[!.]*/{file}"))
    return max(runs, key=lambda run: (number_of(run), run.name), default=None)
