"""Files and texts from strangers: damaged, forged, hostile. A file that opens must be whole; a text shown must be harmless."""

import copy
import hashlib
import html.parser
import io
import json
import random
import re
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.figure import KINDS, Figure, copy_of, go_on, new_run, workplace
from benchmarks.reliability.hostile import live
from charlm.checkpoint.model import load_model
from charlm.checkpoint.training import load_trainer
from charlm.cli.app import write_error
from charlm.cli.sample import as_written
from charlm.display.html import page
from charlm.display.progress import Bar, LogLines
from charlm.display.terminal import ORANGE, ColouredText, json_line, table, visible
from charlm.errors import CharlmError, CheckpointError
from charlm.inspection.findings import Passage
from charlm.model.devices import CPU
from charlm.runs.folder import open_run
from charlm.runs.restore import restored
from charlm.tensorfile import METADATA_KEY, NO_DIGEST
from charlm.text.vocab import Vocab
from charlm.training.events import SampleDrawn

PARTS = 50  # all code points are split into this many pages

Open = Callable[[], object]


def _opened(place: Path, kind: str) -> tuple[Path, Path, Open, Open]:
    """Train the smallest possible run of a kind; returns its model and state, and the function that opens each."""
    tiny = ("--hidden-size", "1", "--embedding-size", "1", "--cell", "rnn", "--optimiser", "adamw")
    run = copy_of(new_run(place, *tiny, kind=kind), "run")
    go_on(run)
    opened = open_run(run)
    trainer, _ = restored(opened, lambda _notice: None)
    model, state = run / "model.safetensors", run / "last.safetensors"
    return model, state, lambda: load_model(model, CPU), lambda: load_trainer(state, trainer)


def damage(every: int) -> Figure:
    """Flip every bit of a model and of a training state, and cut both at every length, except those that `every` skips.

    A run of language is tried so, and as many cases are shared by the other kinds of run.
    """
    figure, bits = Figure(), {}
    others = len(KINDS) - 1
    for kind in KINDS:
        _damage(figure, bits, kind, every if kind == "language" else every * others)
    figure.note = ", ".join(f"{name} of {number:,} bits" for name, number in bits.items())
    return figure


