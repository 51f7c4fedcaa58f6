"""Texts and prompts from strangers, as people have them and as they are made to do harm: through every command, none is changed
in silence, and nothing of them is obeyed.
"""

import random
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.reliability.figure import TINY, Figure, command, workplace
from charlm.runs.find import CORPUS
from charlm.runs.record import RUN, read_record
from charlm.text.corpus import open_corpus
from charlm.text.documents import Documents


def lines_of(text: str) -> list[str]:
    """The lines that have anything in them."""
    return [line for line in (each.removesuffix("\r") for each in text.split("\n")) if line.strip()]


# What may be asked for when a text is learned from, and the texts that must come of it, in any order.
WAYS: dict[tuple[str, ...], Callable[[str], list[str]]] = {
    (): lambda text: [text],
    ("--normalize", "NFC"): lambda text: [unicodedata.normalize("NFC", text)],
    ("--normalize", "NFKC"): lambda text: [unicodedata.normalize("NFKC", text)],
    ("--min-count", "3"): lambda text: [text],
    ("--symbols", "word"): lambda text: [text],
    ("--documents", "line"): lines_of,
    ("--documents", "line", "--symbols", "word", "--min-count", "2"): lines_of,
    ("--documents", "file"): lambda text: [text],
}


def hostile_texts(count: int) -> Figure:
    """Send texts and prompts that are broken, odd or meant to do harm through train, sample, eval and info."""
    figure, chance = Figure(), random.Random(6)
    with workplace() as place:
        for number in range(count):
            _send(figure, chance, place, number)
            figure.cases += 1
    return figure


def _send(figure: Figure, chance: random.Random, place: Path, number: int) -> None:
    raw, prompt = _hostile(chance, number), _hostile(chance, number + 1)[:2000].decode("utf-8", "surrogateescape")
    text, run = place / f"{chance.choice(NAMES)}{number}", str(place / "run")
    text.write_bytes(raw)
    is_byte, way = number % 3 == 2, list(WAYS)[number % len(WAYS)]
    kind = ("--symbols", "byte") if is_byte else way
    train = ("train", str(text), *TINY, *kind, "--max-steps", "2", "--out", run, "--overwrite")
    commands = [train] if number % 2 else [(*train, "--json")]
    commands.insert(0, _labelled(chance, text, raw, number, run))
    commands += [
        ("sample", "-c", run, "-p", prompt, "--length", "20", "--unknown", "skip"),
        ("sample", "-c", run, "-p", prompt, "--length", "20", "--json", "--num-samples", "2", "--last", "--stop", "\\n"),
        ("eval", str(text), "-c", run),
        ("info", "-c", run),
    ]
    for arguments in commands:
        done = command(*arguments)
        what = f"text {number}, {' '.join(map(ascii, arguments))[:80]}"
        figure.check(done.status in (0, 1, 2), f"{what}: status {done.status}")
        figure.check("Traceback" not in done.err and "bug in charlm" not in done.err, f"{what}: {done.err[-300:]}")
        figure.check(done.status == 0 or done.err.count("charlm: error: ") == 1, f"{what}: {done.err[-300:]}")
        shown = done.err + (done.out if arguments[0] == "info" or "--json" in arguments else "")
        figure.check(not live(shown), f"{what}: shows {live(shown)!r}")
        if arguments[:2] == train[:2] and "--restore" not in arguments and "--task" not in arguments and done.status == 0:
            figure.check(_texts_of(Path(run)) == _wanted(raw, done.err, way, is_byte=is_byte), f"{what}: another text")


def _texts_of(run: Path) -> Counter[str | bytes]:
    """The run's own copy of what it learns from: its documents, or the one text."""
    record = read_record(run / RUN)
    vocab = record.vocab
    ids = open_corpus(run / CORPUS, vocab, record.splits, record.corpus_sha256, record.ids_sha256).ids
    texts = [ids]
    if vocab.marks:
        found = Documents.of(ids, vocab)
        texts = [ids[start + 1 : end - 1] for start, end in zip(found.starts, found.ends, strict=True)]
    return Counter(vocab.symbols_for(each) if vocab.kind == "byte" else vocab.decode(each) for each in texts)


def _wanted(raw: bytes, said: str, way: tuple[str, ...], *, is_byte: bool) -> Counter[str | bytes]:
    """What a file of these bytes must have become. A mark that is left out must be `said`."""
    if is_byte:
        return Counter([raw])
    return Counter(WAYS[way](raw.removeprefix(b"\xef\xbb\xbf" if "byte order mark" in said else b"").decode("utf-8")))


NAMES = (
    "t",
    "\x1b[31mred",
    "[bold]",
    "[\\u2215nope]",
    "a b",
    "-dash",
    "\u202eevil",
    "\udcff",
    "é",
    "$(id)",
    "<script>",
    "x" * 200,
)


