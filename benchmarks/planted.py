"""Does inspect-cells find what was planted, and nothing where there is nothing?

    python -m benchmarks.planted [--texts quotes depth column mode] [--seeds 3] [--null 40]

Planted: texts whose hidden variable is known (quotes, nesting depth, the column in lines of one width, a mode that a rare
symbol switched long before). A small model is trained to near the text's entropy. The best unit for the hidden variable must
have a confirmed AUROC over 0.95 (|Spearman| over 0.9 for a graded variable) and the verdict "used". Null: half of the seeds
are models of independent characters, half models never trained; 2 of 40 may report a confirmed unit.

The same for a classifier of texts that a rare symbol near their beginning decides (`--texts labels`): the best unit for the
label must be confirmed and "used". Null for it: classifiers that learned labels by heart which were drawn by lot.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.machine import describe_machine
from charlm.config import End, ModelConfig, TrainConfig
from charlm.evaluation import surprisals, total
from charlm.features.registry import FEATURES, Feature, from_regex
from charlm.inspection.examine import examine
from charlm.inspection.findings import Finding, Report
from charlm.inspection.labelled import examine_labels
from charlm.labelling.predict import score
from charlm.model.heads import Classifier
from charlm.model.language_model import LanguageModel
from charlm.tasks.labels import ClassificationTask
from charlm.tasks.language import LanguageTask
from charlm.text.batches import Batches
from charlm.text.examples import Examples
from charlm.text.streams import Streams
from charlm.text.vocab import Ids, Vocab, code_points
from charlm.training.loop import train
from charlm.training.trainer import Trainer

NOVEL = Path("data/austen.txt")
HELD_OUT = 60_000  # characters that the models have not seen


def hidden_state(rng: np.random.Generator, length: int, opens: str, closes: str, mean_gap: float) -> str:
    """Make letters where what follows an x, y or z depends on whether `opens` or `closes` came last, maybe long before."""
    pieces, size, inside = [], 0, False
    while size < length:
        letters = rng.choice(list("abcdefghijklmnx"), int(rng.geometric(1 / mean_gap)) + 3)
        follows = "y" if inside else "z"
        pieces.append("".join(letters).replace("x", "x" + follows) + (closes if inside else opens))
        size += len(pieces[-1])
        inside = not inside
    return "".join(pieces)[:length]


def nested(rng: np.random.Generator, length: int) -> str:
    """Make brackets up to 6 deep with letters between; the deeper they are, the likelier the next one closes."""
    depth, pieces = 0, []
    letters = rng.choice(list("abcd"), length)
    closes = rng.random(length)
    for letter, chance in zip(letters.tolist(), closes.tolist(), strict=True):
        step = -1 if chance < depth / 6 else 1
        depth += step
        pieces.append(letter + ("(" if step > 0 else ")"))
    return "".join(pieces)[:length]


def lines(rng: np.random.Generator, length: int, width: int = 30) -> str:
    """Make independent letters in lines of one width, so that only counting tells where a line ends."""
    letters = rng.choice(list("abcdef "), (length // (width + 1) + 1, width))
    return "".join("".join(row) + "\n" for row in letters.tolist())[:length]


def independent(rng: np.random.Generator, length: int) -> str:
    """Make independent characters, of every kind that features look for."""
    return "".join(rng.choice(list('abcdeAB 01"().\n'), length, p=[0.1] * 5 + [0.05] * 10).tolist())


@dataclass(frozen=True, slots=True)
class Planted:
    """A text with a hidden variable, the feature that reads it, and the training it needs."""

    text: Callable[[np.random.Generator, int], str]
    feature: Feature
    hidden_size: int
    steps: int


PLANTED = {
    "quotes": Planted(lambda rng, n: hidden_state(rng, n, '"', '"', 40), FEATURES["inside_double_quotes"], 12, 1500),
    "depth": Planted(nested, FEATURES["bracket_depth"], 12, 1500),
    "column": Planted(lines, FEATURES["column"], 12, 3000),
    "mode": Planted(lambda rng, n: hidden_state(rng, n, "<", ">", 150), from_regex("mode", r"<[^>]*"), 12, 2500),
}


def encoded(text: str) -> tuple[Ids, Vocab]:
    """Encode a text; returns its ids and its own vocabulary."""
    vocab = Vocab.from_counts(np.bincount(code_points(text)), "char")
    return vocab.encode(text), vocab


def new_model(vocab: Vocab, hidden_size: int, seed: int) -> LanguageModel:
    """Make an untrained LSTM."""
    shape = ModelConfig(embedding_size=8, hidden_size=hidden_size, dropout=0.0)
    return LanguageModel.initialised(shape, len(vocab), generator=torch.Generator().manual_seed(seed))


def trained(model: LanguageModel, ids: Ids, steps: int, seed: int) -> LanguageModel:
    """Train `model` for `steps` steps of 16 streams and 96 characters; returns it."""
    config = TrainConfig(batch_size=16, seq_len=96, optimiser="adamw", learning_rate=2e-2, seed=seed, precision="fp32")
    streams = Streams.fitted(ids, config.batch_size, config.seq_len, seed)
    task = LanguageTask(streams=streams, validation_ids=ids[:2])
    trainer = Trainer.fresh(model, task, config, End("steps", steps), "fp32")
    for _ in train(trainer, elapsed=time.monotonic):
        pass
    return model


def found(model: LanguageModel, ids: Ids, vocab: Vocab, features: list[Feature], seed: int = 1) -> Report:
    """Search as `inspect-cells` does; returns its findings."""
    return examine(model, ids, vocab, features, seed)


def entropy(ids: Ids, hidden: npt.NDArray[np.integer]) -> float:
    """Estimate the lowest possible loss, in nats: the entropy of the next character given this one and the hidden variable."""
    _, known = np.unique(np.stack([hidden[:-1], ids[:-1]]), axis=1, return_inverse=True)
    table = np.zeros((known.max() + 1, int(ids.max()) + 1))
    np.add.at(table, (known, ids[1:].astype(np.int64)), 1)
    seen = table[table > 0]
    rows = np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape)[table > 0]
    return float(-(seen * np.log(seen / rows)).sum() / seen.sum())


def plant(name: str, seed: int, train_characters: int = 400_000) -> tuple[Finding, float, float]:
    """Train on a planted text; returns the finding for its hidden variable on held-out text, the loss there, the entropy."""
    planted = PLANTED[name]
    text = planted.text(np.random.default_rng([seed, 0]), train_characters + HELD_OUT)
    ids, vocab = encoded(text)
    new = new_model(vocab, planted.hidden_size, seed)
    model = trained(new, ids[:train_characters], planted.steps, seed)
    held_out = ids[train_characters:]
    (finding,) = found(model, held_out, vocab, [planted.feature]).findings
    least = entropy(held_out, planted.feature.label(vocab.decode(held_out)).astype(np.int64))
    return finding, total(surprisals(model, held_out)).nats_per_character, least


def null(seed: int, characters: int = 40_000, steps: int = 150) -> list[Finding]:
    """What is confirmed where there is nothing: even seeds, a model of independent characters; odd ones, one that was never
    trained, over a novel.
    """
    rng = np.random.default_rng([seed, 1])
    if seed % 2 == 0:
        ids, vocab = encoded(independent(rng, characters))
        model = trained(new_model(vocab, 32, 1000 + seed), ids, steps, seed)
    else:
        novel = NOVEL.read_text(encoding="utf-8")
        start = int(rng.integers(len(novel) - characters))
        ids, vocab = encoded(novel[start : start + characters])
        model = new_model(vocab, 32, 1000 + seed)
    report = found(model, ids, vocab, list(FEATURES.values()), seed)
    return [finding for finding in report.findings if finding.verdict != "correlated"]


def decided(rng: np.random.Generator, texts: int, *, by_lot: bool = False) -> tuple[Examples, Vocab]:
    """Make texts of 40 to 80 letters, in two kinds that a < or a > among the first ten decides, or a lot."""
    made, labels = [], rng.integers(0, 2, texts)
    for label in labels.tolist():
        letters = rng.choice(list("abcdefghijklmn"), int(rng.integers(40, 81)))
        letters[int(rng.integers(10))] = "<>"[int(rng.integers(2)) if by_lot else label]
        made.append("".join(letters))
    ids, vocab = encoded("".join(made))
    bounds = np.cumsum([0, *map(len, made)])
    return Examples(ids=ids, bounds=bounds, labels=labels.astype(np.uint16), places=np.zeros(0, np.uint8)), vocab


def classifier(examples: Examples, vocab: Vocab, steps: int, seed: int) -> Classifier:
    """Train a small LSTM, which labels by the mean of its states."""
    shape = ModelConfig(embedding_size=8, hidden_size=12, dropout=0.0, pooling="mean")
    model = Classifier.initialised(shape, len(vocab), 2, generator=torch.Generator().manual_seed(seed))
    config = TrainConfig(
        task="classify", batch_size=32, seq_len=96, optimiser="adamw", learning_rate=1e-2, seed=seed, precision="fp32"
    )
    task = ClassificationTask(
        training=Batches(examples=examples, batch_size=config.batch_size, seed=seed), validation=examples.part(0, 0)
    )
    for _ in train(Trainer.fresh(model, task, config, End("steps", steps), "fp32"), elapsed=time.monotonic):
        pass
    return model


def plant_label(seed: int, steps: int = 600) -> tuple[Finding, float]:
    """Train on texts that a symbol decides; returns the finding for the label on 600 other texts, and the loss there."""
    examples, vocab = decided(np.random.default_rng([seed, 2]), 2600)
    model, held_out = classifier(examples.part(0, 2000), vocab, steps, seed), examples.part(2000, 2600)
    (finding,) = examine_labels(model, held_out, vocab, ("<", ">"), [], seed).findings
    return finding, score(model, held_out).nats_per_character


def null_label(seed: int, texts: int = 400, steps: int = 200) -> list[Finding]:
    """What is confirmed of labels that were drawn by lot, on texts that the model has not learned by heart."""
    examples, vocab = decided(np.random.default_rng([seed, 3]), 2 * texts, by_lot=True)
    model = classifier(examples.part(0, texts), vocab, steps, seed)
    report = examine_labels(model, examples.part(texts, 2 * texts), vocab, ("<", ">"), list(FEATURES.values()), seed)
    return [found for found in report.findings if found.feature.startswith("label=") and found.verdict != "correlated"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", nargs="*", default=[*PLANTED, "labels"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--null", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_machine())
    for name in options.texts:
        for seed in range(1, options.seeds + 1):
            began = time.monotonic()
            got, loss, least = (*plant_label(seed), 0.0) if name == "labels" else plant(name, seed)
            delta = f"{got.delta_nats.present:+.3f} where present" if got.delta_nats else "not clamped"
            print(
                f"{name:8} seed {seed}: {got.unit} {got.statistic} {got.score:+.3f}, confirmed {got.confirmed_score:+.3f}, "
                f"p {got.p_value:.3f}, gain {got.baseline_gain:+.2f}, {delta}: {got.verdict}; "
                f"loss {loss:.3f}, entropy {least:.3f}  ({time.monotonic() - began:.0f} s)",
                flush=True,
            )
    wrong = 0
    for seed in range(options.null):
        confirmed = null(seed)
        wrong += bool(confirmed)
        for each in confirmed:
            print(f"null seed {seed}: {each}", flush=True)
    print(f"null: {wrong} of {options.null} seeds report a confirmed unit")
    wrong = sum(bool(null_label(seed)) for seed in range(options.null))
    print(f"null, labels drawn by lot: {wrong} of {options.null} seeds report a confirmed unit")


if __name__ == "__main__":
    main()
