"""Findings, units and gates as people see them on a terminal."""

import io
import json
import re

import numpy as np
import pytest
from rich.cells import cell_len

from charlm.display.terminal import BLOCKS, DARK
from charlm.display.units import as_row, describe_gaps, show_findings, show_gates, show_unit
from charlm.features.registry import FEATURES
from charlm.inspection.findings import Delta, Finding, Passage, Report, Saturation, UnitId, UnitView
from charlm.model.cells import LSTM, Signal

SIGNALS = tuple(signal.name for signal in LSTM.signals)
HOSTILE = "\x1b[2J\x9b\u202e[/nope][bold]\0\r\ud800"


class Screen(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns without colours."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name, value in (("TERM", "xterm-256color"), ("NO_COLOR", "1"), ("COLUMNS", "80"), ("LINES", "24")):
        monkeypatch.setenv(name, value)


def finding(feature: str = "column", verdict: str = "used", delta: Delta | None = None, unit: int = 1023) -> Finding:
    return Finding(
        unit=UnitId(layer=1, unit=unit, signal="c"),
        feature=feature,
        statistic="spearman",
        score=-0.8754,
        confirmed_score=-0.8124,
        p_value=0.001,
        baseline_gain=0.214,
        delta_nats=delta,
        verdict=verdict,
    )


ALL = [finding(name, "used", Delta(present=0.1254, absent=-0.0044)) for name in FEATURES] + [finding(verdict="correlated")]


def plain(screen: io.StringIO) -> str:
    """What was written, without bold and dim, which are all the sequences that may be."""
    return re.sub(r"\x1b\[[012]?m", "", screen.getvalue())


def is_harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("width", [80, 160])
def test_a_finding_is_a_row_that_fits(width, monkeypatch):
    """On 80 columns and more nothing is wider than the screen, and each finding has all that it is in one row."""
    monkeypatch.setenv("COLUMNS", str(width))
    file = Screen()
    show_findings(file, ALL)
    rows = plain(file).split("\n")
    assert max(map(cell_len, rows)) <= width
    numbers = ["-0.875", "-0.812", ".001", "+.21"]
    found = [row.split() for row in rows if "-0.875" in row]
    assert [row[1:] for row in found[:-1]] == [["1:1023", "c", *numbers, "+0.125", "-0.004", "used"]] * len(FEATURES)
    assert found[-1] == ["column", "1:1023", "c", *numbers, "correlated"]
    if width == 160:
        assert [row[0] for row in found[:-1]] == list(FEATURES)


def test_a_pipe_has_each_finding_in_one_row():
    """Whatever the screen, what is piped is not folded for the features that there are."""
    file = io.StringIO()
    show_findings(file, ALL)
    assert [row.split()[0] for row in file.getvalue().split("\n") if "-0.875" in row] == [*FEATURES, "column"]


def test_hostile_names_are_harmless():
    """No name of a feature or reason reaches a terminal alive, nor is it markup."""
    file = Screen()
    show_findings(file, [finding(HOSTILE)])
    show_unit(file, view(np.zeros(3)), "c", passage("abc"), DARK, finding(HOSTILE))
    shown = plain(file) + "\n".join(describe_gaps(report([(HOSTILE, "not in the text")], [HOSTILE])))
    assert is_harmless(shown)
    assert "[bold]" in shown


def report(left_out: list[tuple[str, str]], untested: list[str]) -> Report:
    return Report(findings=(), left_out=tuple(left_out), untested=tuple(untested), saturation=(), num_characters=3000)


def test_gaps_are_told_by_reason():
    """Each reason is said once, with all features that it is for, in their order; nothing is said of nothing."""
    left_out = [("a", "not in the text"), ("b", "only 3 characters"), ("c", "not in the text")]
    assert describe_gaps(report(left_out, ["d", "e"])) == [
        "left out, not in the text: a, c",
        "left out, only 3 characters: b",
        "not tested, the label changes too seldom in 3,000 characters: d, e",
    ]
    assert describe_gaps(report([], [])) == []


def view(values: np.ndarray, signals: tuple[Signal, ...] = LSTM.signals) -> UnitView:
    rows = np.tile(values.astype(np.float32), (len(signals), 1))
    return UnitView(
        layer=1,
        unit=1023,
        signals=signals,
        values=rows,
        histogram=np.zeros((len(signals), 50), dtype=np.int64),
        snippets=((),) * len(signals),
        share_on=np.linspace(0, 0.5, len(signals)),
        findings=(),
    )


def passage(text: str, start: int = 199_000) -> Passage:
    return Passage(
        start=start,
        pieces=tuple(text),
        surprise=np.zeros(len(text), dtype=np.float32),
        expected=np.zeros((len(text), 1), dtype=np.int64),
        probabilities=np.ones((len(text), 1), dtype=np.float32),
        symbols=("a",),
    )


@pytest.mark.parametrize("signal", SIGNALS)
def test_each_signal_is_shown_on_its_own_scale(signal):
    """From the least that a signal can be to 1 there are nine levels, and the legend says which they are."""
    low = -1 if signal in "chg" else 0
    file = io.StringIO()
    show_unit(file, view(np.linspace(low, 1, 9)), signal, passage("abcdefghi"), DARK, None)
    head, legend, _, text, blocks = file.getvalue().split("\n")[:5]
    assert head == f"unit 1:1023  {'tanh(c)' if signal == 'c' else signal}"
    share = f"above {(low + 1) / 2:g} for {SIGNALS.index(signal) * 10}% of the time"
    assert legend == f"{low} {BLOCKS} 1, {share}; characters 199,000 to 199,009"
    assert (text, blocks) == ("abcdefghi", BLOCKS)


@pytest.mark.parametrize("name", FEATURES)
def test_nothing_about_a_unit_is_wider_than_the_screen(name):
    """Legend, finding and text keep within 80 columns, and the finding is said in full."""
    file = Screen()
    show_unit(file, view(np.ones(300)), "c", passage("한a\u0301 " * 75), DARK, finding(name))
    rows = plain(file).split("\n")
    assert max(map(cell_len, rows)) <= 80
    assert f"{name}: used, Spearman -0.875, held out -0.812" in " ".join("\n".join(rows[:2]).split())
    assert "".join(rows).count("한") == 75


def test_hostile_text_is_harmless():
    """Of a passage only what can be seen is written, and parts of a byte model's characters take no room."""
    shown = passage("x" * len(HOSTILE))
    file = Screen()
    pieces = Passage(**{name: getattr(shown, name) for name in shown.__dataclass_fields__} | {"pieces": ("", *HOSTILE[1:])})
    show_unit(file, view(np.ones(len(HOSTILE))), "h", pieces, DARK, None)
    assert is_harmless(plain(file))
    assert "[2J<U+009B><U+202E>[/nope][bold]␀␍<U+D800>" in plain(file)


def test_gates_are_a_plot_of_all_units():
    """Units stand to the right by how often they are shut and upwards by how often open, and none is left out."""
    left, right = np.array([0.0, 1.0, 0.5, 0.0]), np.array([1.0, 0.0, 0.5, 1.0])
    file = Screen()
    show_gates(file, [Saturation(layer=11, gate="f", left=left, right=right)])
    rows = plain(file).split("\n")
    assert rows[0] == "layer 11, gate f: below 0.1 38% of the time, above 0.9 62%, on average"
    plot = [row[8:] for row in rows[1:10]]
    places = {(row, column) for row, dots in enumerate(plot) for column, dot in enumerate(dots) if dot != " "}
    assert places == {(0, 0), (8, 24), (4, 12)}
    assert plot[0][0] == "●"  # two units, where the others are one
    assert plot[4][12] != "●"
    assert max(map(cell_len, rows)) <= 80
    assert rows[1][:8] == "1 open ┤"
    assert rows[11].endswith("1 shut")


@pytest.mark.parametrize("number", [1, 2, 3, 100, 5000])
def test_the_fullest_place_has_the_biggest_dot(number):
    """However many units lie together, two or more in the fullest place are ●, and a single one is still seen."""
    file = io.StringIO()
    show_gates(file, [Saturation(layer=0, gate="i", left=np.array([0.0] * number + [1.0]), right=np.zeros(number + 1))])
    row = file.getvalue().split("\n")[9]
    assert row[:9] == "     0 ┤" + ("●" if number > 1 else "·")
    assert row[8 + 24] == "·"


@pytest.mark.parametrize("delta", [None, Delta(present=0.5, absent=-0.25)])
def test_a_row_is_valid_json_of_everything(delta):
    """A finding as JSON has every field; a unit that was not clamped has null for both changes."""
    row = json.loads(json.dumps(as_row(finding(delta=delta)), allow_nan=False))
    assert row == {
        "layer": 1,
        "unit": 1023,
        "signal": "c",
        "feature": "column",
        "statistic": "spearman",
        "score": -0.8754,
        "confirmed_score": -0.8124,
        "p_value": 0.001,
        "baseline_gain": 0.214,
        "delta_nats": {"present": 0.5, "absent": -0.25} if delta else {"present": None, "absent": None},
        "verdict": "used",
    }