def _hostile(chance: random.Random, number: int) -> bytes:
    """Make a text of a random kind and length."""
    controls = "".join(map(chr, range(0x20))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0)))
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: chance.randbytes(chance.choice((0, 1, 15, 16, 17, 900, 5000))),
        lambda: b"\x1b]52;c;cm0gLXJmIH4=\x07\x1b[2J\x1b]0;title\x07" * 40,
        lambda: b"[red]x[/red] [/nope] [link=javascript:x]y[/link]\n" * 30,
        lambda: b"<script>alert(1)</script>&lt;\"'" * 30,
        lambda: b"" + ("\u202eevil\u202c \u2066x\u2069 \u200f\u061c\n" * 30).encode(),
        lambda: b"" + ("e" + "\u0301" * 3000).encode(),
        lambda: b"" + ("👩\u200d👩\u200d👧🏽 " * 60).encode(),
        lambda: "".join(chr(chance.randrange(0x20, 0xD800)) for _ in range(3000)).encode(),
        lambda: "".join(chr(chance.randrange(0xE000, 0x110000)) for _ in range(3000)).encode(),
        lambda: controls.encode() * 10,
        lambda: b"\0" * chance.choice((1, 900)),
        lambda: b"a\0" * 500,
        lambda: b"\xed\xa0\x80" * 300,
        lambda: b"\xff\xfe" + "utf-16".encode("utf-16-le") * 60,
        lambda: b"\xef\xbb\xbf" + b"with a mark\n" * 60,
        lambda: b"one\rtwo\r\nthree\n\r" * 60,
        lambda: b"no end " * 5000,
        lambda: b"\n" * 900,
        lambda: b"a" * 900,
        lambda: b"ab" * chance.choice((1, 4, 8, 9, 450)),
        lambda: b"\x1f\x8b\x08" + chance.randbytes(900),
        lambda: "가각간갇갈 한국어 텍스트.\n".encode() * 40,
        lambda: b"{% raw %} {{x}} ${x} %s %d {0} \\n \\x00\n" * 30,
        lambda: b'{"event": "done", "step": 1}\n' * 40,
        lambda: "“It’s” – she said – ‘wait…’ €5\n".encode("cp1252") * 40,
        lambda: "从前有一座山，山里有座庙。\n".encode("gb18030") * 40,
        lambda: "吾輩は猫である。名前はまだ無い。\n".encode("shift_jis") * 40,
        lambda: "Все счастливые семьи похожи.\n".encode("koi8-r") * 40,
        lambda: "no mark at all\n".encode("utf-16-le") * 60,
        lambda: "“It’s”\n".encode().decode("latin-1").encode() * 60,  # mojibake, with C1 controls
        lambda: unicodedata.normalize("NFD", "Ünïcödé 한국어 Ǻ ﬁ ½\n").encode() * 40,
        lambda: "„so“ sagte er, »ja« ‚nein‘ «oui» 「は」『い』（あ）【い】¿qué? ؟ 。\n".encode() * 30,
        lambda: b"# a\n```python\ndef f(x):\n    return 'don\\'t'\n```\nit's *so* `x`\n````\n```\n" * 20,
        lambda: b'<a><b x=\'1\'><!-- c --></a></b>\n%s\\begin{verbatim} -- {- ;; /* #| """\n' * 30,
        lambda: "".join(f"Name{number % 37}\r\n\r\n \n" for number in range(120)).encode(),
        lambda: "".join(chr(0x4E00 + chance.randrange(3000)) for _ in range(3000)).encode(),
    )
    return kinds[number % len(kinds)]()


def _labelled(chance: random.Random, text: Path, raw: bytes, number: int, run: str) -> tuple[str, ...]:
    """The command that learns labels from what is hostile: restores it, or takes it for labelled texts or characters."""
    options = ("--restore", chance.choice(("spaces", "case", "punctuation")))
    if number % 3:
        table = text.with_name(f"{text.name}.tsv")
        lines = raw.splitlines() if number % 3 == 1 else [raw[at : at + 1] for at in range(min(len(raw), 400))]
        table.write_bytes(b"".join(line + b"\t" + b"ab"[place % 2 :][:1] + b"\n" for place, line in enumerate(lines)))
        text, options = table, ("--task", "classify" if number % 3 == 1 else "tag")
    return ("train", str(text), *TINY, *options, "--max-steps", "2", "--out", run, "--overwrite")


def live(text: str) -> set[str]:
    """Find the characters of `text` that a terminal would obey."""
    return {character for character in set(text) if not _is_harmless(character)}


def _is_harmless(character: str) -> bool:
    """Decide by Unicode's own categories, not by charlm's table."""
    if character in "\n\t":
        return True
    bidirectional = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    is_control = unicodedata.category(character) in ("Cc", "Cs")
    return not (is_control or unicodedata.bidirectional(character) in bidirectional or character in "\u200e\u200f\u061c")