def _damage(figure: Figure, bits: dict[str, int], kind: str, every: int) -> None:
    with workplace() as place:
        *paths, open_model, open_state = _opened(place, kind)
        for path, opens in zip(paths, (open_model, open_state), strict=True):
            contents = bytearray(path.read_bytes())
            bits.setdefault(path.name, 8 * len(contents))
            for bit in range(0, 8 * len(contents), every):
                contents[bit // 8] ^= 1 << bit % 8
                path.write_bytes(contents)
                _must_fail(figure, opens, f"{kind}, {path.name}, bit {bit}")
                contents[bit // 8] ^= 1 << bit % 8
            for length in range(0, len(contents), every):
                path.write_bytes(contents[:length])
                _must_fail(figure, opens, f"{kind}, {path.name}, {length} bytes")


def _must_fail(figure: Figure, opens: Open, what: str) -> None:
    figure.cases += 1
    try:
        opens()
    except CheckpointError:
        return
    except Exception as error:
        figure.check(False, f"{what}: {type(error).__name__}: {error}")
        return
    figure.check(False, f"{what}: it opened")


NUMBERS: tuple[Any, ...] = (True, 0, -1, 1, 2.5, 1e308, 10**30, int("9" * 400), float("nan"), float("inf"))
OTHERS: tuple[Any, ...] = ("", "x", "\ud800", "a" * 5000, "../../x", "\x1b[31m", None, [], [[]], {}, {"a": 1}, [0, 10**18])
STRANGE = (*NUMBERS, *OTHERS)


def forged(count: int) -> Figure:
    """Open models, states and run.json that are forged under right hashes.

    What does not open must be an error of one line, in little time and memory.
    """
    figure, chance, found = Figure(), random.Random(5), Forged()
    for kind in KINDS:
        with workplace() as place:
            _forged(figure, chance, place, kind, count // len(KINDS), found)
    figure.check(found.grown < 50, f"{found.grown:.0f} MB above idle")
    figure.check(found.slowest < 5, f"{found.slowest:.1f} s for one file")
    figure.note = f"peak {found.grown:.1f} MB above idle, slowest {found.slowest * 1e3:.0f} ms, {found.opened} opened"
    return figure


@dataclass
class Forged:
    """How many forged files opened, the most seconds that one took, and by how many MB the process grew."""

    opened: int = 0
    slowest: float = 0.0
    grown: float = 0.0


def _forged(figure: Figure, chance: random.Random, place: Path, kind: str, count: int, found: Forged) -> None:
    *paths, open_model, open_state = _opened(place, kind)
    originals = [_taken_apart(path) for path in paths]
    folder = copy_of(paths[0].parent, "told")
    record = json.loads((folder / "run.json").read_text())
    opens = (open_model, open_state, lambda: restored(open_run(folder, threads=1), lambda _notice: None))
    for each in opens:
        each()
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        which = number % 3
        if which < 2:
            paths[which].write_bytes(_forgery(chance, *copy.deepcopy(originals[which])))
        else:
            text = json.dumps(_spoilt(chance, copy.deepcopy(record)))
            (folder / "run.json").write_bytes(_stuffed(chance, text.encode()))
        began = time.perf_counter()
        try:
            opens[which]()
            found.opened += 1
        except CharlmError as error:
            figure.check(len(error.message) < 2000, f"{kind}, case {number}: a message of {len(error.message)} characters")
        except Exception as error:
            figure.check(False, f"{kind}, case {number}: {type(error).__name__}: {error}")
        figure.cases += 1
        found.slowest = max(found.slowest, time.perf_counter() - began)
    found.grown = max(found.grown, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1024)


def _taken_apart(path: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    return json.loads(header.pop("__metadata__")[METADATA_KEY]), header, raw[8 + length :]


def _forgery(chance: random.Random, head: dict[str, Any], header: dict[str, Any], data: bytes) -> bytes:
    """Make a file with one to three things wrong; its hash is right except for one file in eight."""
    head["sha256"] = NO_DIGEST
    for _ in range(chance.randint(1, 3)):
        kind = chance.randrange(8)
        if kind < 3:
            _spoil(chance, head)
        elif kind < 5:
            _spoil(chance, header)
        elif kind == 5:
            header[chance.choice(("zzz", "", "head.bias2", "\ud800"))] = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        elif kind == 6 and len(data) >= 4:
            numbers = np.frombuffer(data, dtype="<f4", count=len(data) // 4).copy()
            numbers[chance.randrange(len(numbers))] = chance.choice((np.nan, np.inf, -np.inf, 3e38, 0.0))
            data = numbers.tobytes() + data[4 * len(numbers) :]
        else:
            at = chance.randrange(len(data) + 1)
            data = chance.choice((data[:at], data + b"\0" * at, data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]))
    text = json.dumps(head, ensure_ascii=chance.random() < 0.5)
    whole = json.dumps({"__metadata__": {METADATA_KEY: text}, **header}, ensure_ascii=True).encode()
    whole = _stuffed(chance, whole)
    contents = len(whole).to_bytes(8, "little") + whole + data
    if chance.random() < 0.05:
        contents = chance.choice((0, 1, 1 << 20, 1 << 40, 2**64 - 1)).to_bytes(8, "little") + contents[8:]
    digest = hashlib.sha256(contents).hexdigest().encode() if chance.random() < 7 / 8 else b"0" * 63 + b"1"
    return contents.replace(NO_DIGEST.encode(), digest)


def _stuffed(chance: random.Random, whole: bytes) -> bytes:
    """Now and then, add so much to a JSON object that Python would make many objects from it."""
    if chance.random() >= 0.02:
        return whole
    filler = chance.choice((b"[],", b"0,", b'"",', b"{},", b'"\xf0\x9f\x98\x80",', b"1e9,"))
    return whole[:-1] + b',"more":[' + filler * (chance.choice((1 << 20, 5 << 20)) // len(filler)) + b"0]}"


def _spoilt(chance: random.Random, tree: dict[str, Any]) -> dict[str, Any]:
    for _ in range(chance.randint(1, 3)):
        _spoil(chance, tree)
    return tree


def _spoil(chance: random.Random, tree: Any) -> None:
    """Change, drop or add one thing anywhere in a JSON tree."""
    while True:
        places = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not places:
            return
        at = chance.choice([place for place in places if place != "sha256"] or places)
        if isinstance(tree[at], dict | list) and tree[at] and chance.random() < 0.8:
            tree = tree[at]
            continue
        action = chance.randrange(4)
        if action == 0 and isinstance(tree, dict):
            del tree[at]
        elif action == 1 and isinstance(tree, dict):
            tree[chance.choice(("more", at + "x"))] = copy.deepcopy(chance.choice(STRANGE))
        elif action == 2 and type(tree[at]) in (int, float):
            tree[at] = chance.choice((tree[at] + 1, tree[at] - 1, -tree[at], tree[at] * 10**9, str(tree[at])))
        else:
            tree[at] = copy.deepcopy(chance.choice(STRANGE))
        return


def code_points(step: int) -> Figure:
    """Send every `step`th code point on each way to a terminal and into a page."""
    figure = Figure()
    everything = [chr(code) for code in range(0, 0x110000, step)]
    text = "".join(everything)
    for name, shows in WAYS.items():
        shown = shows(text)
        figure.check(not live(shown), f"{name}: {sorted(live(shown))[:5]!r}")
        figure.check(len(shown) >= len(everything) // 2, f"{name} shows {len(shown)} characters only")
    for part in range(PARTS):
        _check_page(figure, everything[part::PARTS])
    figure.cases = len(everything)
    figure.note = f"{len(WAYS)} ways to a terminal, and the page"
    return figure


def _sampled(text: str) -> str:
    whole = "".join(character for character in text if not "\ud800" <= character <= "\udfff")
    vocab = Vocab(kind="char", symbols=tuple(map(ord, sorted(set(whole)))), start=0)
    ids = vocab.encode(whole)
    return b"".join(as_written(vocab, iter(ids.tolist()), True)).decode()


def _sampled_bytes(text: str) -> str:
    vocab = Vocab(kind="byte", symbols=tuple(range(256)), start=0)
    return b"".join(as_written(vocab, iter(text.encode("utf-8", "surrogatepass")), True)).decode()


def _coloured(text: str) -> str:
    file = io.StringIO()
    screen = ColouredText(file, 0.0, 1.0, ORANGE)
    screen.write(text, [0.5] * len(text))
    screen.close()
    return file.getvalue()


def _tabled(text: str) -> str:
    file = io.StringIO()
    for start in range(0, len(text), 10_000):
        table(file, {"vocabulary": text[start : start + 10_000]})
    return file.getvalue()


def _on_stderr(work: Callable[[], object]) -> str:
    import contextlib

    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", newline="\n")
    with contextlib.redirect_stderr(file):
        work()
    file.flush()
    return file.buffer.getvalue().decode()  # type: ignore[attr-defined]


def _in_the_log(text: str) -> str:
    sample = SampleDrawn(step=1, seconds=0.0, progress=0.0, text=text)
    return _on_stderr(lambda: (LogLines().notice(text), LogLines().report(sample)))


def _above_the_bar(text: str) -> str:
    def work() -> None:
        bar = Bar()
        bar.bar.disable = True  # the bar itself moves the cursor
        bar.notice(text)
        bar.report(SampleDrawn(step=1, seconds=0.0, progress=0.0, text=text))
        bar.close()

    return re.sub("\r", "", _on_stderr(work))  # tqdm begins and ends a line with it


WAYS: dict[str, Callable[[str], str]] = {
    "visible": visible,
    "a sample": _sampled,
    "a sample of bytes": _sampled_bytes,
    "coloured text": _coloured,
    "a table": _tabled,
    "an error": lambda text: _on_stderr(lambda: write_error(text)),
    "the log": _in_the_log,
    "above the bar": _above_the_bar,
    "JSON": lambda text: json_line({"text": text}),
}


class _Parsed(html.parser.HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count the element; keep its attributes as text."""
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.text += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text.append(data)


def _check_page(figure: Figure, characters: list[str]) -> None:
    """Check that a page with these characters, wherever text may stand, has a plain page's elements and no live control."""
    plain, shown = _page(["a"] * len(characters)), _page(characters)
    figure.check(plain.tags == shown.tags, f"the page has {shown.tags} where {plain.tags} are right")
    found = live("".join(shown.text))
    figure.check(not found, f"the page shows {sorted(found)[:5]!r}")


def _page(characters: list[str]) -> _Parsed:
    passage = Passage(
        start=0,
        pieces=tuple(characters),
        surprise=np.zeros(len(characters)),
        symbols=tuple(characters),
        expected=np.zeros((len(characters), 1), dtype=np.int64),
        probabilities=np.zeros((len(characters), 1)),
    )
    text = "".join(characters)
    parsed = _Parsed()
    parsed.feed(page(title=text, passage=passage, units=[], ranked=[], gates=[], notes=[text]))
    return parsed
