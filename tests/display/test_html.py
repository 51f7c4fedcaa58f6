"""The page of `inspect-cells`: it holds its data, fetches and obeys nothing, and works in a browser."""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from charlm.display.html import STEPS, folded, page, quantised
from charlm.inspection.findings import Delta, Finding, Passage, Saturation, Snippet, UnitId, UnitView
from charlm.model import cells
from charlm.model.cells import Signal
from tests.browser import Browser, Tab, installed

HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'>",
    '"><svg onload="window.hacked = 3">',
    "<!--<script>",
    "]]>&lt;b&gt;&#60;i&#62;",
    "{{style}}{{data}}",
    "\u202eevil\u2066 \x1b[31m \0 \ud800 \u2028\u2029 \x9b \x7f \ufeff",
)
LSTM = tuple(signal.name for signal in cells.LSTM.signals)


def finding(unit: int = 7, signal: str = "c", feature: str = "in_quote", *, layer: int = 1, verdict: str = "used") -> Finding:
    return Finding(
        unit=UnitId(layer=layer, unit=unit, signal=signal),
        feature=feature,
        statistic="auroc",
        score=0.987,
        confirmed_score=0.975,
        p_value=0.001,
        baseline_gain=0.21,
        delta_nats=Delta(present=0.125, absent=-0.004),
        verdict=verdict,
    )


def passage_of(text: str, guesses: int = 3) -> Passage:
    symbols = tuple(sorted(set(text)))
    n = len(text)
    surprise = np.linspace(0.5, 3.0, n, dtype=np.float32)
    surprise[0] = np.nan
    return Passage(
        start=1000,
        pieces=tuple(text),
        surprise=surprise,
        expected=np.arange(n * guesses).reshape(n, guesses) % len(symbols),
        probabilities=np.tile(np.float32([0.5, 0.25, 0.125][:guesses]), (n, 1)),
        symbols=symbols,
    )


def view(
    text: str,
    unit: int = 7,
    signals: tuple[Signal, ...] = cells.LSTM.signals,
    findings: tuple[Finding, ...] = (),
    seed: int = 0,
) -> UnitView:
    rng = np.random.default_rng(seed + unit)
    lows = np.array([signal.low for signal in signals])[:, None]
    values = (lows + (1 - lows) * rng.random((len(signals), len(text)))).astype(np.float32)
    return UnitView(
        layer=1,
        unit=unit,
        signals=signals,
        values=values,
        histogram=rng.integers(0, 900, (len(signals), 1000)),
        snippets=tuple((Snippet(start=1000, pieces=tuple(text[:9]), values=row[:9], peak=3),) for row in values),
        share_on=rng.random(len(signals)),
        findings=findings,
    )


def example(text: str, **changes: object) -> str:
    """A page with three units, the first two of them found, and a finding about a unit that is not there."""
    found = (finding(), finding(8, "f", "column", verdict="confirmed"), finding(99, "h", "digit", verdict="correlated"))
    values = {
        "title": "an example",
        "passage": passage_of(text),
        "units": [view(text, 7, findings=found[:1]), view(text, 8, findings=found[1:2]), view(text, 9)],
        "ranked": found,
        "gates": [Saturation(layer=1, gate="f", left=np.array([0.1, 0.4, 0.0]), right=np.array([0.8, 0.2, 0.05]))],
        "notes": ["digit: left out, the text has none"],
    }
    return page(**(values | changes))


