"""The work of `charlm inspect-cells`, once its options are checked: read, search, show, write.

The command imports this module only when it runs, because it needs torch and --help does not.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from charlm.cli import options
from charlm.cli.subjects import Subject
from charlm.display.html import page
from charlm.display.terminal import THEMES, theme_of, visible_line
from charlm.display.units import as_row, describe_gaps, show_findings, show_gates, show_unit
from charlm.display.waiting import waiting
from charlm.errors import UsageError, counted
from charlm.features.registry import FEATURES, Feature, parse_feature
from charlm.files import write_atomically
from charlm.inspection.activations import save_activations
from charlm.inspection.examine import gate_habits
from charlm.inspection.findings import Finding, Report, UnitId
from charlm.inspection.trace import groups
from charlm.inspection.views import PAGE_CHARACTERS, VIEWED, VIEWED_FOR_CLOSEUPS, best_units, closeups, units_of_page
from charlm.model.network import Network


def all_features(own: Sequence[str]) -> list[Feature]:
    """All features, with the user's own, each given as NAME=REGEX. Raises `UsageError`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of expressions that may change meaning in a later version
        features = [*FEATURES.values(), *map(parse_feature, own)]
    if len({feature.name for feature in features}) < len(features):
        raise UsageError("two --feature options have the same name", "give each a name of its own")
    return features


def check_signal(signal: str | None, model: Network) -> None:
    """Raise `UsageError` for a signal that no unit of the model has."""
    names = dict.fromkeys(group.signal for group in groups(model))
    if signal not in (None, *names):
        raise UsageError(f"--signal is {signal!r}, which this model lacks", f"choose one of {', '.join(names)}")


def search(subject: Subject, features: Sequence[Feature]) -> Report:
    """Find and test each feature's best unit."""
    with waiting() as tell:
        return subject.examine(features, tell)


def print_report(subject: Subject, report: Report, *, json: bool, is_table: bool) -> None:
    """Print the findings as JSON, or as a table followed by the best units in colour, each once."""
    for line in describe_gaps(report):
        print(line, file=sys.stderr)
    if all(found.p_value is None for found in report.findings):
        what = f"nothing could be tested in {counted(report.num_characters, 'character')}"
        print(f"{what}: give a longer text, or one that has more of a feature", file=sys.stderr)
    if json:
        options.print_json({"findings": [as_row(found) for found in report.findings]})
    if json or not is_table or not report.findings:
        return
    show_findings(sys.stdout, report.findings)
    _show(subject, best_units(report.findings, subject.config.top), report.findings)


def show_units(subject: Subject, units: Sequence[tuple[int, int]], signal: str | None) -> None:
    """Show the given units in colour, by one of their signals, by default the first."""
    signal = signal or groups(subject.model)[0].signal
    _show(subject, [UnitId(layer=layer, unit=unit, signal=signal) for layer, unit in units], ())


def _show(subject: Subject, chosen: Sequence[UnitId], findings: Sequence[Finding]) -> None:
    if not chosen:
        return
    config = subject.config
    theme = theme_of(os.environ.get("COLORFGBG", "")) if config.theme == "auto" else config.theme
    with waiting() as tell:
        tell("reading the text once more", 0.0)
        viewer = subject.viewer(max(VIEWED_FOR_CLOSEUPS, config.length))
        values = viewer.values([(unit.layer, unit.unit) for unit in chosen])
    for each in closeups(viewer, chosen, values, findings, config.length):
        show_unit(sys.stdout, each.view, each.unit.signal, each.passage, THEMES[theme], each.finding)


def show_habits(subject: Subject) -> None:
    """Show how often each gate is nearly shut and nearly open."""
    with waiting() as tell:
        habits = gate_habits(subject.model, subject.ids, subject.workers, tell, subject.starts)
    if habits:
        show_gates(sys.stdout, habits)
    else:
        print("this model has no gates", file=sys.stderr)


def write_page(target: Path, subject: Subject, report: Report, wanted: Sequence[tuple[int, int]], title: str) -> None:
    """Write the page with the `wanted` units, those of the findings, then the first others, 64 in all."""
    notes = [
        f"Text: {subject.source}, {counted(report.num_characters, 'character')}; the page shows the first {PAGE_CHARACTERS:,}."
    ]
    notes += describe_gaps(report)
    units = units_of_page(subject.model.config, wanted, report.findings)
    with waiting() as tell:
        tell("reading the text once more", 0.0)
        viewer = subject.viewer(VIEWED)
        values = viewer.values(units)
    text = page(
        title=title,
        passage=viewer.passage(0, PAGE_CHARACTERS),
        units=[
            viewer.unit_view(unit, *traced, report.findings, (0, PAGE_CHARACTERS))
            for unit, traced in zip(units, values, strict=True)
        ],
        ranked=report.findings,
        gates=report.saturation,
        notes=notes,
    )
    write_atomically(target, text.encode())
    print(f"page: {visible_line(str(target))}", file=sys.stderr)


def save(target: Path, subject: Subject) -> None:
    """Write every unit's signals at every character to a file."""
    with waiting() as tell:
        size = save_activations(target, subject.model, subject.ids, tell, subject.starts)
    print(f"activations: {visible_line(str(target))}, {size / 1e6:,.0f} MB", file=sys.stderr)
