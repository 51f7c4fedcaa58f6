"""`charlm inspect-cells` from its options to what people and programs get."""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.color import Color
from safetensors.numpy import load_file

from benchmarks.machine import last_of_each
from charlm.cli import looking
from charlm.display.terminal import BLOCKS, DARK, LIGHT
from charlm.inspection.findings import VERDICTS, Report
from charlm.model import cells
from tests.commands import COMMAND, is_error, latch_run, on_terminal, running, trained
from tests.conftest import CELLS, Result
from tests.inspection.reference import SIGNALS, mode_text

KEYS = [
    *("layer", "unit", "signal", "feature", "statistic", "score", "confirmed_score"),
    *("p_value", "baseline_gain", "delta_nats", "verdict"),
]
STORY = "".join(
    f'{who} said "{what} (and {number} more)" to Mr. Page.\n' + "What now? The cat sat.\n\n" * (number % 2)
    for number, who in enumerate(("Anna", "Ben", "Old Cora") * 15)
    for what in ("yes", "no", "well, maybe not")
)
HELD_OUT = STORY[len(STORY) // 2 :]
HOSTILE = "\x1b[2J\x1b]0;x\x07</script><script>alert(1)</script>[/nope]\0\u202e한국어 🎉 é\r\n" * 60
FEATURE = ("--feature", r"mode=\[[^\]]*")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For each cell, a model of STORY with two layers of 8 units, half of the text held out."""
    options = ("--num-layers", "2", "--validation-fraction", "0.5")
    return {cell: str(trained(tmp_path_factory.mktemp(cell), STORY, "--cell", cell, *options)) for cell in CELLS}


@pytest.fixture(scope="module")
def latch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose unit 0:3 is known to hold a mode."""
    return str(latch_run(tmp_path_factory.mktemp("latch")))


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of a text full of what terminals and browsers obey."""
    return str(trained(tmp_path_factory.mktemp("hostile"), HOSTILE))


@pytest.fixture
def inspect(charlm, runs) -> Callable[..., Result]:
    """Run `charlm inspect-cells` on the held-out part of STORY, from standard input."""

    def run(*arguments: str, cell: str = "lstm", text: str = "-", stdin: str = HELD_OUT) -> Result:
        return charlm("inspect-cells", text, "-c", runs[cell], *arguments, stdin=stdin.encode())

    return run


def findings(result: Result) -> list[dict]:
    assert result.status == 0, result.err
    return json.loads(result.text)["findings"]


def levels_of(screen: str) -> tuple[str, list[int]]:
    """The text that stands under a legend, and the level of its blocks at each character."""
    rows = screen.partition("\n\n")[2].removesuffix("\n\n").split("\n")
    shown = list(zip(rows[::2], rows[1::2], strict=True))
    return "".join(row for row, _ in shown), [BLOCKS.index(block) for row, blocks in shown for block in blocks.ljust(len(row))]


@pytest.mark.parametrize("cell", CELLS)
def test_json_has_the_names_that_other_programs_rely_on(inspect, cell):
    """--json is one line with the best unit of each feature, every value of its type, and nothing else."""
    result = inspect("--json", cell=cell)
    found = findings(result)
    assert result.text.count("\n") == 1
    assert list(json.loads(result.text)) == ["findings"]
    assert len({each["feature"] for each in found}) == len(found) > 5
    for each in found:
        assert list(each) == KEYS
        assert list(each["delta_nats"]) == ["present", "absent"]
        assert (each["layer"] in (0, 1), each["unit"] in range(8)) == (True, True)
        assert each["signal"] in SIGNALS[cell]
        assert each["p_value"] is None or 0 < each["p_value"] <= 1
        assert (each["statistic"] == "auroc") == (abs(each["score"]) >= 0.5 and each["feature"] not in GRADED)


GRADED = {"column", "indentation", "bracket_depth", "position_in_word", "position_in_sentence", "position_in_paragraph"}


def test_the_unit_that_is_known_comes_first(charlm, latch):
    """Findings are ordered by verdict, then by strength; the one unit that holds a mode is found, confirmed and used."""
    more = ("--feature", "a=a", "--feature", "opening=[[]", "--feature", "closing=]")
    text = mode_text(6000, seed=5).encode()
    found = findings(charlm("inspect-cells", "-", "-c", latch, "--json", *FEATURE, *more, stdin=text))
    first = found[0]
    assert (first["layer"], first["unit"], first["feature"], first["verdict"]) == (0, 3, "mode", "used")
    assert first["confirmed_score"] > 0.95
    assert first["delta_nats"]["present"] > 0
    assert {each["verdict"] for each in found} >= {"used", "correlated"}
    assert all(each["delta_nats"] == {"present": None, "absent": None} for each in found if each["verdict"] == "correlated")
    strength = {"auroc": lambda score: 2 * abs(score) - 1, "spearman": abs}
    order = [(list(VERDICTS).index(each["verdict"]), -strength[each["statistic"]](each["score"])) for each in found]
    assert order == sorted(order)


def test_the_table_has_what_json_has(inspect):
    """People read the same findings in the same order, then the best units in colour, each once."""
    screen = inspect("--top", "2", "-n", "90").text
    found = [(each["feature"], f"{each['layer']}:{each['unit']}") for each in findings(inspect("--json"))]
    assert re.findall(r"^ *(\w+) +(\d:\d) .*correlated *$", screen, re.MULTILINE) == found
    assert re.findall(r"^unit (\d:\d) ", screen, re.MULTILINE) == list(dict.fromkeys(unit for _, unit in found))[:2]


def test_the_text_is_a_file_a_pipe_or_the_held_out_part(inspect, charlm, runs, tmp_path: Path):
    """The same characters give the same findings wherever they are from; the held-out part is said on standard error."""
    (tmp_path / "t.txt").write_text(HELD_OUT)
    piped = inspect("--json")
    default = charlm("inspect-cells", "--json", "-c", runs["lstm"])
    assert piped.out == inspect("--json", text="t.txt").out == default.out
    assert f"text: the held-out part of its corpus, from {runs['lstm']}/corpus.bin\n" in default.err
    assert "held-out" not in piped.err


def test_a_folder_is_a_text_too(inspect, charlm, runs, tmp_path: Path):
    """Its files are one text, those that --glob names, or else those that the model learned from."""
    for name in ("a.txt", "b.txt", "c.md"):
        (tmp_path / "d" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "d" / name).write_text(HELD_OUT)
    for globs, files in (([], "ab"), (["--glob", "*.md", "--glob", "b*"], "bc")):
        (tmp_path / "whole.txt").write_text((HELD_OUT.rstrip("\n") + "\n") * (len(files) - 1) + HELD_OUT)
        found = charlm("inspect-cells", "d", "--json", "-c", runs["lstm"], *globs)
        assert found.out == inspect("--json", text="whole.txt").out != b""


def test_a_label_that_changes_too_seldom_has_no_p(charlm, latch):
    """It is said, its row shows no number, and JSON has null; what can be tested has its p."""
    text = "".join(mode_text(1000, seed=number) + "a" * 1000 for number in range(4)).encode()
    words = ("inspect-cells", "-", "-c", latch, *FEATURE, "--feature", "run=a{50,}", "--top", "0")
    result = charlm(*words, "--json", stdin=text)
    p_values = {each["feature"]: each["p_value"] for each in findings(result)}
    assert p_values["run"] is None
    assert 0 < p_values["mode"] <= 1
    assert re.search(r"^not tested, the label changes too seldom in 8,000 characters: .*\brun\b", result.err, re.MULTILINE)
    assert "nothing could be tested" not in result.err
    (row,) = re.findall(r"^ *run .*$", charlm(*words, stdin=text).text, re.MULTILINE)
    assert len(row.split()) == 7  # no p, and no rise in loss


def test_where_nothing_can_be_tested_it_is_one_line(charlm, latch):
    """That says so, and what to give instead; no table stands there without a row."""
    text = ("a" * 400 + "b" * 400) * 5
    result = charlm("inspect-cells", "-", "-c", latch, "--feature", "run=a{50,}", "--top", "0", stdin=text.encode())
    assert result.status == 0
    assert f"nothing could be tested in {len(text):,} characters: give a longer text" in result.err
    report = Report(findings=(), left_out=(), untested=(), saturation=(), num_characters=3000)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        looking.print_report(None, report, json=False, is_table=True)
    assert (out.getvalue(), "nothing could be tested in 3,000 characters" in err.getvalue()) == ("", True)


def test_a_model_without_its_corpus_asks_for_a_text(charlm, runs, tmp_path: Path):
    """Where the held-out part cannot be found, the error says what to name instead."""
    model = tmp_path / "alone.safetensors"
    model.write_bytes((Path(runs["lstm"]) / "model.safetensors").read_bytes())
    is_error(charlm("inspect-cells", "-c", str(model)), 1, "data/", "TEXT")


def test_neither_threads_nor_the_run_change_a_number(inspect):
    """Findings are a function of the model, the text and the seed."""
    one = findings(inspect("--json", "--threads", "1"))
    assert one == findings(inspect("--json", "--threads", "3"))
    other = findings(inspect("--json", "--seed", "7"))
    assert [each["score"] for each in other] == [each["score"] for each in one]


def test_only_as_much_is_read_as_is_wanted(inspect):
    """--max-characters is as if the text ended there, and says so; 0 is all."""
    cut = inspect("--json", "--max-characters", "2500")
    assert cut.out == inspect("--json", stdin=HELD_OUT[:2500]).out
    assert "only the first 2,500 of" in cut.err
    assert inspect("--json", "--max-characters", "0").out == inspect("--json").out


def test_a_feature_of_ones_own_is_like_any_other(inspect):
    """--feature adds what an expression covers, and a built-in feature said again finds the same unit."""
    found = {
        each.pop("feature"): each
        for each in findings(inspect("--json", "--feature", r"number=\d", "--feature", "vowel=(?i)[aeiou]"))
    }
    assert {"number", "vowel"} < found.keys()
    assert found["number"] == found["digit"]


@pytest.mark.parametrize("options", [(), ("--json",), ("--html", "x.html")])
def test_a_feature_that_the_text_has_not_is_left_out_and_said(inspect, options):
    """What never matches is named on standard error, whatever is shown."""
    result = inspect("--feature", "never=qqq", *options)
    assert result.status == 0
    (line,) = [line for line in result.err.splitlines() if line.startswith("left out, not in the text: ")]
    assert line.endswith(", never")
    assert ", inside_url, " in line
    assert b"never" not in result.out


BAD_FEATURES = ["vowel", "vowel=", "=a", "vowel=[", "digit=x", "2x=a", "a b=c", "x\x1b=a"]


@pytest.mark.parametrize("feature", BAD_FEATURES)
def test_a_feature_that_cannot_be_is_a_usage_error(inspect, feature):
    """No name, no expression, a broken one, or a name that is taken: one line, before any work."""
    result = inspect("--feature", feature)
    is_error(result, 2, "--feature")
    assert "\x1b" not in result.err


def test_two_features_of_one_name_are_a_usage_error(inspect):
    """A name can be given once."""
    is_error(inspect("--feature", "x=a", "--feature", "x=b"), 2, "same name")


@pytest.mark.parametrize(("cell", "signal"), [(cell, signal) for cell in CELLS for signal in (None, *SIGNALS[cell])])
def test_what_is_shown_of_a_unit_is_what_it_did(inspect, cell, signal):
    """--show writes the text over blocks with the levels of the saved activations, c as tanh(c), by default c or else h."""
    options = () if signal is None else ("--signal", signal)
    signal = signal or SIGNALS[cell][0]
    screen = inspect("--show", "1:5", *options, "-n", "300", "--save-activations", "a.safetensors", cell=cell).text
    head, scale = screen.split("\n")[:2]
    assert head == f"unit 1:5  {'tanh(c)' if signal == 'c' else signal}"
    low = -1 if signal in "chgn" else 0
    values = load_file("a.safetensors")[f"layer1.{signal}"][:, 5]
    values = np.tanh(values) if signal == "c" else values
    match = re.fullmatch(r"(-?\d)  ▁▂▃▄▅▆▇█ 1, above (\S+) for (\d+)% of the time; characters ([\d,]+) to ([\d,]+)", scale)
    assert match is not None, scale
    assert (int(match[1]), float(match[2])) == (low, (low + 1) / 2)
    assert int(match[3]) == pytest.approx(100 * (values > (low + 1) / 2).mean(), abs=0.51)
    start, stop = (int(number.replace(",", "")) for number in match.group(4, 5))
    assert stop - start == 300
    text, levels = levels_of(screen)
    assert text.replace("⏎", "\n") == HELD_OUT[start:stop]
    expected = (values[start:stop] - low) / (1 - low) * 8
    assert np.abs(np.array(levels) - expected).max() < 0.51


WRONG = [
    (("--show", "2:0"), "lstm", "the layer"),
    (("--show", "0:8"), "lstm", "the unit"),
    (("--show", "-1:0"), "lstm", "'-1:0'"),
    (("--show", "3"), "lstm", "LAYER:UNIT"),
    (("--show", "0:1", "--signal", "q"), "lstm", "c, h, i, f, o, g"),
    (("--show", "0:1", "--signal", "c"), "gru", "h, r, z, n"),
    (("--show", "0:1", "--signal", "i"), "rnn", "'i'"),
    (("--show", "0:1", "--json"), "lstm", "--json"),
    (("--gates", "--json"), "lstm", "--json"),
    (("--save-activations", "page.html"), "lstm", "the page of --html"),
    (("--signal", "h"), "lstm", "--show"),
    (("--html", "nowhere/x.html"), "lstm", "nowhere"),
    (("--html", "."), "lstm", "--html"),
    (("--save-activations", "."), "lstm", "--save-activations"),
    (("--theme", "blue"), "lstm", "--theme"),
    (("--top", "-1"), "lstm", "--top"),
    (("--length", "0"), "lstm", "--length"),
    (("--max-characters", "-1"), "lstm", "--max-characters"),
]


@pytest.mark.parametrize(
    ("options", "cell", "fragment"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, tuple) else None
)
def test_what_cannot_be_meant_is_a_usage_error_before_any_work(inspect, options, cell, fragment, tmp_path: Path):
    """A unit, signal or place that there is not is one line and status 2, and no file is written."""
    is_error(inspect(*last_of_each("--html", "page.html", *options), cell=cell), 2, fragment)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--html", "--save-activations"])
def test_the_model_itself_is_never_written_over(inspect, runs, option):
    """A target that is the model's own file is a usage error, and the model is what it was."""
    model = Path(runs["lstm"])
    model = model / "model.safetensors" if model.is_dir() else model
    before = model.read_bytes()
    is_error(inspect(option, str(model)), 2, "the model itself")
    assert model.read_bytes() == before


@pytest.mark.parametrize("cell", CELLS)
def test_gates_are_counted_as_they_were(charlm, inspect, latch, cell):
    """--gates says of each gate of each layer how much of the time it is nearly shut and nearly open; an RNN has none."""
    arguments = ("--gates", "--save-activations", "a.safetensors")
    if cell == "lstm":
        result = charlm("inspect-cells", "-", "-c", latch, *arguments, stdin=mode_text(3000).encode())
    else:
        result = inspect(*arguments, cell=cell)
    shown = re.findall(r"layer (\d), gate (.): below 0.1 (\d+)% of the time, above 0.9 (\d+)%, on average\n", result.text)
    values = load_file("a.safetensors")
    gates = [signal.name for signal in cells.CELLS[cell].signals if signal.low == 0] * (1 if cell == "lstm" else 2)
    assert [gate for _, gate, _, _ in shown] == gates
    for layer, gate, shut, wide in shown:
        mine = values[f"layer{layer}.{gate}"]
        assert int(shut) == pytest.approx(100 * (mine < 0.1).mean(), abs=0.6)
        assert int(wide) == pytest.approx(100 * (mine > 0.9).mean(), abs=0.6)
    assert ("has no gates" in result.err) == (not gates)


def test_the_page_is_one_file_that_needs_no_other(inspect, tmp_path: Path):
    """--html replaces FILE by a page with every finding, named on standard error, and nothing else."""
    (tmp_path / "x.html").write_text("old")
    result = inspect("--html", "x.html", "--json")
    page = (tmp_path / "x.html").read_text()
    assert page.startswith("<!doctype html>")
    assert all(each["feature"] in page for each in findings(result))
    assert "Content-Security-Policy" in page
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "<title>t: 2 x 8 LSTM" in page
    assert "page: x.html\n" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]


