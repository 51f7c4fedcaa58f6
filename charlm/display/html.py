"""What single units do, as one HTML page that needs no server and no network. Knows no models and no files.

The page carries a JSON text (names and single numbers) and one compressed block (all arrays); page.js reads both. Text from a
corpus counts as hostile: every character comes from a table that makes the invisible ones visible, page.js only ever sets
text, and a content security policy lets nothing but page.js run.
"""

import base64
import hashlib
import html
import json
import math
import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.display.terminal import visible
from charlm.inspection.findings import VERDICTS, Finding, Passage, Saturation, Snippet, UnitView

STEPS = 254  # even, so that the middle of a range is a step of its own
NOT_A_NUMBER = 255
BARS = 50
CONTROLS = {"\n": "LINE FEED", "\t": "TABULATION", "\r": "CARRIAGE RETURN"}

Json = dict[str, Any]
Place = tuple[int, int]


def page(
    *,
    title: str,
    passage: Passage,
    units: Sequence[UnitView],
    ranked: Sequence[Finding],
    gates: Sequence[Saturation],
    notes: Sequence[str],
) -> str:
    """Make the whole HTML document; all but its own style and script is ASCII.

    `units` are the units a reader can open; `ranked` are all findings, best first, also those of other units. `gates` may be
    empty. `notes` are lines of text shown below everything else.
    """
    data, block = _data(passage, units, ranked, gates)
    style, script = _resource("page.css"), _resource("page.js")
    return _filled(
        _resource("page.html"),
        {
            "policy": _policy(style=style, script=script),
            "title": _escaped(title),
            "notes": "".join(f"<li>{_escaped(note)}</li>" for note in notes),
            "style": style,
            "script": script,
            "data": _script_json(data),
            "block": base64.b64encode(zlib.compress(block, 6)).decode("ascii"),
        },
    )


def quantised(values: npt.NDArray[np.floating[Any]], least: float) -> npt.NDArray[np.uint8]:
    """Map `values` from `least` to 1 onto the steps 0 to 254, with 127 in the middle; NaN becomes 255."""
    steps = np.clip(np.rint((values - least) * (STEPS / (1 - least))), 0, STEPS)
    return np.where(np.isnan(steps), NOT_A_NUMBER, steps).astype(np.uint8)