class Parsed(HTMLParser):
    """What a browser would make of a page: its elements, and what is in its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: dict[str, str] = {}
        self.words: list[str] = []
        self.key = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.key = (dict(attrs).get("id") or tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self.key = ""

    def handle_data(self, data: str) -> None:
        if self.key:
            self.inline[self.key] = self.inline.get(self.key, "") + data
        else:
            self.words.append(data)

    @property
    def data(self) -> dict:
        return json.loads(self.inline["data"])

    def array(self, place: list[int], kind: str) -> np.ndarray:
        """An array of the page's block by its place."""
        block = zlib.decompress(base64.b64decode(self.inline["block"]))
        return np.frombuffer(block, kind, place[1], place[0])


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_element(text: str):
    """Whatever title, notes, features and texts say, the page has the same elements with the same attributes."""
    shown = Parsed(
        example(
            text,
            title=text,
            notes=[text],
            ranked=[finding(feature=text)],
            units=[view(text, findings=(finding(feature=text),))],
        )
    )
    plain = Parsed(example("plain text", ranked=[finding()], units=[view("plain text", findings=(finding(),))]))
    assert shown.elements == plain.elements
    assert [tag for tag, _ in shown.elements].count("script") == 3
    assert shown.inline["script"] == plain.inline["script"]
    assert shown.inline["style"] == plain.inline["style"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_never_alive(text: str):
    """Nothing from outside reaches the page unescaped, nor is there anything that hides, or that UTF-8 does not take."""
    document = example(text, title=text, notes=[text], ranked=[finding(feature=text)])
    document.encode("utf-8")
    assert not set(document) & {"\u202e", "\u2066", "\x1b", "\0", "\u2028", "\u2029", "\x9b", "\x7f", "\ufeff", "\r"}
    assert text not in document or not set(text) & set("<>&\"'")
    parsed = Parsed(document)
    assert not set(parsed.inline["data"]) & set("<>&")
    assert parsed.inline["data"].isascii()
    words = "".join(parsed.words)
    for fragment in ("</script>", "<img", "<svg", "{{"):
        assert (fragment in text) == (fragment in words), "escaped, it is there to be read"


def test_what_cannot_be_seen_is_shown():
    """Invisible characters are written out, and every character has its code point and its name."""
    text = "a\n\t\u202e\x1b\0\ud800\u2028\u00ad\u200d\u3164é"
    table = Parsed(example(text)).data["characters"]
    shown = [shown for shown, _ in table]
    assert shown == ["a", "\n", "\t", "<U+202E>", "␛", "␀", "<U+D800>", "<U+2028>", "<U+00AD>", "<U+200D>", "\u3164", "é"]
    called = dict(zip(text, (name for _, name in table), strict=True))
    assert called["a"] == "U+0061 LATIN SMALL LETTER A"
    assert called["\n"] == "U+000A LINE FEED"
    assert called["\ud800"] == "U+D800"


def test_the_policy_allows_the_pages_own_style_and_script_only():
    """The policy's hashes are those of the inlined texts; everything else is forbidden, and no attribute needs it."""
    parsed = Parsed(example("some text"))
    policy = next(attrs["content"] for _, attrs in parsed.elements if attrs.get("http-equiv") == "Content-Security-Policy")
    digests = {
        key: base64.b64encode(hashlib.sha256(parsed.inline[key].encode()).digest()).decode() for key in ("script", "style")
    }
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests['script']}'; style-src 'sha256-{digests['style']}'; "
        "base-uri 'none'; form-action 'none'"
    )
    first = [tag for tag, _ in parsed.elements].index("meta")
    assert parsed.elements[first + 1][1].get("http-equiv"), "nothing but the encoding comes before the policy"
    for _, attrs in parsed.elements:
        assert not [name for name in attrs if name.startswith("on") or name == "style"]


def test_the_page_fetches_nothing():
    """No address, import or loading element is anywhere in the page, but for the name of SVG."""
    document = example("some text")
    parsed = Parsed(document)
    assert set(re.findall(r"https?://[^\"'\s]*", document)) == {"http://www.w3.org/2000/svg"}
    assert not {tag for tag, _ in parsed.elements} & {"link", "img", "iframe", "object", "embed", "base", "audio", "video"}
    assert not [attrs for _, attrs in parsed.elements if {"src", "href", "srcset", "action"} & set(attrs)]
    assert "url(" not in parsed.inline["style"]
    assert "@import" not in parsed.inline["style"]


