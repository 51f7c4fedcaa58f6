"""`charlm inspect-cells`: find the units that mean something, test them, show them. This is the options; `looking` does it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from charlm.cli import options
from charlm.cli.options import lower
from charlm.config import InspectConfig, check_threads, check_unit, check_unknown
from charlm.errors import UsageError
from charlm.inspection.findings import VERDICTS

DEFAULT = InspectConfig()
EPILOG = "Verdicts, the strongest first. " + " ".join(f"{verdict.upper()}: {meaning}." for verdict, meaning in VERDICTS.items())


def inspect_cells(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="A text file, a folder, labelled texts, or - for standard input.",
            show_default="the held-out part",
        ),
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME=REGEX", help="A feature of your own: what the expression matches.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best units to show in colour.")] = DEFAULT.top,
    length: Annotated[int, typer.Option("-n", "--length", help="Characters to show for each unit.")] = DEFAULT.length,
    show: Annotated[list[str] | None, typer.Option(metavar="LAYER:UNIT", help="Show this unit, counted from zero.")] = None,
    signal: Annotated[
        str | None,
        typer.Option(
            help="Which signal: c (as tanh(c)), h, or a gate, such as f; a wrong one lists all.", show_default="c or h"
        ),
    ] = None,
    gates: Annotated[bool, typer.Option("--gates", help="Show how often gates are shut and open.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to explore, all in one file.")] = None,
    save_activations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every unit's c, h and gates as safetensors.")
    ] = None,
    max_characters: Annotated[
        int, typer.Option(help="Characters, or symbols of another kind, to read at most; 0 reads all.")
    ] = DEFAULT.max_characters,
    theme: Annotated[
        str, typer.Option(help="Colours for a dark or a light screen: dark, light or auto.", callback=lower)
    ] = DEFAULT.theme,
    seed: Annotated[int, typer.Option(help="The same seed gives the same p-values.")] = DEFAULT.seed,
    unknown: options.Unknown = "error",
    encoding: options.Encoding = None,
    glob: options.Glob = None,
    json: options.Json = False,
    checkpoint: options.Checkpoint = None,
    last: options.Last = False,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    version: options.Version = False,
) -> None:
    """Find the units that track something in a text, test whether the match is real, and show them in colour.

    Example: charlm inspect-cells --html cells.html

    Each feature's best unit is found in the first half of the text and tested in the second. --show, --gates and
    --save-activations do their work without this search.
    """
    config = InspectConfig(top=top, length=length, max_characters=max_characters, seed=seed, theme=theme)
    check_unknown(unknown)
    check_threads(threads)
    units = [options.parse_unit("--show", name) for name in show or []]
    if signal is not None and not units:
        raise UsageError("--signal was given without --show", "name a unit, as in --show 0:12 --signal f")
    if json and (units or gates):
        raise UsageError("--json was given with --show or --gates, which are for people", "leave one of them out")
    is_look = bool(units or gates or save_activations)
    is_search = bool(html or json or not is_look)
    if feature and not is_search:
        message = "--feature was given, but --show, --gates and --save-activations search for nothing"
        raise UsageError(message, "leave them out, or add --html or --json")

    from charlm.cli import looking, subjects  # here, because they load torch and --help must not

    features = looking.all_features(feature or [])
    # One thread for torch, since we run workers of our own.
    path, model, card = options.find_and_open(checkpoint, device, 1, last=last)
    sources = {"the text itself": Path(text or ""), "the model itself": path}
    options.check_target("--html", html, sources)
    options.check_target("--save-activations", save_activations, sources | ({"the page of --html": html} if html else {}))
    for layer, unit in units:
        check_unit("--show", layer, unit, card.model)
    looking.check_signal(signal, model)
    workers = threads or os.cpu_count() or 1
    subject = subjects.subject_of(text, path, model, card, options.reading_of(card, encoding, glob), unknown, config, workers)
    if save_activations is not None:
        looking.save(save_activations, subject)
    if is_search:
        report = looking.search(subject, features)
        if html is not None:
            shape = f"{card.model.num_layers} x {card.model.hidden_size} {card.model.cell.upper()}"
            looking.write_page(html, subject, report, units, f"{path.parent.name or path.name}: {shape}")
        looking.print_report(subject, report, json=json, is_table=not is_look)
    if units:
        looking.show_units(subject, units, signal)
    if gates:
        looking.show_habits(subject)