def test_activations_are_of_every_character(inspect):
    """--save-activations has the ids of the text and, for each, every unit of every signal; it needs no search."""
    result = inspect("--save-activations", "a.safetensors")
    tensors = load_file("a.safetensors")
    assert {name: array.shape[1:] for name, array in tensors.items()} == {
        "ids": (),
        **{f"layer{layer}.{signal}": (8,) for layer in (0, 1) for signal in SIGNALS["lstm"]},
    }
    assert "".join(np.array(sorted(set(STORY)))[tensors["ids"]]) == HELD_OUT
    assert {len(array) for array in tensors.values()} == {len(HELD_OUT)}
    assert result.out == b""
    assert "activations: a.safetensors, " in result.err


BREAKS = {"Ctrl-C": (KeyboardInterrupt(), 130), "a full disk": (OSError(28, "No space left on device"), 1)}


@pytest.mark.parametrize("option", ["--html", "--save-activations"])
@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_off_leaves_the_old_file_and_no_litter(inspect, monkeypatch, tmp_path: Path, option, name):
    """Interrupted while it writes, or out of space, a command ends with one line; the file is as it was."""
    fault, status = BREAKS[name]
    (tmp_path / "x").write_text("old")

    def fail(_descriptor: int) -> None:
        raise fault

    monkeypatch.setattr("charlm.files.os.fsync", fail)
    result = inspect(option, "x")
    assert result.status == status
    assert result.err.splitlines()[-1].startswith("charlm: ")
    assert "Traceback" not in result.err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