def test_the_script_only_sets_text():
    """The script never turns a string into markup or code, and cannot end the element that it is in."""
    script = resources.files("charlm.display").joinpath("page.js").read_text(encoding="utf-8")
    for banned in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "</", "<!--", "fetch("):
        assert banned not in script, banned


@pytest.mark.parametrize("least", [-1.0, 0.0])
def test_values_survive_to_half_a_step(least: float):
    """A value read back from its step is off by half a step at most; a range's ends and its middle are exact."""
    values = np.linspace(least, 1, 1001)
    steps = quantised(values, least)
    back = least + steps.astype(float) / STEPS * (1 - least)
    assert np.abs(back - values).max() <= (1 - least) / STEPS / 2 + 1e-12
    assert quantised(np.array([least, (1 + least) / 2, 1.0, np.nan, -9.0, 9.0]), least).tolist() == [0, 127, 254, 255, 0, 254]


@pytest.mark.parametrize("has_labels", [False, True])
def test_the_page_knows_whether_labels_are_expected(has_labels):
    """What is likely after a character is the next one, or the label: the page says which."""
    passage = replace(passage_of("so it\tgood\n"), has_labels=has_labels)
    parsed = Parsed(example("so it\tgood\n", passage=passage))
    assert parsed.data["hasLabels"] is has_labels


def test_the_page_has_the_data_it_was_given():
    """Unpacked, the passage, the units' signals, their snippets and histograms are those that went in."""
    text = "One\ttwo\nthree, <four>.\n" * 3
    passage, unit = passage_of(text), view(text)
    parsed = Parsed(example(text, passage=passage, units=[unit]))
    data = parsed.data
    pieces = [data["characters"][number][0] for number in parsed.array(data["pieces"], "<u4")]
    assert "".join(pieces) == text
    np.testing.assert_array_equal(parsed.array(data["surprise"], "<f4"), passage.surprise)
    np.testing.assert_array_equal(parsed.array(data["expected"], "<u4"), passage.expected.ravel())
    np.testing.assert_array_equal(parsed.array(data["probabilities"], "<f4"), passage.probabilities.ravel())
    for number, signal in enumerate(data["units"][0]["signals"]):
        assert (signal["name"], signal["low"]) == (LSTM[number], cells.LSTM.signals[number].low)
        width = (1 - signal["low"]) / STEPS
        back = signal["low"] + parsed.array(signal["values"], "u1") * width
        np.testing.assert_allclose(back, unit.values[number], atol=width / 2 + 1e-6)
        bars = parsed.array(signal["histogram"], "<u4")
        assert (len(bars), bars.sum()) == (50, unit.histogram[number].sum())
        (snippet,) = signal["snippets"]
        assert len(parsed.array(snippet["values"], "u1")) == len(parsed.array(snippet["pieces"], "<u4")) == 9


@pytest.mark.parametrize("bins", [1, 7, 50, 64, 1000])
def test_folding_a_histogram_keeps_its_sum(bins: int):
    """A histogram of any number of bins is folded to 50 bars at most, and counts as many."""
    histogram = np.arange(1, bins + 1)
    assert folded(histogram).sum() == histogram.sum()
    assert len(folded(histogram)) == min(bins, 50)


def test_a_gru_and_what_is_no_number_have_a_page():
    """Signals of other cells, and scores or values that are no numbers, make a page all the same."""
    unit = view("abc", signals=cells.GRU.signals)
    unit.values[0, 1] = np.nan
    bad = Finding(
        unit=UnitId(layer=1, unit=7, signal="h"),
        feature="x",
        statistic="spearman",
        score=float("nan"),
        confirmed_score=float("nan"),
        p_value=float("nan"),
        baseline_gain=float("inf"),
        delta_nats=None,
        verdict="correlated",
    )
    data = Parsed(example("abc", units=[unit], ranked=[bad])).data
    assert [signal["low"] for signal in data["units"][0]["signals"]] == [-1, 0, 0, -1]
    assert data["ranked"][0]["score"] is None


