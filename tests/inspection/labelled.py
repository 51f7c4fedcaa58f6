"""What the tests of models that give labels share: small texts, models with random weights, and models with a latch by hand."""

from collections.abc import Sequence

import numpy as np
import torch

from charlm.config import ModelConfig
from charlm.model.heads import Classifier, Labeller, Tagger
from charlm.text.batches import some
from charlm.text.examples import UNLABELLED, Examples
from charlm.text.vocab import Vocab
from tests.inspection.reference import random_ids

V, C = 13, 3
LENGTHS = (5, 1, 9, 2, 5, 11, 3, 7, 1, 4, 8, 6)
KINDS = [(Classifier, "last"), (Classifier, "mean"), (Classifier, "max"), (Tagger, "last")]
WORDS = Vocab(kind="char", symbols=tuple(map(ord, "[]ab\ufffd")), start=4)
NAMES = {Classifier: ("bad", "good"), Tagger: ("bad", "good", "open")}
COPY, LATCH, MUTE = 2, 4, 5


def some_texts(*, by_character: bool, lengths: Sequence[int] = LENGTHS, seed: int = 0) -> Examples:
    """Random texts with random labels; where each character has one, a few have none."""
    rng, number = np.random.default_rng(seed), sum(lengths)
    labels = rng.integers(0, C, number if by_character else len(lengths)).astype(np.uint16)
    if by_character:
        labels[rng.random(number) < 0.2] = UNLABELLED
    return Examples(
        ids=random_ids(number, V, seed),
        bounds=np.cumsum([0, *lengths]),
        labels=labels,
        places=np.ones(number * by_character, dtype=np.uint8),
    )


def exact_labeller(
    kind: type[Labeller], pooling: str = "last", cell: str = "lstm", num_layers: int = 2, *, bidirectional: bool = False
) -> Labeller:
    """A model in float64, with weights large enough that a clamp is felt."""
    config = ModelConfig(
        cell=cell, embedding_size=5, hidden_size=7, num_layers=num_layers, pooling=pooling, bidirectional=bidirectional
    )
    model = kind.initialised(config, V, C, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model.requires_grad_(False)


def moods(number: int, *, by_character: bool, seed: int = 0) -> Examples:
    """Texts of a and b with a [ or a ] near their beginning: what follows a ] is good, a [ bad, what comes before is open."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(number):
        text, place, mood = rng.choice(list("ab"), rng.integers(20, 60)), int(rng.integers(5)), int(rng.integers(2))
        text[place] = "[]"[mood]
        texts.append("".join(text))
        labels += [2] * place + [mood] * (len(text) - place) if by_character else [mood]
    ids = WORDS.encode("".join(texts))
    return Examples(
        ids=ids,
        bounds=np.cumsum([0, *map(len, texts)]),
        labels=np.array(labels, dtype=np.uint16),
        places=np.ones(len(ids) * by_character, dtype=np.uint8),
    )


def mood_model(kind: type[Labeller], hidden_size: int, latches: Sequence[int], *, bidirectional: bool = False) -> Labeller:
    """An LSTM written by hand, which labels `moods` right. Each of `latches` is 1 since a ] and -1 since a [; the head reads
    LATCH, and whispers of the other units, but nothing of COPY and of MUTE, which reach nothing.
    """
    config = ModelConfig(embedding_size=6, hidden_size=hidden_size, num_layers=1, bidirectional=bidirectional)
    model = kind.initialised(config, len(WORDS), len(NAMES[kind]), generator=torch.Generator().manual_seed(100))
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(len(WORDS), 6))
        (w, b_input), (u, b_past) = model.cells[0].input_weights, model.cells[0].past_weights
        for latch in latches:
            gate = {name: number * hidden_size + latch for number, name in enumerate("ifgo")}
            for row in gate.values():
                w[row], u[row], b_input[row], b_past[row] = 0, 0, 0, 0
            for symbol, sign in zip(WORDS.encode("[]").tolist(), (-1, 1), strict=True):
                w[gate["i"], symbol], w[gate["f"], symbol], w[gate["g"], symbol] = 40, -40, sign * 20
            b_input[gate["i"]], b_input[gate["f"]], b_input[gate["o"]] = -20, 20, 20
        u[:, [*latches, MUTE]] = 0
        model.head.weight.mul_(0.02)
        model.head.weight[:, [*latches, MUTE]] = 0
        model.head.weight[:2, LATCH] = torch.tensor([-3.0, 3.0])
        if model.join is not None:  # it hands on what the latch holds, and nothing of the others
            model.join.weight[:, [*latches, MUTE]] = 0
            model.join.weight[LATCH] = 0
            model.join.weight[LATCH, LATCH] = 2
        if kind is Tagger:
            model.head.bias[2] = 1
    return model


def one(examples: Examples, text: int) -> Examples:
    """One of the texts."""
    return some(examples, np.array([text]))
