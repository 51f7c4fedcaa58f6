"""The options that several commands share, and what they lead to."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

import charlm
from charlm.config import CorpusConfig, check_device, check_threads

if TYPE_CHECKING:
    from charlm.checkpoint.model import ModelCard
    from charlm.model.language_model import LanguageModel

T = TypeVar("T")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"charlm {charlm.__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "-c",
        "--checkpoint",
        metavar="PATH",
        help="A model file or a run folder.",
        show_default="the run started last under checkpoints/",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Threads = Annotated[int, typer.Option(help="Processor threads; 0 is one a core.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
Unknown = Annotated[str, typer.Option(help="What to do with a character the model has never seen: error or skip.")]
Encoding = Annotated[str, typer.Option(help="How the text's bytes stand for characters: utf-8, latin-1, utf-16, ...")]
Glob = Annotated[str, typer.Option(help="Which files of a folder are read.")]
DEFAULT_TEXT = CorpusConfig()


def config_from(cls: type[T], values: dict[str, Any]) -> T:
    """The configuration `cls` from a command's options, which have the names of its fields."""
    names: dict[str, Any] = cls.__dataclass_fields__  # type: ignore[attr-defined]
    return cls(**{name: values[name] for name in names})


def open_model(checkpoint: str | None, device: str, threads: int) -> tuple["LanguageModel", "ModelCard"]:
    """The model that -c/--checkpoint means, on its device; named on standard error where it was not said."""
    check_device(device)
    check_threads(threads)
    from charlm.checkpoint.model import load_model
    from charlm.display.terminal import visible
    from charlm.model.devices import pick_device, set_threads
    from charlm.runs.folder import find_model

    set_threads(threads)
    place = pick_device(device)
    path = find_model(checkpoint)
    if checkpoint is None:
        print(f"model: {visible(str(path))}", file=sys.stderr)
    return load_model(path, place)


def print_json(value: dict[str, Any]) -> None:
    """Write `value` as one JSON object on a line of its own, and flush it."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