def test_a_large_page_stays_small():
    """20,000 characters, 64 units and 6 signals of noise, which does not compress, make less than 12 MB."""
    text = "It is a truth universally acknowledged, that...\n" * 417
    units = [view(text, unit) for unit in range(64)]
    assert len(page(title="t", passage=passage_of(text), units=units, ranked=[], gates=[], notes=[])) < 12e6


def luminance(colour: str) -> float:
    """The relative luminance of #rgb or #rrggbb (WCAG 2)."""
    digits = "".join(2 * digit for digit in colour[1:]) if len(colour) == 4 else colour[1:]
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_coloured_text_can_be_read():
    """At each of the 16 steps of colour, light and dark, the text's contrast is 4.5 or more; the ends are the ramps' ends."""
    style = resources.files("charlm.display").joinpath("page.css").read_text(encoding="utf-8")
    colour = r"light-dark\((#\w+), (#\w+)\)"
    rules = re.findall(rf"^\.([np]\d) \{{ background: {colour}; color: {colour}; \}}$", style, re.MULTILINE)
    assert len(rules) == 16
    for name, *colours in rules:
        for paper, ink in zip(colours[:2], colours[2:], strict=True):
            darker, lighter = sorted((luminance(paper), luminance(ink)))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{name}: {ink} on {paper}"
    ends = {name: tuple(colours[:2]) for name, *colours in rules}
    assert (ends["n8"], ends["p8"]) == (("#2166ac", "#2f8dff"), ("#e66101", "#ff8c1a"))


TEXT = 'He said "so"\tand\nleft.\n\n' * 30


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = installed()
    if path is None:
        pytest.skip("there is no Chromium or Chrome to look at the page with")
    with Browser(path, tmp_path_factory.mktemp("profile")) as started:
        yield started


def opened(browser: Browser, document: str, **options: object) -> Tab:
    file = Path("page.html").resolve()
    file.write_text(document, encoding="utf-8", newline="\n")
    return browser.open(file, **options)


def colours(tab: Tab) -> list[str]:
    return tab.evaluate("[...document.querySelectorAll('#text .l span')].map((span) => getComputedStyle(span).backgroundColor)")


def span(place: int) -> str:
    """A selector for the character at `place` of the first line of the passage."""
    return f"#text .l:first-child span:nth-child({place + 1})"


def test_problems_are_noticed(browser: Browser):
    """What breaks the policy is not obeyed, and it, an exception and an error message are all reported as problems."""
    tab = opened(browser, example(TEXT))
    tab.evaluate("document.body.setAttribute('style', 'color: rgb(1, 2, 3)')")
    tab.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hacked = 4'}))")
    tab.evaluate("void setTimeout(() => { throw new Error('an exception'); })")
    tab.evaluate("console.error('an error message')")
    tab.evaluate("new Promise((done) => setTimeout(done, 50))")
    said = "\n".join(tab.problems)
    assert said.count("Content Security Policy") >= 2
    assert "an exception" in said
    assert "an error message" in said
    assert tab.style("body", "color") != "rgb(1, 2, 3)"
    assert tab.evaluate("typeof window.hacked") == "undefined"


def test_hovering_shows_the_character_and_its_values(browser: Browser):
    """The mouse over a character shows its name, its place, every signal there, its surprise and what was expected next."""
    passage, unit = passage_of(TEXT), view(TEXT)
    tab = opened(browser, example(TEXT, passage=passage, units=[unit], ranked=[finding()]))
    tab.hover(span(5))
    shown = tab.text("#inspector")
    assert "U+0069 LATIN SMALL LETTER I" in shown
    assert "1,005" in shown
    for name, value in zip(LSTM, unit.values[:, 5], strict=True):
        row = tab.text("#values").split()
        number = row[row.index("tanh(c)" if name == "c" else name) + 1].replace("−", "-")
        assert float(number) == pytest.approx(value, abs=0.01)
    nats = float(passage.surprise[5])
    assert tab.text("#surprise") == f"{nats:.2f} nats, {nats / np.log(2):.2f} bits"
    assert [percent for percent in ("50 %", "25 %", "13 %") if percent in tab.text("#expected")] == ["50 %", "25 %", "13 %"]
    tab.hover(span(0))
    assert tab.text("#surprise") == "-"
    assert tab.problems == []


