"""`charlm inspect-cells`: find the units that mean something, test them, show them."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlm.cli import options
from charlm.cli.options import lower
from charlm.config import CorpusConfig, InspectConfig, check_threads, check_unit, check_unknown, parse_unit
from charlm.errors import TextError, UsageError, counted
from charlm.inspection.findings import VERDICTS, UnitId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from charlm.checkpoint.card import ModelCard
    from charlm.inspection.features import Feature
    from charlm.inspection.findings import Finding, Report
    from charlm.inspection.views import Viewer
    from charlm.model.language_model import LanguageModel
    from charlm.text.vocab import Ids, Vocab

DEFAULT = InspectConfig()
MOST_UNITS = 64  # in a page
PAGE_CHARACTERS = 20_000
SHOWN_FROM = 50_000  # characters, of which the liveliest stretch is shown
EPILOG = "Verdicts, the strongest first. " + " ".join(f"{verdict.upper()}: {meaning}." for verdict, meaning in VERDICTS.items())


def inspect_cells(
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="A text file, or - for standard input.", show_default="the held-out part"),
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME=REGEX", help="A feature of your own: what the expression covers.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best units to show in colour.")] = DEFAULT.top,
    length: Annotated[int, typer.Option("-n", "--length", help="Characters to show of each.")] = DEFAULT.length,
    show: Annotated[list[str] | None, typer.Option(metavar="LAYER:UNIT", help="Show this unit, from zero.")] = None,
    signal: Annotated[
        str | None, typer.Option(help="What of it: c (as tanh(c)), h, or a gate: i, f, o, g; r, z, n.", show_default="c or h")
    ] = None,
    gates: Annotated[bool, typer.Option("--gates", help="Show how often gates are shut and open.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to explore, all in one file.")] = None,
    save_activations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every unit's c, h and gates as safetensors.")
    ] = None,
    max_characters: Annotated[int, typer.Option(help="Of the text, at most; 0 is all.")] = DEFAULT.max_characters,
    theme: Annotated[
        str, typer.Option(help="For which screens the colours are: dark, light or auto.", callback=lower)
    ] = DEFAULT.theme,
    seed: Annotated[int, typer.Option(help="The same seed gives the same p-values.")] = DEFAULT.seed,
    unknown: options.Unknown = "error",
    encoding: options.Encoding = options.DEFAULT_TEXT.encoding,
    json: options.Json = False,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    version: options.Version = False,
) -> None:
    """Find the units that track something in a text, test whether that is real, and show them in colour.

    Example: charlm inspect-cells --html cells.html

    Each feature's best unit is found in the first half of the text and tested in the second. --show, --gates and
    --save-activations show what they say without a search.
    """
    config = InspectConfig(top=top, length=length, max_characters=max_characters, seed=seed, theme=theme)
    check_unknown(unknown)
    check_threads(threads)
    units = [parse_unit("--show", name) for name in show or []]
    if signal is not None and not units:
        raise UsageError("--signal was given without --show", "name a unit, as in --show 0:12 --signal f")
    if json and (units or gates):
        raise UsageError("--json was given with --show or --gates, which are for people", "leave one of them out")
    is_look = bool(units or gates or save_activations)
    is_search = bool(html or json or not is_look)
    if feature and not is_search:
        message = "--feature was given, but --show, --gates and --save-activations search for nothing"
        raise UsageError(message, "leave them out, or add --html or --json")
    features = _features(feature or [])
    path, model, card = options.find_and_open(checkpoint, device, 1)  # torch's own threads: ours are the workers
    sources = {"the text itself": Path(text or ""), "the model itself": path}
    options.check_target("--html", html, sources)
    options.check_target("--save-activations", save_activations, sources | ({"the page of --html": html} if html else {}))
    for layer, unit in units:
        check_unit("--show", layer, unit, card.model)
    _check_signal(signal, model)
    ids, source = _read(text, path, card, CorpusConfig(symbols=card.vocab.kind, encoding=encoding), unknown, config)
    subject = Subject(model=model, vocab=card.vocab, ids=ids, config=config, workers=threads or os.cpu_count() or 1)
    if save_activations is not None:
        _save(save_activations, subject)
    if is_search:
        report = _search(subject, features)
        if html is not None:
            shape = f"{card.model.num_layers} x {card.model.hidden_size} {card.model.cell.upper()}"
            _write_page(html, subject, report, units, f"{path.parent.name or path.name}: {shape}", source)
        _print_report(subject, report, json=json, is_table=not is_look)
    if units:
        _show_units(subject, units, signal)
    if gates:
        _show_gates(subject)


def _check_signal(signal: str | None, model: "LanguageModel") -> None:
    from charlm.inspection.trace import groups

    names = dict.fromkeys(group.signal for group in groups(model))
    if signal not in (None, *names):
        raise UsageError(f"--signal is {signal!r}, which this model has not", f"choose one of {', '.join(names)}")


def _features(own: list[str]) -> "list[Feature]":
    """All features there are, with the user's own."""
    import warnings

    from charlm.inspection.features import FEATURES, parse_feature

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what an expression may mean in some later Python
        features = [*FEATURES.values(), *map(parse_feature, own)]
    if len({feature.name for feature in features}) < len(features):
        raise UsageError("two --feature options have the same name", "give each a name of its own")
    return features


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is looked at, and how: a model, and the text it reads."""

    model: "LanguageModel"
    vocab: "Vocab"
    ids: "Ids"
    config: InspectConfig
    workers: int


def _read(
    text: str | None, path: Path, card: "ModelCard", reading: CorpusConfig, unknown: str, config: InspectConfig
) -> tuple["Ids", str]:
    """The ids to look at, as many as are wanted, and where they are from, in words for people."""
    from charlm.display.terminal import visible_line

    if text is None:
        from charlm.runs.heldout import held_out

        ids, found = held_out(path, card)
        source = f"the held-out part of its corpus, from {visible_line(str(found))}"
        print(f"text: {source}", file=sys.stderr)
    else:
        ids, _ = options.read_texts([text], card.vocab, reading, skip_unknown=unknown == "skip")
        source = "standard input" if text == "-" else visible_line(text)
    if 0 < config.max_characters < len(ids):
        print(
            f"only the first {config.max_characters:,} of {counted(len(ids), 'character')}: --max-characters 0 reads all",
            file=sys.stderr,
        )
        ids = ids[: config.max_characters]
    if not len(ids):
        raise TextError(f"{source} has no characters to look at", "give a text that has some")
    return ids, source


def _search(subject: Subject, features: "Sequence[Feature]") -> "Report":
    from charlm.display.waiting import follow
    from charlm.inspection.examine import examine

    return follow(examine(subject.model, subject.ids, subject.vocab, features, subject.config.seed, subject.workers))


def _print_report(subject: Subject, report: "Report", *, json: bool, is_table: bool) -> None:
    """The findings as JSON, or as a table with the best units in colour below it, each once."""
    from charlm.display.units import as_row, describe_gaps, show_findings

    for line in describe_gaps(report):
        print(line, file=sys.stderr)
    if json:
        options.print_json({"findings": [as_row(found) for found in report.findings]})
    if json or not is_table:
        return
    show_findings(sys.stdout, report.findings)
    best = {(found.unit.layer, found.unit.unit): found for found in reversed(report.findings)}
    chosen = sorted(best.values(), key=report.findings.index)[: subject.config.top]
    _show(subject, [(found.unit.layer, found.unit.unit, found.unit.signal) for found in chosen], report.findings)


def _show_units(subject: Subject, units: list[tuple[int, int]], signal: str | None) -> None:
    from charlm.inspection.trace import groups

    first = groups(subject.model)[0].signal
    _show(subject, [(*unit, signal or first) for unit in units], ())


def _show(subject: Subject, chosen: list[tuple[int, int, str]], findings: "Sequence[Finding]") -> None:
    """Each unit's signal over the stretch, of the text's first 50,000 characters, in which it varies most."""
    from charlm.display.terminal import THEMES, theme_of
    from charlm.display.units import show_unit

    if not chosen:
        return
    theme = theme_of(os.environ.get("COLORFGBG", "")) if subject.config.theme == "auto" else subject.config.theme
    viewer, traced = _viewed(subject, [(layer, unit) for layer, unit, _ in chosen], max(SHOWN_FROM, subject.config.length))
    for (layer, unit, signal), (signals, values) in zip(chosen, traced, strict=True):
        start = viewer.liveliest(values[signals.index(signal)], subject.config.length)
        view = viewer.unit_view((layer, unit), signals, values, findings, (start, start + subject.config.length))
        own = [found for found in findings if found.unit == UnitId(layer=layer, unit=unit, signal=signal)]
        passage = viewer.passage(start, subject.config.length)
        show_unit(sys.stdout, view, signal, passage, THEMES[theme], own[0] if own else None)


def _viewed(
    subject: Subject, units: list[tuple[int, int]], most: int | None = None
) -> "tuple[Viewer, list[tuple[tuple[str, ...], npt.NDArray[np.float32]]]]":
    """A view of the text, or of its first `most` characters, and what each of `units` does in it."""
    from charlm.display.waiting import waiting
    from charlm.inspection.views import Viewer

    with waiting() as tell:
        tell("reading the text once more", 0.0)
        viewer = Viewer(subject.model, subject.vocab, subject.ids[:most])
        return viewer, viewer.values(units)


def _show_gates(subject: Subject) -> None:
    from charlm.display.units import show_gates
    from charlm.display.waiting import follow
    from charlm.inspection.examine import gate_habits

    if habits := follow(gate_habits(subject.model, subject.ids, subject.workers)):
        show_gates(sys.stdout, habits)
    else:
        print("a plain recurrent network has no gates", file=sys.stderr)


def _write_page(
    target: Path, subject: Subject, report: "Report", wanted: list[tuple[int, int]], title: str, source: str
) -> None:
    """The page: the units that were asked for, those of the findings, then the first others, 64 in all."""
    from charlm.display.html import page
    from charlm.display.terminal import visible_line
    from charlm.display.units import describe_gaps
    from charlm.files import write_atomically

    found = [(finding.unit.layer, finding.unit.unit) for finding in report.findings]
    others = [(layer, unit) for unit in range(MOST_UNITS) for layer in range(subject.model.config.num_layers)]
    has = subject.model.config.hidden_size
    units = list(dict.fromkeys(unit for unit in (*wanted, *found, *others) if unit[1] < has))[:MOST_UNITS]
    notes = [f"Text: {source}, {counted(report.num_characters, 'character')}; shown are the first {PAGE_CHARACTERS:,}."]
    notes += describe_gaps(report)
    viewer, traced = _viewed(subject, units)
    text = page(
        title=title,
        passage=viewer.passage(0, PAGE_CHARACTERS),
        units=[
            viewer.unit_view(unit, signals, values, report.findings, (0, PAGE_CHARACTERS))
            for unit, (signals, values) in zip(units, traced, strict=True)
        ],
        ranked=report.findings,
        gates=report.saturation,
        notes=notes,
    )
    write_atomically(target, text.encode())
    print(f"page: {visible_line(str(target))}", file=sys.stderr)


def _save(target: Path, subject: Subject) -> None:
    from charlm.checkpoint.activations import save_activations
    from charlm.display.terminal import visible_line
    from charlm.display.waiting import follow

    size = follow(save_activations(target, subject.model, subject.ids))
    print(f"activations: {visible_line(str(target))}, {size / 1e6:,.0f} MB", file=sys.stderr)
