"""Which symbols are best, for the same time? Nats per character of the same held-out text, whatever the symbols are.

    python -m benchmarks.kinds [--only rare words] [--corpus tinyshakespeare.txt] [--language zh_CN] [--max-time 5m] [--seeds 1]
        [and options of charlm train, such as --threads 1]

rare    characters, all of them (--min-count 1) and those that occur 5 times (--min-count 5): the messages of installed
        programs in a language of many characters, each once, from /usr/share/locale
words   words (--symbols word) and characters, on --corpus

Each number is the exact validation loss at the end of `charlm train`. What is held out is the same text for all: its place is
counted in characters. Ways take turns, seed by seed.
"""

import argparse
import gettext
import hashlib
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import mean

from benchmarks.machine import describe_machine
from benchmarks.quality import run

LOCALES = Path("/usr/share/locale")
RARE = {"--min-count 1": ["--min-count", "1"], "--min-count 5": ["--min-count", "5"]}
WORDS = {"--symbols char": [], "--symbols word": ["--symbols", "word"]}


def messages(language: str) -> str:
    """The messages of installed programs in a language, a line end after each, by program."""
    found: dict[str, None] = {}
    for path in sorted((LOCALES / language / "LC_MESSAGES").glob("*.mo")):
        with path.open("rb") as file:
            catalogue = vars(gettext.GNUTranslations(file))["_catalog"]
        found.update(dict.fromkeys(text for key, text in catalogue.items() if key and isinstance(text, str)))
    return "".join(f"{text}\n" for text in found)


def compare(corpus: Path, ways: dict[str, list[str]], seeds: int, further: list[str], folder: Path) -> None:
    """Train in each way, for each seed, and print the losses."""
    losses: dict[str, list[float]] = {way: [] for way in ways}
    for seed in range(1, seeds + 1):
        for way, options in ways.items():
            out = folder / f"{corpus.stem}-{len(options)}-{options[-1] if options else ''}-{seed}"
            nats, trained, _ = run(str(corpus), [*options, "--seed", str(seed), *further], out)
            losses[way].append(nats)
            print(f"{corpus.name}, {way}, seed {seed}: {nats:.4f} nats/char, {trained:.0f} s of training", flush=True)
    for way, each in losses.items():
        print(f"{corpus.name}, {way}: mean {mean(each):.4f} nats per character of the text", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("rare", "words"), default=["rare", "words"])
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--language", default="zh_CN")
    parser.add_argument("--max-time", default="5m")
    parser.add_argument("--seeds", type=int, default=1)
    options, further = parser.parse_known_args()
    further += ["--max-time", options.max_time]
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "rare" in options.only and (text := messages(options.language)):
            corpus = folder / f"{options.language}.txt"
            corpus.write_text(text, encoding="utf-8")
            counts, digest = Counter(text), hashlib.sha256(text.encode()).hexdigest()
            rare = [count for count in counts.values() if count < 5]
            kinds = f"of {len(counts):,} kinds; {len(rare):,} occur fewer than 5 times, {sum(rare):,} times in all"
            print(f"{corpus.name}: {len(text):,} characters {kinds}; SHA-256 {digest}", flush=True)
            compare(corpus, RARE, options.seeds, further, folder)
        elif "rare" in options.only:
            print(f"skipped: there are no messages under {LOCALES / options.language}", file=sys.stderr)
        if "words" in options.only and options.corpus is not None and options.corpus.exists():
            compare(options.corpus.resolve(), WORDS, options.seeds, further, folder)
        elif "words" in options.only:
            print("skipped: words need a --corpus, such as tinyshakespeare.txt", file=sys.stderr)


if __name__ == "__main__":
    main()
