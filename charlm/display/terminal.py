"""Text for terminals: made harmless, and coloured by a number for each character. Knows no models.

Text from a corpus or a model counts as hostile: nothing here interprets markup, and every control character a terminal would
obey is replaced by a visible sign.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.cells import cell_len
from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table
from rich.text import Text

BLOCKS = " ▁▂▃▄▅▆▇█"
LEVELS = len(BLOCKS)


@dataclass(frozen=True, slots=True)
class Ramp:
    """Nine styles, from least to greatest, for each of three colour systems: 16 million, 256 and 16 (Rich's "standard")."""

    truecolor: tuple[Style, ...]
    eight_bit: tuple[Style, ...]
    standard: tuple[Style, ...]

    def styles(self, color_system: str | None) -> tuple[Style, ...]:
        """The styles for a console's colour system."""
        return {"truecolor": self.truecolor, "256": self.eight_bit}.get(color_system or "", self.standard)


def _on(*backgrounds: str, text: str = "") -> tuple[Style, ...]:
    """Make styles with these backgrounds and the clearer of black and white text; an empty name gives an empty style."""
    return tuple(Style(bgcolor=name, color=text or _clearer(name)) if name else Style() for name in backgrounds)


def _clearer(background: str) -> str:
    red, green, blue = Color.parse(background).get_truecolor()
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "#ffffff"


# White to orange under black text: clear on dark and light screens, and for the colour-blind.
_ORANGE = ("#ffffff", "#fff0e0", "#ffe0c0", "#ffcf9e", "#ffbd7a", "#ffaa55", "#ff9632", "#f57f17", "#e66101")
ORANGE = Ramp(*(_on(*_ORANGE, text="#000000") for _ in range(3)))  # each its own: a style keeps the codes of its first screen
# Blue to orange, which the colour-blind can tell apart. The middle has no colour: the screen's own background is zero.
_SIXTEEN = _on("bright_blue", "bright_blue", "blue", "", "", "", "yellow", "bright_yellow", "bright_yellow")
DARK = Ramp(
    _on("#2f8dff", "#2a71c6", "#255590", "#20395b", "", "#55381b", "#8e541b", "#c6701a", "#ff8c1a"),
    _on(*(f"color({number})" if number else "" for number in (33, 26, 24, 23, 0, 58, 94, 166, 208))),
    _SIXTEEN,
)
LIGHT = Ramp(
    _on("#2166ac", "#588cc1", "#90b3d5", "#c8d9ea", "", "#f9d7c0", "#f3b080", "#ec8841", "#e66101"),
    _on(*(f"color({number})" if number else "" for number in (25, 67, 110, 188, 0, 223, 216, 209, 166))),
    _SIXTEEN,
)
THEMES = {"dark": DARK, "light": LIGHT}


def theme_of(terminal: str) -> str:
    """Tell whether the terminal is dark or light from COLORFGBG, which many of them set; dark when it is not set."""
    background = terminal.rpartition(";")[2]
    return "light" if background in ("7", "15") else "dark"


def _visible_forms() -> dict[int, str]:
    controls = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
    controls[0x7F] = "␡"
    hidden = [*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    surrogates = range(0xD800, 0xE000)
    return controls | {code: f"<U+{code:04X}>" for code in (*hidden, *surrogates)}


VISIBLE_FORMS = _visible_forms()


def visible(text: str) -> str:
    """Replace control characters (except newline and tab), bidirectional controls and lone surrogates by visible signs."""
    return text.translate(VISIBLE_FORMS)


def visible_line(text: str) -> str:
    """Make `text` visible on one line, so that a file's name cannot pass for a line of our own."""
    return visible(text).replace("\n", "␊").replace("\t", "␉")


def json_line(value: dict[str, Any]) -> str:
    """Write `value` as one line of visible ASCII JSON: harmless on a terminal, and complete for a program."""
    return json.dumps(value).replace("\x7f", "\\u007f") + "\n"


@dataclass(frozen=True, slots=True)
class Shown:
    """A character as shown, and the level of its colour, from 0 to 8."""

    text: str
    level: int


def console_on(file: TextIO) -> Console:
    """Make a Rich console on `file` that reads no markup. NO_COLOR counts when it is not empty."""
    return Console(file=file, highlight=False, markup=False, emoji=False, no_color=bool(os.environ.get("NO_COLOR")))


class ColouredText:
    """Writes characters to `file`, each with a background for its number from `low` to `high`; call `write`, then `close`.

    Without colour (in a pipe, or under NO_COLOR), a line of block characters below each line shows the same numbers.
    """

    def __init__(self, file: TextIO, low: float, high: float, ramp: Ramp) -> None:
        self.console = console_on(file)
        self.low, self.high = low, high
        self.styles = ramp.styles(self.console.color_system)
        self.line: list[Shown] = []
        self.column = 0

    @property
    def is_coloured(self) -> bool:
        """Whether colours are shown instead of block characters."""
        return self.console.color_system is not None and not self.console.no_color

    def legend(self) -> str:
        """The levels from least to greatest, as they are shown."""
        if not self.is_coloured:
            return BLOCKS
        with self.console.capture() as capture:
            self.console.print(Segments([Segment(" ", style) for style in self.styles]), end="")
        return capture.get()

    def write(self, text: str, values: Sequence[float]) -> None:
        """Show `text`, one of `values` for each character; NaN counts as the least."""
        for character, value in zip(text, values, strict=True):
            share = 0.0 if math.isnan(value) else (value - self.low) / (self.high - self.low)
            level = round((LEVELS - 1) * min(1.0, max(0.0, share)))
            shown = "⏎" if character == "\n" else visible(character).replace("\t", "→")
            width = cell_len(shown)
            if self.console.is_terminal and self.column + width > self.console.width:
                self._end_line()
            self.line.append(Shown(shown, level))
            self.column += width
            if character == "\n":
                self._end_line()

    def close(self) -> None:
        """Show a last line that has no line end."""
        if self.line:
            self._end_line()

    def _end_line(self) -> None:
        cells, self.line, self.column = self.line, [], 0
        if self.is_coloured:
            segments = [Segment(cell.text, self.styles[cell.level]) for cell in cells]
            self.console.print(Segments([*segments, Segment.line()]), end="", soft_wrap=True)
            return
        blocks = "".join(BLOCKS[cell.level] * cell_len(cell.text) for cell in cells)
        for row in ("".join(cell.text for cell in cells), blocks.rstrip()):
            self.console.file.write(row + "\n")


def table(file: TextIO, rows: dict[str, str]) -> None:
    """Write names and values in two columns, the second wrapped to the screen's width."""
    console = console_on(file)
    grid = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        grid.add_row(Text(name, style="bold"), Text(visible(value), overflow="fold"))
    console.print(grid)