def test_up_and_down_switch_units(browser: Browser):
    """The arrows go through the units in the list's order, past those that are not in the page, and the colours follow."""
    tab = opened(browser, example(TEXT))
    before = colours(tab)
    assert tab.text("#name") == "Layer 1, unit 7"
    tab.press("ArrowDown")
    assert tab.text("#name") == "Layer 1, unit 8"
    assert tab.text("#signals [aria-pressed=true]") == "f"
    assert sum(one != other for one, other in zip(before, colours(tab), strict=True)) > len(before) / 2
    tab.press("ArrowDown")
    assert tab.text("#name") == "Layer 1, unit 9"
    tab.press("ArrowDown")
    assert tab.text("#name") == "Layer 1, unit 9"
    tab.press("ArrowUp")
    tab.press("ArrowUp")
    assert colours(tab) == before
    assert tab.evaluate("document.querySelectorAll('#list [aria-selected=true]').length") == 1
    assert "unit 7" in tab.evaluate("document.querySelector('#live').textContent")
    assert tab.problems == []


def test_left_and_right_go_through_the_text(browser: Browser):
    """The arrows move what is inspected by one character, from the first to the last, also where the text has the focus."""
    tab = opened(browser, example("ab\n"))
    names = []
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        tab.evaluate("document.querySelector('#text').focus()")
        tab.press(key)
        names.append(tab.text("#inspector .names").split("\n")[0][:6])
    assert names == ["U+0061", "U+0062", "U+000A", "U+000A", "U+0062"]
    assert tab.text("#text [aria-current]") == "b"
    assert tab.problems == []


def test_every_key_does_what_the_help_says(browser: Browser):
    """s goes round the signals, c stretches the colours, g and ? open and close; while a number is typed, none does."""
    tab = opened(browser, example(TEXT))
    seen = []
    for _ in LSTM:
        seen.append(tab.text("#signals [aria-pressed=true]"))
        tab.press("s")
    assert seen == ["tanh(c)", *LSTM[1:]]
    assert tab.text("#signals [aria-pressed=true]") == "tanh(c)"
    tab.press("c")
    assert tab.evaluate("document.querySelector('#fit').checked")
    for is_open in (True, False):
        tab.press("g")
        assert tab.evaluate("!document.querySelector('#gates').hidden") is is_open
    tab.press("?")
    tab.press("s")
    assert tab.evaluate("document.querySelector('#help').open")
    tab.click("#help button")
    assert not tab.evaluate("document.querySelector('#help').open")
    assert tab.text("#signals [aria-pressed=true]") == "tanh(c)"
    tab.click("#unit")
    for key in ("s", "g", "?", "ArrowLeft"):
        tab.press(key)
    assert tab.text("#signals [aria-pressed=true]") == "tanh(c)"
    assert tab.evaluate("document.querySelector('#gates').hidden")
    assert tab.problems == []