def folded(histogram: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Add up neighbouring bins of a histogram `(BINS,)` until at most 50 bars are left."""
    edges = np.linspace(0, len(histogram), min(BARS, len(histogram)), endpoint=False).astype(int)
    bars: npt.NDArray[np.int64] = np.add.reduceat(histogram, edges)
    return bars


class _Block:
    """Arrays one after the other. An array's place is the byte it starts at and its number of elements."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def bytes_(self, array: npt.NDArray[np.uint8]) -> Place:
        """Add numbers of one byte each."""
        return self._add(array, "u1")

    def floats(self, array: npt.ArrayLike) -> Place:
        """Add numbers in float32."""
        return self._add(array, "<f4")

    def integers(self, array: npt.ArrayLike) -> Place:
        """Add whole numbers of 32 bits."""
        return self._add(array, "<u4")

    def _add(self, array: npt.ArrayLike, kind: str) -> Place:
        values = np.asarray(array).astype(kind)
        place = self.size, values.size
        self.parts.append(values.tobytes())
        self.size += values.nbytes
        return place


class _Characters:
    """The distinct pieces of all texts, numbered, so that a text becomes a list of numbers."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def of(self, pieces: Sequence[str]) -> list[int]:
        """The number of each piece."""
        return [self.numbers.setdefault(piece, len(self.numbers)) for piece in pieces]

    def table(self) -> list[tuple[str, str]]:
        """List each piece as it is shown, with its name."""
        return [(_shown(piece), _called(piece)) for piece in self.numbers]


def _data(
    passage: Passage, units: Sequence[UnitView], ranked: Sequence[Finding], gates: Sequence[Saturation]
) -> tuple[Json, bytes]:
    block, characters = _Block(), _Characters()
    data: Json = {
        "start": passage.start,
        "pieces": block.integers(characters.of(passage.pieces)),
        "surprise": block.floats(passage.surprise),
        "guesses": passage.expected.shape[1],
        "expected": block.integers(passage.expected),
        "probabilities": block.floats(passage.probabilities),
        "symbols": [_shown(symbol) for symbol in passage.symbols],
        "hasLabels": passage.has_labels,
        "units": [_unit(unit, block, characters) for unit in units],
        "ranked": [_finding(finding) for finding in ranked],
        "gates": [_gate(gate, block) for gate in gates],
        "signals": {
            signal.name: {"label": signal.label, "meaning": signal.meaning} for unit in units for signal in unit.signals
        },
        "verdicts": VERDICTS,
    }
    data["characters"] = characters.table()  # last, when every character is known
    return data, b"".join(block.parts)


def _unit(unit: UnitView, block: _Block, characters: _Characters) -> Json:
    signals = []
    for number, signal in enumerate(unit.signals):
        signals.append(
            {
                "name": signal.name,
                "low": signal.low,
                "values": block.bytes_(quantised(unit.values[number], signal.low)),
                "histogram": block.integers(folded(unit.histogram[number])),
                "shareOn": _number(unit.share_on[number]),
                "snippets": [_snippet(snippet, signal.low, block, characters) for snippet in unit.snippets[number]],
            }
        )
    findings = [_finding(finding) for finding in unit.findings]
    return {"layer": unit.layer, "unit": unit.unit, "signals": signals, "findings": findings}


def _snippet(snippet: Snippet, least: float, block: _Block, characters: _Characters) -> Json:
    return {
        "start": snippet.start,
        "peak": snippet.peak,
        "pieces": block.integers(characters.of(snippet.pieces)),
        "values": block.bytes_(quantised(snippet.values, least)),
    }


def _finding(finding: Finding) -> Json:
    delta = finding.delta_nats
    return {
        "layer": finding.unit.layer,
        "unit": finding.unit.unit,
        "signal": finding.unit.signal,
        "feature": visible(finding.feature),
        "statistic": finding.statistic,
        "score": _number(finding.score),
        "confirmed": _number(finding.confirmed_score),
        "strength": _number(finding.strength),
        "p": None if finding.p_value is None else _number(finding.p_value),
        "gain": _number(finding.baseline_gain),
        "delta": delta and [_number(delta.present), _number(delta.absent)],
        "verdict": finding.verdict,
    }


def _gate(gate: Saturation, block: _Block) -> Json:
    return {"layer": gate.layer, "gate": gate.gate, "left": block.floats(gate.left), "right": block.floats(gate.right)}


def _number(value: float) -> float | None:
    """Round `value` to six digits; None for NaN and infinity, which JSON lacks."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _shown(piece: str) -> str:
    """Make the invisible and control characters of `piece` visible, except line ends and tabs."""
    return "".join(
        f"<U+{ord(character):04X}>" if unicodedata.category(character) in ("Cf", "Zl", "Zp") else visible(character)
        for character in piece
    )


def _called(piece: str) -> str:
    """Name the code points of `piece`, and the character where it has a name."""
    if not piece:
        return "part of a character"
    codes = " ".join(f"U+{ord(character):04X}" for character in piece)
    name = CONTROLS.get(piece) or (unicodedata.name(piece, "") if len(piece) == 1 else "")
    return f"{codes} {name}".rstrip()


def _escaped(text: str) -> str:
    return html.escape(_shown(text))


def _script_json(data: Json) -> str:
    """Make JSON that cannot close the element around it, whatever its strings hold: ASCII without `<`, `>` and `&`."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resource(name: str) -> str:
    return resources.files("charlm.display").joinpath(name).read_text(encoding="utf-8")


def _filled(template: str, parts: dict[str, str]) -> str:
    """Replace each `{{name}}` in `template` in one pass, so that nothing inside an inserted text is replaced."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _policy(*, style: str, script: str) -> str:
    """Make a content security policy that allows these two inline texts and nothing else."""
    directives: Iterable[str] = (
        "default-src 'none'",
        f"script-src '{_digest(script)}'",
        f"style-src '{_digest(style)}'",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(directives)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
