"""How well are labels learned? Every figure of labels, on the data that lie in data/, beside what needs no network.

    python -m benchmarks.labels [--only films languages spaces turkish twain] [--seeds 3] [--whole FOLDER] [--max-time TIME]
        [and options of charlm train, such as --threads 1]

films       two classes: an LSTM alone, and one that begins with a language model of the training part's texts
languages   the language of 30 characters, of 20, split by article: the same two, and an LSTM that reads both ways
spaces      spaces put back into Austen, contiguous tenths held out, 5 minutes
turkish     parts of speech, scored on the treebank's own test sentences
twain       a language model of 50,000 characters, from nothing and from the model of Austen that ships, 60 s each

Each line is from `charlm train` and `charlm eval`. They choose by themselves, but for the size and the passes of films,
languages and turkish.
`--whole` names a folder with the data as `python data/NAME.py --all FOLDER` makes them, without the limit on size. `--max-time`
replaces the time limits of spaces and twain.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.quality import HERE
from charlm.config import CorpusConfig
from charlm.text.gathering import TRAIN, part_of

DATA = HERE / "data"
# One network for all runs of a seed, and so many passes for each (alone, the language model, begun from that; of taggers), so
# that these figures do not depend on the machine.
SHAPE = ("--num-layers", "1", "--hidden-size", "192", "--embedding-size", "64")
PASSES = {"films": (12, 12, 6), "languages": (30, 25, 30)}
TAGGER_PASSES = 30
LEARNED = 50_000  # characters of another author
SHOWN_CONFUSIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where data are read and runs are put, and how long those may take."""

    folder: Path
    data: Path
    seeds: range
    max_time: str | None
    further: tuple[str, ...]

    def charlm(self, *arguments: str) -> str:
        """Run a command; returns what it writes to standard output."""
        command = [sys.executable, "-m", "charlm", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"charlm {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def train(self, name: str, *arguments: str, time: str | None = None) -> tuple[str, dict[str, Any]]:
        """Train a run; returns its folder, and its last row."""
        limit = ["--max-time", self.max_time or time] if time else []
        rows = self.charlm("train", *arguments, *limit, "--out", name, "--overwrite", "--json", *self.further).splitlines()
        return name, json.loads(rows[-1])

    def test(self, run: str, *arguments: str) -> dict[str, Any]:
        """Score a run, by default on its test part."""
        found: dict[str, Any] = json.loads(self.charlm("eval", *arguments, "-c", run, "--json"))
        return found


def value(score: dict[str, Any], measure: str = "accuracy") -> float:
    """A score without its interval."""
    number: float = score[measure]["value"]
    return number


def show(what: str, numbers: list[float], score: dict[str, Any] | None = None, measure: str = "accuracy") -> None:
    """One line: each seed's number and their mean, and the baselines of the last score."""
    each = ", ".join(f"{number:.4f}" for number in numbers)
    print(f"{what}: {each}; mean {mean(numbers):.4f}, median {median(numbers):.4f}", flush=True)
    for baseline in score["baselines"] if score else []:
        if baseline[measure]:
            print(f"  {baseline['name']}: {value(baseline, measure):.4f}", flush=True)


def classifiers(bench: Bench, name: str, decides: int, *named: str, backward: bool = False) -> dict[str, Any]:
    """A classifier alone, from a language model of the texts that it learns from, and one that reads `backward` too.

    Column `decides` of the data is what the split goes by. Returns the last score.
    """
    source, texts = bench.data / f"{name}.tsv", bench.folder / f"{name}.txt"
    rows = [line.split("\t") for line in source.read_text(encoding="utf-8").splitlines()]
    read = CorpusConfig(test_fraction=0.1)
    texts.write_text("".join(f"{row[0]}\n" for row in rows if part_of(row[decides], read) == TRAIN), encoding="utf-8")
    alone, begun, two_ways = [], [], []
    ways = [(*SHAPE, "--epochs", str(passes)) for passes in PASSES[name]]
    for seed in bench.seeds:
        arguments = (str(source), "--task", "classify", "--seed", str(seed), *named)
        score = bench.test(bench.train(f"{name}-alone-{seed}", *arguments, *ways[0])[0])
        alone.append(value(score))
        print(f"{name}, seed {seed}, alone: {alone[-1]:.4f}", flush=True)
        model, _ = bench.train(f"{name}-texts-{seed}", str(texts), "--seed", str(seed), *ways[1])
        score = bench.test(bench.train(f"{name}-begun-{seed}", *arguments, *ways[2], "--init-from", model)[0])
        begun.append(value(score))
        print(f"{name}, seed {seed}, begun: {begun[-1]:.4f}", flush=True)
        if backward:
            score = bench.test(bench.train(f"{name}-both-{seed}", *arguments, *ways[0], "--bidirectional")[0])
            two_ways.append(value(score))
            print(f"{name}, seed {seed}, both ways: {two_ways[-1]:.4f}", flush=True)
    show(f"{name}, LSTM alone, accuracy on {score['labelled']} texts of the test part", alone)
    show(f"{name}, LSTM from a language model of the same texts", begun, score)
    if backward:
        show(f"{name}, LSTM alone, both ways", two_ways)
    return score


def films(bench: Bench) -> None:
    """Whether a snippet of a review is for or against the film."""
    classifiers(bench, "films", 0)


def languages(bench: Bench) -> None:
    """20 languages, split by article; and what is taken for what."""
    score = classifiers(bench, "languages", 2, "--columns", "text=1,label=2,group=3", backward=True)
    names = [each["label"] for each in score["labels"]]
    cells = [(count, names[i], names[j]) for i, row in enumerate(score["confusion"]) for j, count in enumerate(row) if i != j]
    print(
        "  most taken for another:", ", ".join(f"{a} for {b} {n}" for n, a, b in sorted(cells, reverse=True)[:SHOWN_CONFUSIONS])
    )


def spaces(bench: Bench) -> None:
    """Spaces of the novel."""
    found = []
    for seed in bench.seeds:
        named = (str(DATA / "austen.txt"), "--restore", "spaces", "--seed", str(seed))
        score = bench.test(bench.train(f"spaces-{seed}", *named, time="5m")[0])
        found.append(next(each["f1"] for each in score["labels"] if each["label"] == "1 space"))
    show("spaces, F1 of a space on the last tenth", found)
    show("  and accuracy by word", [value(score, "word_accuracy")], score, "word_accuracy")


def turkish(bench: Bench) -> None:
    """Parts of speech, by word."""
    found = []
    for seed in bench.seeds:
        named = (str(bench.data / "turkish.conllu"), "--test-fraction", "0", "--seed", str(seed))
        run, _ = bench.train(f"turkish-{seed}", *named, *SHAPE, "--epochs", str(TAGGER_PASSES))
        score = bench.test(run, str(bench.data / "turkish-test.conllu"))
        found.append(value(score, "word_accuracy"))
    show(f"turkish, accuracy of {score['words']} words' parts of speech", found, score, "word_accuracy")


def twain(bench: Bench) -> None:
    """Another author, from nothing and from the model that ships."""
    text = (DATA / "twain.txt").read_text(encoding="utf-8")
    learned, rest = bench.folder / "learned.txt", bench.folder / "rest.txt"
    learned.write_text(text[:LEARNED], encoding="utf-8")
    rest.write_text(text[LEARNED:], encoding="utf-8")
    losses: dict[str, list[float]] = {"from nothing": [], "from Austen": []}
    for seed in bench.seeds:
        for way, further in {"from nothing": (), "from Austen": ("--init-from", str(HERE / "checkpoints" / "austen"))}.items():
            run, _ = bench.train(f"twain-{way[5:]}-{seed}", str(learned), "--seed", str(seed), *further, time="60s")
            losses[way].append(bench.test(run, str(rest), "--unknown", "skip")["nats_per_char"])
    for way, each in losses.items():
        show(f"twain, {way}, nats/char of the next {len(text) - LEARNED:,} characters", each)


EACH: dict[str, Callable[[Bench], None]] = {
    "films": films,
    "languages": languages,
    "spaces": spaces,
    "turkish": turkish,
    "twain": twain,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=EACH, default=list(EACH))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--whole", type=Path, default=DATA)
    parser.add_argument("--max-time")
    options, further = parser.parse_known_args()
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            folder=Path(folder),
            data=options.whole.resolve(),
            seeds=range(1, options.seeds + 1),
            max_time=options.max_time,
            further=tuple(further),
        )
        for name in options.only:
            EACH[name](bench)


if __name__ == "__main__":
    main()
