"""Are texts read as people have them?

    python -m benchmarks.texts [--only two_languages encodings]

two_languages   a folder of an English and a Russian file, 200 steps of 1 x 64: what the kept model scores on its English
encodings       2 KB of prose in each of ten encodings: whether the one that the error names gives the text

Both are asked of the command, as a user would. What is learned from is made here, or stands in tests/text/prose/.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.quality import HERE
from charlm.runs.find import CORPUS
from charlm.runs.record import RUN, read_record
from charlm.text.corpus import open_corpus
from tests.text.test_guessing import PROSE, TWO_KILOBYTES, kept

BITS = 1.2  # that the English may cost per character
ENGLISH = "river morning lamp table hill door tree quiet road window"
RUSSIAN = "река быстро лес новый утро старый город дом вечер тихо"
SIZES = (36_000, 3_600)  # characters of each
TINY = ("--hidden-size", "8", "--seq-len", "8", "--batch-size", "4", "--max-steps", "1")


def words(vocabulary: str, size: int, seed: int) -> str:
    """Words of a vocabulary at random, some with a mark, `size` characters of them."""
    chance, choices, text = random.Random(seed), vocabulary.split(), ""
    while len(text) < size:
        text += chance.choice(choices) + chance.choice([" ", " ", ", ", ". "])
    return text[:size]


def charlm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    command = [sys.executable, "-m", "charlm", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, check=False
    )


def two_languages(folder: Path) -> None:
    """Train on both, and score the English with the model that is kept."""
    (folder / "both").mkdir()
    files = [folder / "both" / name for name in ("a_english.txt", "z_russian.txt")]
    for file, vocabulary, size, seed in zip(files, (ENGLISH, RUSSIAN), SIZES, (1, 2), strict=True):
        file.write_text(words(vocabulary, size, seed), encoding="utf-8")
    (folder / "one.txt").write_text("".join(file.read_text(encoding="utf-8") for file in files), encoding="utf-8")
    shape = ("--num-layers", "1", "--hidden-size", "64", "--max-steps", "200", "--eval-every", "10", "--sample-every", "1000")
    for text, more in (("both", ()), ("one.txt", ()), ("one.txt", ("--last",))):
        run = f"run-{text}"
        if not more:
            charlm(folder, "train", text, *shape, "--out", run)
        score = json.loads(charlm(folder, "eval", "both/a_english.txt", "-c", run, "--json", *more).stdout)["bits_per_char"]
        step = json.loads(charlm(folder, "info", "-c", run, "--json", *more).stdout)["training"]["step"]
        print(
            f"two_languages: {text} {' '.join(more)}: the model of step {step}, English {score:.3f} bits/char (to reach {BITS})"
        )


def encodings(folder: Path) -> None:
    """Follow the hint, and read the run's copy of the text."""
    right = 0
    for name, encoding in TWO_KILOBYTES:
        text = kept(PROSE[name], encoding)
        (folder / "t.txt").write_bytes(text.encode(encoding))
        said = charlm(folder, "train", "t.txt", "--max-steps", "1").stderr
        hint = re.search(r"try --encoding (\S+?),", said, re.IGNORECASE)
        done = charlm(folder, "train", "t.txt", *TINY, "--encoding", hint[1] if hint else "", "--out", "run", "--overwrite")
        is_right = done.returncode == 0 and text_of(folder / "run") == text
        right += is_right
        print(f"encodings: {name} in {encoding}: {hint[1] if hint else said}, {'the text' if is_right else 'NOT the text'}")
    print(f"encodings: {right} of {len(TWO_KILOBYTES)}")


def text_of(run: Path) -> str:
    """The run's copy of its text."""
    record = read_record(run / RUN)
    corpus = open_corpus(run / CORPUS, record.vocab, record.splits, record.corpus_sha256, record.ids_sha256)
    return record.vocab.decode(corpus.ids)


FIGURES: dict[str, Callable[[Path], None]] = {"two_languages": two_languages, "encodings": encodings}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES))
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            FIGURES[name](Path(folder))


if __name__ == "__main__":
    main()
