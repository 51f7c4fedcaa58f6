"""Text on a terminal: every code point is harmless, and colours and blocks stand where their characters do."""

import io
import json
import re
import unicodedata

import pytest
from rich.cells import cell_len

from charlm.display.terminal import BLOCKS, ORANGE, ColouredText, json_line, table, visible

BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


class Screen(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 24-bit colours, 40 cells wide."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("COLUMNS", "40"), ("LINES", "20")):
        monkeypatch.setenv(name, value)


def is_harmless(character: str) -> bool:
    if character in "\n\t":
        return True
    is_control = unicodedata.category(character) in ("Cc", "Cs")
    return not (is_control or unicodedata.bidirectional(character) in BIDI or character in "\u200e\u200f\u061c")


def test_every_code_point_is_made_harmless():
    """Of all 1,114,112 code points none reaches a terminal that it would obey, and the harmless ones stay."""
    everything = "".join(map(chr, range(0x110000)))
    shown = visible(everything)
    assert {character for character in set(shown) if not is_harmless(character)} == set()
    assert {character for character in set(everything) if is_harmless(character)} <= set(shown)


def test_harmless_text_stays_as_it_is():
    """What no terminal obeys is not touched."""
    for text in ("", "plain\ttext\n", "한국어 🎉 é e\u0301 👩‍👩‍👧", "[/nope][bold]", "\\x1b"):
        assert visible(text) == text


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\x1b", "␛"),
        ("\0", "␀"),
        ("\r", "␍"),
        ("\x7f", "␡"),
        ("\x9b", "<U+009B>"),
        ("\u202e", "<U+202E>"),
        ("\ud800", "<U+D800>"),
    ],
)
def test_controls_have_forms_to_see(character, shown):
    """A control character is replaced by a sign for it."""
    assert visible(f"a{character}b") == f"a{shown}b"


def blocks_of(text: str, values: list[float], scale: float = 8.0) -> list[str]:
    file = io.StringIO()
    screen = ColouredText(file, 0.0, scale, ORANGE)
    screen.write(text, values)
    screen.close()
    return file.getvalue().split("\n")[:-1]


def test_blocks_carry_the_level_of_each_character():
    """Piped, level 0 is a space and level 8 a full block."""
    text, blocks = blocks_of("abcdefghi", [0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert text == "abcdefghi"
    assert blocks == BLOCKS


@pytest.mark.parametrize(
    ("value", "block"), [(-3.0, ""), (float("nan"), ""), (float("inf"), "█"), (1e9, "█"), (0.49, ""), (0.51, "▁")]
)
def test_values_out_of_range_have_the_nearest_level(value, block):
    """NaN and below are not coloured, above the scale is as at its end."""
    assert blocks_of("x", [value]) == ["x", block]


def test_blocks_stand_under_wide_characters_by_cells():
    """A character two cells wide has two blocks, a combining one none, so that columns stay in line."""
    text = "한a\u0301국\x1b語\u202e!"
    row, blocks = blocks_of(text, [8, 1, 1, 2, 3, 4, 5, 6])
    assert row == "한a\u0301국␛語<U+202E>!"
    assert cell_len(row) == cell_len(blocks)
    assert blocks == "██▁▂▂▃▄▄" + "▅" * 8 + "▆"


def test_every_line_has_its_blocks():
    """Lines of text and of blocks alternate, also for empty lines and a last line without an end."""
    rows = blocks_of("a\n\nb", [1.0] * 4)
    assert rows == ["a⏎", "▁▁", "⏎", "▁", "b", "▁"]


def test_markup_is_text(colours):
    """Rich's markup and emoji codes mean nothing in a text."""
    for file in (io.StringIO(), Screen()):
        screen = ColouredText(file, 0.0, 8.0, ORANGE)
        for character in "[/nope][bold]:tada:":
            screen.write(character, [0.0])
        screen.close()
        assert re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()).startswith("[/nope][bold]:tada:\n")


def test_a_terminal_gets_background_colours(colours):
    """With colours the background of each character says its level, on black text."""
    file = Screen()
    screen = ColouredText(file, 0.0, 8.0, ORANGE)
    assert screen.is_coloured
    screen.write("ab", [8.0, 0.0])
    screen.close()
    assert "48;2;230;97;1" in file.getvalue()
    assert file.getvalue().count("38;2;0;0;0;48;2") == 2
    assert not set(BLOCKS[1:]) & set(file.getvalue())
    assert "48;2;255;240;224" in screen.legend()


def test_a_screen_gets_its_own_colours_whatever_came_before(colours, monkeypatch):
    """A screen of 256 colours and one of 16 million, in turn, in one process: each gets codes of its own kind."""
    for many, code, other in (("", "48;5;", "48;2;"), ("truecolor", "48;2;", "48;5;"), ("", "48;5;", "48;2;")):
        monkeypatch.setenv("COLORTERM", many)
        file = Screen()
        screen = ColouredText(file, 0.0, 8.0, ORANGE)
        screen.write("ab", [8.0, 0.0])
        screen.close()
        assert code in file.getvalue()
        assert other not in file.getvalue()


def test_no_color_is_respected(colours, monkeypatch):
    """With NO_COLOR a terminal gets blocks and no escape sequence."""
    monkeypatch.setenv("NO_COLOR", "1")
    file = Screen()
    screen = ColouredText(file, 0.0, 8.0, ORANGE)
    screen.write("ab", [8.0, 4.0])
    screen.close()
    assert file.getvalue() == "ab\n█▄\n"
    assert screen.legend() == BLOCKS


def test_lines_break_at_the_terminals_edge(colours, monkeypatch):
    """On a terminal no line is longer than it, wide characters included, so that blocks stay under their text."""
    monkeypatch.setenv("NO_COLOR", "1")
    file = Screen()
    screen = ColouredText(file, 0.0, 8.0, ORANGE)
    screen.write("한" * 50, [8.0] * 50)
    screen.close()
    rows = file.getvalue().split("\n")[:-1]
    assert max(map(cell_len, rows)) <= 40
    assert sum(row.count("한") for row in rows) == 50


def test_hostile_text_is_harmless_in_colour(colours):
    """The only escape sequences on a terminal are the colours."""
    file = Screen()
    screen = ColouredText(file, 0.0, 8.0, ORANGE)
    screen.write("\x1b[2J\x9b\u202e", [8.0] * 6)
    screen.close()
    assert "\x1b[2J" not in file.getvalue()
    assert "␛" in file.getvalue()


def test_a_table_shows_every_word():
    """Long values are folded and not cut; markup in them is text."""
    file = io.StringIO()
    table(file, {"name": "[/nope] " + "x" * 300, "other": "한" * 100})
    assert "[/nope]" in file.getvalue()
    assert file.getvalue().count("x") == 300
    assert file.getvalue().count("한") == 100


def test_json_is_visible_ascii_and_whole():
    """Whatever a string holds, its JSON obeys no one on a terminal, and reads back as it was."""
    text = "".join(map(chr, (*range(0xDC00), *range(0xE000, 0x110000))))
    line = json_line({"text": text})
    assert set(line[:-1]) <= set(map(chr, range(0x20, 0x7F)))
    assert json.loads(line) == {"text": text}
