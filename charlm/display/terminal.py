"""Text for terminals: made harmless, and coloured by a number for each character. Knows nothing of models.

Text from a corpus or a model is hostile until shown otherwise, so nothing here interprets markup, and everything that a
terminal would obey is replaced by something to see.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table
from rich.text import Text

BLOCKS = " ▁▂▃▄▅▆▇█"
# White to orange under black text, on dark and light screens alike, and for the colour-blind.
RAMP = ("#ffffff", "#fff0e0", "#ffe0c0", "#ffcf9e", "#ffbd7a", "#ffaa55", "#ff9632", "#f57f17", "#e66101")


def _visible_forms() -> dict[int, str]:
    controls = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
    controls[0x7F] = "␡"
    hidden = [*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    surrogates = range(0xD800, 0xE000)
    return controls | {code: f"<U+{code:04X}>" for code in (*hidden, *surrogates)}


VISIBLE_FORMS = _visible_forms()


def visible(text: str) -> str:
    """`text` with control characters (but newline and tab), bidirectional controls and lone surrogates shown, not sent."""
    return text.translate(VISIBLE_FORMS)


@dataclass(frozen=True, slots=True)
class Shown:
    """A character as shown, and how strongly to colour it: a level from 0 to 8."""

    text: str
    level: int


class ColouredText:
    """Writes characters to `file`, the background of each as strong as its number; call `write`, then `close`.

    Where there is no colour (a pipe, NO_COLOR) a line of block characters under each line carries the same numbers.
    """

    def __init__(self, file: TextIO, scale: float) -> None:
        self.console = Console(file=file, highlight=False, markup=False, emoji=False)
        self.scale = scale
        self.line: list[Shown] = []
        self.column = 0

    @property
    def is_coloured(self) -> bool:
        """Whether colours are shown, rather than block characters."""
        return self.console.color_system is not None and not self.console.no_color

    def legend(self) -> str:
        """The steps from nothing to the strongest, as they are shown."""
        if not self.is_coloured:
            return BLOCKS[1:]
        with self.console.capture() as capture:
            self.console.print(Segments([Segment(" ", Style(bgcolor=colour)) for colour in RAMP]), end="")
        return capture.get()

    def write(self, text: str, values: Sequence[float]) -> None:
        """Show `text`, one of `values` for each character, from 0 to `scale`; NaN and below are not coloured."""
        for character, value in zip(text, values, strict=True):
            level = 0 if math.isnan(value) else round(min(8.0, max(0.0, 8 * value / self.scale)))
            shown = "⏎" if character == "\n" else visible(character).replace("\t", "→")
            width = cell_len(shown)
            if self.console.is_terminal and self.column + width > self.console.width:
                self._end_line()
            self.line.append(Shown(shown, level))
            self.column += width
            if character == "\n":
                self._end_line()

    def close(self) -> None:
        """Show what is left of a last line without an end."""
        if self.line:
            self._end_line()

    def _end_line(self) -> None:
        cells, self.line, self.column = self.line, [], 0
        if self.is_coloured:
            styles = [Style(color="#000000", bgcolor=colour) for colour in RAMP]
            segments = [Segment(cell.text, styles[cell.level]) for cell in cells]
            self.console.print(Segments([*segments, Segment.line()]), end="", soft_wrap=True)
            return
        blocks = "".join(BLOCKS[cell.level] * cell_len(cell.text) for cell in cells)
        for row in ("".join(cell.text for cell in cells), blocks.rstrip()):
            self.console.file.write(row + "\n")


def table(file: TextIO, rows: dict[str, str]) -> None:
    """Names and what they stand for, in two columns, the second wrapped to the screen's width."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    grid = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        grid.add_row(Text(name, style="bold"), Text(visible(value), overflow="fold"))
    console.print(grid)
