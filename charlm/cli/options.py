"""The options that several commands share, and the work they lead to."""

import difflib
import math
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

import charlm
from charlm.config import CorpusConfig, HeldUnit, check_device, check_threads
from charlm.errors import TextError, UsageError, counted

if TYPE_CHECKING:
    from charlm.checkpoint.card import ModelCard
    from charlm.model.heads import Labeller
    from charlm.model.language_model import LanguageModel
    from charlm.model.network import Network
    from charlm.text.vocab import Ids, Vocab

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
        show_default="the run started last under checkpoints/, or the model that ships",
    ),
]

Last = Annotated[bool, typer.Option("--last", help="Take the newest state of the run instead of its best model.")]


def lower(value: str) -> str:
    """Put a name in small letters, for options that accept either case."""
    return value.lower()


def upper(value: str) -> str:
    """Put a name in capitals, for options that accept either case."""
    return value.upper()


Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", callback=lower)]
Threads = Annotated[int, typer.Option(help="Processor threads; 0 is one per core.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
Unknown = Annotated[
    str, typer.Option(help="What to do with a character the model has never seen: error or skip.", callback=lower)
]
ENCODING = "The text's encoding: utf-8, latin-1, utf-16, ..."
Encoding = Annotated[str | None, typer.Option(help=ENCODING, show_default="that of the text the model learned from")]
DEFAULT_TEXT = CorpusConfig()
WHICH_FILES = "Which files of a folder to read. May be repeated."
Glob = Annotated[list[str] | None, typer.Option(help=WHICH_FILES, show_default="those the model learned from")]
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\\": "\\"}
MOST_HELD = 1e6  # the largest value a unit may be held at; beyond it sums overflow in float32


# Names that people know from other programs, and the names used here.
SYNONYMS = {
    "--model": "--checkpoint",
    "--lr": "--learning-rate",
    "--steps": "--max-steps",
    "--iters": "--max-steps",
    "--time": "--max-time",
    "--layers": "--num-layers",
    "--rnn-size": "--hidden-size",
    "--seq-length": "--seq-len",
    "--chars": "--length",
    "--output": "--out",
}


def meant_by(name: str, known: Sequence[str]) -> str | None:
    """Guess the option in `known` that was meant by `name`; None when none comes near."""
    names = {each: each for each in known if each not in ("--help", "--version")}
    names |= {habit: ours for habit, ours in SYNONYMS.items() if ours in known}
    near = difflib.get_close_matches(name.replace("_", "-").lower(), names, 1, 0.7)
    return names[near[0]] if near else None


def globs(given: Sequence[str] | None) -> dict[str, Any]:
    """The fields of `CorpusConfig` for what --glob was given."""
    first, *more = given or [DEFAULT_TEXT.glob]
    return {"glob": first, "more_globs": tuple(more)}


def unescaped(text: str) -> str:
    r"""The text with \n, \t, \r and \\ as what they stand for; any other backslash is one."""
    return re.sub(r"\\[ntr\\]", lambda found: ESCAPES[found.group()], text)


def config_from(cls: Callable[..., T], values: dict[str, Any]) -> T:
    """Make the configuration `cls` from a command's options, which are named as its fields."""
    return cls(**{field.name: values[field.name] for field in fields(cls)})  # type: ignore[arg-type]


def open_model(checkpoint: str | None, device: str, threads: int, *, last: bool) -> tuple["LanguageModel", "ModelCard"]:
    """Open the language model that -c/--checkpoint means, on `device`; without the option, name it on standard error.

    Raises `UsageError` for a model that gives labels.
    """
    path, model, card = find_and_open(checkpoint, device, threads, last=last)
    from charlm.model.language_model import LanguageModel

    if not isinstance(model, LanguageModel):
        what = f"{path} is a model that gives labels ({card.training.task}), and writes no text"
        raise UsageError(what, f"charlm predict FILE -c {shlex.quote(str(path))} asks it for labels")
    return model, card


def open_labeller(checkpoint: str | None, device: str, threads: int, *, last: bool) -> tuple["Labeller", "ModelCard"]:
    """Open the model that -c/--checkpoint means, as `open_model` does. Raises `UsageError` for one that gives no labels."""
    path, model, card = find_and_open(checkpoint, device, threads, last=last)
    from charlm.model.heads import Labeller

    if not isinstance(model, Labeller):
        named = shlex.quote(str(path))
        hint = "charlm train FILE, with --task classify, --task tag or --restore, makes one that does"
        if checkpoint is not None:
            hint = f"charlm sample -c {named} asks it for text, and charlm eval FILE -c {named} scores one"
        raise UsageError(f"{path} is a language model, and gives no labels", hint)
    return model, card


def find_and_open(checkpoint: str | None, device: str, threads: int, *, last: bool) -> tuple[Path, "Network", "ModelCard"]:
    """Open the model that -c/--checkpoint means, of any kind, as `open_model` does, and return its file too."""
    check_device(device)
    check_threads(threads)
    from charlm.checkpoint.model import load_model
    from charlm.machine import set_threads
    from charlm.model.devices import pick_device

    set_threads(threads)
    place = pick_device(device)
    path = named_model(checkpoint, last=last)
    if last:
        from charlm.runs.newest import newest_model

        return path, *newest_model(path, place)
    return path, *load_model(path, place)


def named_model(checkpoint: str | None, *, last: bool) -> Path:
    """Find the model file, or the `last` state of a run, that -c/--checkpoint means; without the option, say which it is."""
    from charlm.display.terminal import visible_line
    from charlm.runs.find import SHIPPED, find_model

    path = find_model(checkpoint, last=last)
    if checkpoint is None:
        ships = ", which ships with charlm" if path.parent in SHIPPED else ""
        print(f"model: {visible_line(str(path))}{ships}", file=sys.stderr)
    return path


def reading_of(card: "ModelCard", encoding: str | None, glob: Sequence[str] | None = None) -> CorpusConfig:
    """How a text is read for a model: as its own was, but for the `encoding` and the patterns `glob`, where they are given."""
    files = globs(glob) if glob else {}
    encoding = card.text.encoding if encoding is None else encoding
    return replace(card.text, symbols=card.vocab.kind, encoding=encoding, **files)


def read_texts(texts: list[str], vocab: "Vocab", config: CorpusConfig, *, skip_unknown: bool) -> tuple["Ids", int]:
    """Read all texts into ids, joined as `config` says; returns them and the number of symbols left out.

    That number also goes to standard error. Raises `TextError` for symbols the model has never seen, unless `skip_unknown`.
    """
    import numpy as np

    from charlm.display.terminal import visible_line
    from charlm.text.encoding import Encoder
    from charlm.text.finding import find_files
    from charlm.text.parts import joint_of, needs_joint
    from charlm.text.source import read_symbols

    notices: list[str] = []
    joint, encoder = vocab.encode(joint_of(config), skip_unknown=True), Encoder(vocab)
    pieces, has_newline = [joint[:0]], None
    for name in find_files(texts, config, notices):
        between = joint if needs_joint(has_newline, is_always=config.separator is not None) else joint[:0]
        for symbols in filter(len, read_symbols(name, config, notices=notices, may_be_bytes=False)):
            pieces += [between, encoder.feed(symbols)]
            between, has_newline = joint[:0], int(symbols[-1]) == ord("\n")
        pieces.append(encoder.end())
    for notice in notices:
        print(visible_line(notice), file=sys.stderr)
    ids = np.concatenate(pieces)
    skipped, unseen = encoder.skipped, encoder.unseen
    if unseen is not None and not skip_unknown:
        raise TextError(f"{unseen.message}; {counted(skipped, 'such character')} in all", unseen.hint)
    if skipped:
        print(f"left out: {counted(skipped, 'character')} that the model has never seen", file=sys.stderr)
    return ids, skipped


def check_target(option: str, target: Path | None, others: dict[str, Path]) -> None:
    """Raise `UsageError` when `target` cannot or must not be written, such as when it is one of `others`, which are named."""
    if target is None:
        return
    if target.is_dir():
        raise UsageError(f"{option} {target} is a folder", "give the name of a file")
    if target.exists() and not target.is_file():
        raise UsageError(f"{option} {target} is not an ordinary file", "give the name of a file")
    for name, other in others.items():
        if target.resolve() == other.resolve():
            raise UsageError(f"{option} {target} is {name}", "give another name")
    if not target.parent.is_dir():
        raise UsageError(f"{option} {target} cannot be written: there is no folder {target.parent}", "make it first")


def print_json(value: dict[str, Any]) -> None:
    """Write `value` as one JSON object on a line of its own, and flush it."""
    from charlm.display.terminal import json_line

    sys.stdout.write(json_line(value))
    sys.stdout.flush()


def parse_unit(option: str, text: str) -> tuple[int, int]:
    """Parse the layer and unit of LAYER:UNIT, counted from zero. Raises `UsageError` naming the option."""
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text.strip(), re.ASCII)
    if match is None:
        raise UsageError(f"{option} is {text!r}, which names no unit", "write it as LAYER:UNIT from zero, such as 0:12")
    return int(match[1]), int(match[2])


def parse_clamp(text: str) -> HeldUnit:
    """Parse the unit and value of LAYER:UNIT[:PART]=VALUE. Raises `UsageError` for anything else."""
    name, _, number = text.partition("=")
    match = re.fullmatch(r"(\d{1,9}:\d{1,9})(?::([a-z]))?", name.strip(), re.ASCII)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if match is None or not abs(value) <= MOST_HELD:
        raise UsageError(
            f"--clamp is {text!r}, which holds nothing", "write it as LAYER:UNIT=VALUE or LAYER:UNIT:h=VALUE, such as 0:12=2.5"
        )
    layer, unit = parse_unit("--clamp", match[1])
    return HeldUnit(layer=layer, unit=unit, part=match[2], value=value)


def parse_duration(text: str) -> float:
    """Parse a duration such as 90, 60s, 5m, 2h or 1h30m into seconds. Raises `UsageError` for anything else."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not text or parts is None:
        raise UsageError(f"--max-time is {text!r}, which is not a duration", "write it as 60s, 5m, 2h or 1h30m")
    return sum(float(number) * unit for number, unit in zip(parts.groups(), units.values(), strict=True) if number)