@pytest.mark.parametrize("stage", ["reading", "ranking", "testing", "trying"])
def test_an_interrupt_at_any_stage_ends_at_once(inspect, monkeypatch, stage):
    """Ctrl-C while threads are at work is status 130, one line, and no finding."""
    from charlm.display.waiting import Lines

    def interrupted(_lines: Lines, told: str, _fraction: float) -> None:
        if told.startswith(stage):
            raise KeyboardInterrupt

    monkeypatch.setattr(Lines, "tell", interrupted)
    result = inspect("--threads", "2")
    assert (result.status, result.out, result.err) == (130, b"", "charlm: interrupted\n")


def test_hostile_text_is_shown_and_not_obeyed(charlm, hostile_run):
    """What a terminal would obey has a form to see, and wide characters stand over as many blocks."""
    result = charlm("inspect-cells", "-", "-c", hostile_run, "--top", "1", "-n", "200", stdin=HOSTILE.encode())
    assert result.status == 0, result.err
    assert not {character for character in result.text + result.err if not character.isprintable()} - {"\n"}
    assert "␛[2J␛]0;x␇</script><script>alert(1)</script>[/nope]␀<U+202E>한국어 🎉 é␍⏎\n" in result.text


def test_hostile_text_is_dead_in_the_page(charlm, hostile_run, inspect, tmp_path: Path):
    """No text adds an element or a control character to the page."""
    assert charlm("inspect-cells", "-", "-c", hostile_run, "--html", "a.html", "--json", stdin=HOSTILE.encode()).status == 0
    assert inspect("--html", "b.html", "--json").status == 0
    hostile, harmless = ((tmp_path / name).read_text() for name in ("a.html", "b.html"))
    assert hostile.count("<script") == harmless.count("<script")
    assert "alert(1)" not in hostile
    assert not set(hostile) & set("\0\x07\x1b\r\u202e")


