"""What units mean, shown on a terminal: the ranked findings, a text coloured by a unit, gate saturation. Knows no models."""

from collections.abc import Sequence
from typing import Any, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from charlm.display.terminal import ColouredText, Ramp, console_on, visible
from charlm.errors import counted
from charlm.inspection.findings import Finding, Passage, Report, Saturation, UnitView

NAMES = {"auroc": "AUROC", "spearman": "Spearman"}
VERDICT_STYLES = {"used": "bold", "confirmed": "", "correlated": "dim"}
COLUMNS = (
    "score: first half of the text; again: second; p: against chance; gain: over\n"
    "baselines; Δ: rise in loss when clamped, here: with the feature, else: without\n"
)
PLOT_ROWS, PLOT_COLUMNS = 8, 24
SHADES = " ·∘○●"


def as_row(finding: Finding) -> dict[str, Any]:
    """Turn a finding into its JSON row."""
    delta = finding.delta_nats
    return {
        "layer": finding.unit.layer,
        "unit": finding.unit.unit,
        "signal": finding.unit.signal,
        "feature": finding.feature,
        "statistic": finding.statistic,
        "score": finding.score,
        "confirmed_score": finding.confirmed_score,
        "p_value": finding.p_value,
        "baseline_gain": finding.baseline_gain,
        "delta_nats": {"present": delta.present if delta else None, "absent": delta.absent if delta else None},
        "verdict": finding.verdict,
    }


def describe_gaps(report: Report) -> list[str]:
    """Name the features that were left out or not tested, in one line for each reason."""
    gaps = [(f"left out, {why}", name) for name, why in report.left_out]
    seldom = f"not tested, the label changes too seldom in {counted(report.num_characters, 'character')}"
    gaps += [(seldom, name) for name in report.untested]
    reasons = dict.fromkeys(why for why, _ in gaps)
    return [f"{reason}: " + ", ".join(visible(name) for why, name in gaps if why == reason) for reason in reasons]


def show_findings(file: TextIO, findings: Sequence[Finding]) -> None:
    """Write the findings as a table, best first; each row fits 80 columns."""
    console = console_on(file)
    if not console.is_terminal:
        console.width = 100  # so that a pipe gets whole rows
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("feature", overflow="fold", min_width=12)
    table.add_column("unit", no_wrap=True)
    for name in ("score", "again", "p", "gain", "Δ here", "Δ else"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for found in findings:
        delta = found.delta_nats
        cells = [
            visible(found.feature),
            f"{found.unit.layer}:{found.unit.unit} {found.unit.signal}",
            f"{found.score:+.3f}",
            f"{found.confirmed_score:+.3f}",
            "" if found.p_value is None else f"{found.p_value:.3f}".removeprefix("0"),
            f"{found.baseline_gain:+.2f}".replace("0.", "."),
            f"{delta.present:+.3f}" if delta else "",
            f"{delta.absent:+.3f}" if delta else "",
            found.verdict,
        ]
        table.add_row(*(Text(cell) for cell in cells), style=VERDICT_STYLES[found.verdict])
    console.print(table)
    console.print(Text(COLUMNS, style="dim"))


def show_unit(file: TextIO, view: UnitView, signal: str, passage: Passage, ramp: Ramp, finding: Finding | None) -> None:
    """Write a legend, then the passage with each character coloured by the unit's signal."""
    row = [each.name for each in view.signals].index(signal)
    values, least = view.values[row], view.signals[row].low
    screen = ColouredText(file, least, 1.0, ramp)
    console = console_on(file)
    head = Text.assemble((f"unit {view.layer}:{view.unit}  {view.signals[row].label}", "bold"))
    if finding is not None:
        score = f"{NAMES[finding.statistic]} {finding.score:+.3f}, held out {finding.confirmed_score:+.3f}"
        head.append(f"  {visible(finding.feature)}: {finding.verdict}, {score}")
    console.print(head, soft_wrap=not console.is_terminal)
    share = f"above {(least + 1) / 2:g} for {view.share_on[row]:.0%} of the time"
    file.write(
        f"{least:g} {screen.legend()} 1, {share}; characters {passage.start:,} to {passage.start + len(passage.pieces):,}\n\n"
    )
    for piece, value in zip(passage.pieces, values, strict=True):
        screen.write(piece, [float(value)] * len(piece))
    screen.close()
    file.write("\n")


def show_gates(file: TextIO, gates: Sequence[Saturation]) -> None:
    """Plot the units of each gate by how often it is shut (to the right) and open (upwards); bigger dots are more units."""
    for gate in gates:
        shut, wide = gate.left.mean(), gate.right.mean()
        file.write(
            f"layer {gate.layer}, gate {gate.gate}: below 0.1 {shut:.0%} of the time, above 0.9 {wide:.0%}, on average\n"
        )
        counts = [[0] * (PLOT_COLUMNS + 1) for _ in range(PLOT_ROWS + 1)]
        for left, right in zip(gate.left, gate.right, strict=True):
            counts[round(float(right) * PLOT_ROWS)][round(float(left) * PLOT_COLUMNS)] += 1
        most = max(max(row) for row in counts)
        for number in range(PLOT_ROWS, -1, -1):
            edge = {PLOT_ROWS: "1 open ┤", 0: "     0 ┤"}.get(number, "       │")
            dots = "".join(SHADES[_shade(count, most)] for count in counts[number])
            file.write(f"{edge}{dots.rstrip()}\n")
        file.write(f"       └{'─' * PLOT_COLUMNS}\n        0{'1 shut':>{PLOT_COLUMNS}}\n")


def _shade(count: int, most: int) -> int:
    """Choose a dot: 0 for no unit, then one step for each third of the way to the fullest place, on a logarithmic scale."""
    return (
        0
        if count == 0
        else min(len(SHADES) - 1, 1 + int((len(SHADES) - 2) * (count.bit_length() - 1) / max(1, most.bit_length() - 1)))
    )
