"""What a model file says about itself, all of it in the head. The file is read to check its hash; no tensor is made.

The file names no time, no path and no host.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from charlm.checkpoint.fields import from_json, vocab_from_json
from charlm.config import MOST, CorpusConfig, ModelConfig, TrainConfig, later
from charlm.errors import CheckpointError, brief
from charlm.tensorfile import TensorFile
from charlm.text.formats import UNFIT
from charlm.text.gathering import MOST_LABELS
from charlm.text.parts import Splits
from charlm.text.restoring import are_restorable
from charlm.text.vocab import Vocab

KIND = "model"  # the kind of tensor file
DAMAGED = "the file is damaged or not charlm's; restore it from a copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScores:
    """Shares from 0 to 1: of the labels of `num_labels` texts or characters, and of words, where those have labels."""

    accuracy: float
    macro_f1: float
    num_labels: int
    word_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The validation loss in nats per character, None when unknown; `exact` is False for a look, an inexact score.

    Where labels are given, the loss is per label, `accuracy` is the share of the validation part's labels that came out right,
    and `test` says how the model did on the test part.
    """

    validation_nats: float | None
    exact: bool
    accuracy: float | None = later(None)
    test: TestScores | None = later(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The software and hardware that computed the weights."""

    charlm: str
    torch: str
    device: str
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """All that `model.safetensors` holds besides its weights.

    `labels` are the names of a labelling model's labels, by id; `one_label_a_word` that each word it learned from had one.
    `num_documents` counts the documents of the three parts of the corpus, where those are told apart; `is_one_file` says that
    it was one file, whose end is what was held out.
    """

    model: ModelConfig
    training: TrainConfig
    text: CorpusConfig
    vocab: Vocab
    splits: Splits
    corpus_sha256: str
    setting: Setting
    step: int
    scores: Scores
    labels: tuple[str, ...] = later(())
    one_label_a_word: bool = later(False)
    num_documents: tuple[int, ...] = later(())
    is_one_file: bool = later(True)


def read_card(path: Path) -> tuple[ModelCard, int]:
    """Read the card of the model file at `path`; returns it with the number of parameters."""
    with TensorFile(path, KIND) as file:
        return card_of(path, file), sum(map(math.prod, file.shapes.values()))


def card_of(path: Path, file: TensorFile) -> ModelCard:
    """Read the card of an opened model file. Raises `CheckpointError` for a field that is missing, mistyped or impossible."""
    head = {name: value for name, value in file.head.items() if name != "kind"}
    head["vocab"] = vocab_from_json(head.get("vocab"), f"{path}: vocab")
    card = from_json(ModelCard, head, f"{path}: head")
    check_card(path, card)
    return card


def check_card(path: Path, card: ModelCard) -> None:
    """Raise `CheckpointError` for a card, read from `path`, that contradicts itself."""
    for name, value in (("step", card.step), ("scores.validation_nats", card.scores.validation_nats or 0)):
        if not 0 <= value <= MOST:
            raise CheckpointError(f"{path}: {name} is {value}, and must be from 0 to {MOST:g}")
    test = card.scores.test
    for share in (card.scores.accuracy, *((test.accuracy, test.macro_f1, test.word_accuracy) if test else ())):
        if not 0 <= (share or 0) <= 1:
            raise CheckpointError(f"{path}: scores has the share {share}, and it must be from 0 to 1", DAMAGED)
    if problem := what_is_wrong(card.labels, card.text.restore):
        raise CheckpointError(f"{path}: labels {problem}", DAMAGED)
    if problem := _unlike_documents(card):
        raise CheckpointError(f"{path}: {problem}", DAMAGED)
    if card.text.normalize and card.training.task == "tag" and not card.text.restore:
        raise CheckpointError(f"{path}: text has normalize, and labels of characters keep no place in another form", DAMAGED)


def _unlike_documents(card: ModelCard) -> str:
    """Where a card that says that documents are told apart contradicts itself, in words; empty where it does not."""
    numbers = card.num_documents
    if not card.text.documents:
        return "has documents, and its text has none" if card.vocab.marks or numbers else ""
    if not card.vocab.marks or card.labels:
        return f"documents are {brief(repr(card.text.documents))}, which does not fit its vocabulary or its task"
    is_possible = len(numbers) == 3 and min(numbers) >= 0 and 2 * sum(numbers) <= card.splits.test
    return "" if is_possible else f"num_documents is {brief(repr(numbers))}, which does not fit its splits"


def what_is_wrong(labels: tuple[str, ...], restore: str) -> str:
    """What is wrong with the names of labels, if anything is: they come onto lines, and into a text that is restored."""
    if len(set(labels)) < len(labels) or len(labels) > MOST_LABELS:
        return "are too many, or one is there twice"
    wrong = [label for label in labels if not label or UNFIT.search(label)]
    if wrong:
        return f"have {brief(repr(wrong[0]))}, which does not fit on a line"
    return f"are not those of what restores {restore}" if restore and not are_restorable(labels, restore) else ""