def test_a_model_of_bytes_reads_any_file(charlm, tmp_path: Path):
    """A model of bytes is inspected byte by byte, and whole characters are shown."""
    text = ('né "où (1)?" 한\n' * 300).encode() + b"\xff\xfe\0"
    run = trained(tmp_path, text, "--symbols", "byte")
    found = findings(charlm("inspect-cells", "-", "-c", str(run), "--json", stdin=text))
    assert {each["feature"] for each in found} >= {"inside_double_quotes", "inside_parentheses", "column"}
    shown = charlm("inspect-cells", "-", "-c", str(run), "--show", "0:1", "-n", "90", stdin=text).text
    assert 'né "où (1)?" 한⏎\n' in shown


BAD_TEXTS = {
    "short": (b"the cat sat. " * 9, "117 characters", "2,000"),
    "empty": (b"", "no characters"),
    "no UTF-8": (STORY.encode() + b"\xff", "0xFF"),
    "unseen": (STORY.replace("cat", "¢at").encode(), "U+00A2", "such characters in all"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_bad_text_is_one_line_of_error(charlm, runs, tmp_path: Path, name):
    """A text that cannot be looked at is an error that says why."""
    contents, *fragments = BAD_TEXTS[name]
    (tmp_path / "e.txt").write_bytes(contents)
    is_error(charlm("inspect-cells", "e.txt", "-c", runs["lstm"]), 1, *fragments)


@pytest.mark.parametrize("options", [("--show", "1:0"), ("--gates",), ("--save-activations", "a.safetensors")])
def test_a_single_character_can_be_looked_at(inspect, options):
    """What needs no search takes a text of any length."""
    assert inspect(*options, stdin="A").status == 0


def test_unseen_characters_can_be_skipped(inspect):
    """--unknown skip looks at what the model knows, and counts the rest."""
    result = inspect("--json", "--unknown", "skip", stdin="¢" + HELD_OUT.replace("cat", "c¢at"))
    assert result.out == inspect("--json").out
    assert re.search(r"\d+ characters that the model has never seen", result.err)


@pytest.fixture
def shown(runs, tmp_path: Path) -> Callable[..., str]:
    """What `charlm inspect-cells --show` writes to a terminal."""
    (tmp_path / "t.txt").write_text(HELD_OUT)
    return lambda *options, **environment: on_terminal(
        "inspect-cells", "t.txt", "-c", runs["lstm"], "--show", "0:1", "--signal", "h", "-n", "200", *options, **environment
    )


def test_a_terminal_has_blue_to_orange_for_its_own_background(shown):
    """Colours are the dark ramp's or the light one's, by option or by what the terminal says of itself."""
    screens = [
        shown(NO_COLOR="", COLORTERM="truecolor", COLORFGBG="0;15"),
        shown("--theme", "dark", NO_COLOR="", COLORTERM="truecolor", COLORFGBG="0;15"),
    ]
    for screen, ramp in zip(screens, (LIGHT, DARK), strict=True):
        used = set(re.findall(r"48;2;(\d+);(\d+);(\d+)m", screen))
        known = [Color.parse(style.bgcolor.name).get_truecolor() for style in ramp.truecolor if style.bgcolor]
        assert {tuple(map(int, colour)) for colour in used} == {tuple(colour) for colour in known}  # the legend has them all
    assert not set(BLOCKS[1:]) & set("".join(screens))


def test_without_colour_a_terminal_has_the_blocks_of_a_pipe(shown, inspect):
    """With NO_COLOR a terminal shows the very levels that a pipe gets, line by line."""
    plain = re.sub(r"\x1b\[[01]?m", "", shown(NO_COLOR="1"))
    assert "\x1b" not in plain
    assert plain == inspect("--show", "0:1", "--signal", "h", "-n", "200").text


@pytest.mark.parametrize("options", [("--top", "0"), ("--show", "0:1")], ids=" ".join)
def test_a_reader_that_has_gone_ends_it_silently(runs, tmp_path: Path, options):
    """`charlm inspect-cells | head -1` is exit status 141 and no word of it."""
    (tmp_path / "t.txt").write_text(HELD_OUT)
    command = [*COMMAND, "inspect-cells", "t.txt", "-c", runs["rnn"], *options]
    with running(*command) as process:
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == 141
    assert [line for line in error.splitlines() if not line.startswith(("left out, ", "not tested, "))] == []


def test_help_defines_the_verdicts(charlm):
    """Each verdict stands in --help with what it means."""
    text = " ".join(charlm("inspect-cells", "--help").text.split())
    for verdict, meaning in VERDICTS.items():
        assert f"{verdict.upper()}: {meaning}." in text