def test_units_are_picked_by_number_mouse_and_address(browser: Browser):
    """Layer and number show a unit or say that the page has not got it; a click and an address show one too."""
    tab = opened(browser, example(TEXT), fragment="#1:9:g")
    assert (tab.text("#name"), tab.text("#signals [aria-pressed=true]")) == ("Layer 1, unit 9", "g")
    for unit, message in (("8", ""), ("99", "Unit 1:99 is not on this page, which has 3 (1:7, 1:8, 1:9).")):
        tab.evaluate(f"document.querySelector('#unit').value = {unit}")
        tab.click("#picker button")
        assert tab.text("#name") == "Layer 1, unit 8"
        assert tab.evaluate("document.querySelector('#picked').textContent") == message
    tab.click("#list li:first-child")
    assert tab.text("#name") == "Layer 1, unit 7"
    assert tab.text("#findings td") == "in_quote"
    tab.press("g")
    tab.hover("#plots .dot")
    assert tab.text("#dot") == "Unit 1:0, f: shut 10 %, open 80 %."
    assert tab.problems == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_does_nothing_in_a_browser(browser: Browser, text: str):
    """A page made of hostile text runs none of it, breaks no rule of its policy, and shows all of it."""
    document = example(text, title=text, notes=[text], ranked=[finding(feature=text)])
    tab = opened(browser, document)
    tab.press("ArrowDown")
    assert tab.evaluate("typeof window.hacked") == "undefined"
    assert tab.evaluate("document.querySelectorAll('#text .l span').length") == len(text)
    assert tab.evaluate("document.querySelectorAll('#text *').length") == len(text) + 1
    assert tab.evaluate("document.scripts.length") == 2, "its data and its script; the block is gone once it is read"
    assert tab.problems == []


def test_light_and_dark(browser: Browser):
    """The page is as light or dark as the system is, until the button says otherwise."""
    for dark in (False, True):
        tab = opened(browser, example(TEXT), dark=dark)
        papers = []
        for _ in range(3):
            papers.append(tab.style("#text", "backgroundColor"))
            tab.click("#theme-button")
        white, black = "rgb(255, 255, 255)", "rgb(28, 28, 28)"
        assert papers == ([black, white, black] if dark else [white, black, white])
        assert tab.problems == []


@pytest.mark.parametrize("width", [1280, 1000, 400])
def test_the_page_fits_its_window(browser: Browser, width: int):
    """Nothing sticks out to the side, on a screen or on a telephone, however long a line is."""
    tab = opened(browser, example("x" * 600 + TEXT), width=width)
    tab.press("g")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.problems == []


def test_a_page_with_almost_nothing_works(browser: Browser):
    """One unit, one signal, no findings, no gates, no notes and a text of one character are a page."""
    unit = view("a", signals=cells.RNN.signals)
    tab = opened(browser, page(title="t", passage=passage_of("a", 1), units=[unit], ranked=[], gates=[], notes=[]))
    for key in ("ArrowDown", "ArrowRight", "s", "g", "c"):
        tab.press(key)
    assert tab.text("#name") == "Layer 1, unit 7"
    assert tab.evaluate("document.querySelector('#gates').hidden && document.querySelector('#gates-button').hidden")
    assert tab.problems == []


def test_part_of_a_character_has_a_place_of_its_own(browser: Browser):
    """A byte that is no character yet is a sliver of colour that can be pointed at."""
    passage = Passage(
        start=0,
        pieces=("", "é"),
        surprise=np.float32([np.nan, 1]),
        expected=np.array([[0], [1]]),
        probabilities=np.float32([[0.9], [0.8]]),
        symbols=("\\xc3", "\\xa9"),
    )
    tab = opened(browser, example("ab", passage=passage))
    assert tab.evaluate("document.querySelector('#text .l span').getBoundingClientRect().width") > 2
    tab.hover(span(0))
    assert "part of a character" in tab.text("#inspector")
    assert tab.problems == []


def test_a_long_passage_changes_units_fast(browser: Browser):
    """With 20,000 characters a change of unit takes less than half a second, even on a machine that is busy."""
    text = "It is a truth universally acknowledged, that a single man\n" * 345
    tab = opened(browser, example(text))
    times = tab.evaluate(
        "[1, -1, 1, -1, 1].map((by) => { const start = performance.now(); step(by); return performance.now() - start; })"
    )
    assert min(times) < 500, times
