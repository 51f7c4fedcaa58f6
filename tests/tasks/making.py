"""Small data and small models for every task, so that each law of tasks is asked of each."""

import numpy as np
import torch

from charlm.config import End, ModelConfig, TrainConfig
from charlm.model.heads import Labeller
from charlm.model.network import Network, sizes_of
from charlm.tasks.registry import TASKS, model_class
from charlm.text.corpus import Corpus
from charlm.text.examples import INSIDE, UNLABELLED, Dataset, Examples
from charlm.text.parts import Splits
from charlm.text.vocab import Vocab
from charlm.training.task import Task
from charlm.training.trainer import Trainer

V, C = 13, 6
CONFIG = TrainConfig(batch_size=4, seq_len=9, eval_every=7, sample_every=5)
VOCAB = Vocab(kind="char", symbols=tuple(range(97, 97 + V)), start=0)
LABELLED = [name for name in TASKS if issubclass(model_class(name), Labeller)]
TEXTS = 31  # that train: seven batches of four and one of three; read in pieces, one more, of two


def examples_of(lengths: list[int], *, by_character: bool, seed: int = 0, unlabelled: float = 0.2) -> Examples:
    """Random texts of these lengths, whose labels follow from their characters; a share of the characters have none."""
    draw = np.random.default_rng(seed)
    bounds = np.cumsum([0, *lengths], dtype=np.int64)
    ids = draw.integers(0, V, bounds[-1]).astype(np.uint8)
    has_none = draw.random(len(ids)) < unlabelled
    follow = (ids % C).astype(np.uint16)
    labels = np.where(has_none, np.uint16(UNLABELLED), follow) if by_character else follow[bounds[:-1]]
    places = np.full(len(ids) if by_character else 0, INSIDE, dtype=np.uint8)
    return Examples(ids=ids, bounds=bounds, labels=labels, places=places)


def dataset_of(examples: Examples, train: int, validation: int) -> Dataset:
    """Examples split at these numbers; the rest is the test part."""
    splits = Splits(train=train, validation=validation, test=len(examples))
    labels = tuple(f"label {number}" for number in range(C))
    return Dataset(examples=examples, vocab=VOCAB, labels=labels, splits=splits, sha256="", ids_sha256="")


def data_for(name: str, num_validation: int = 90) -> Corpus | Dataset:
    """What a task learns from, with about so many characters held back."""
    kind = model_class(name)
    if not issubclass(kind, Labeller):
        ids = np.random.default_rng(0).integers(0, V, 700 + num_validation).astype(np.uint8)
        splits = Splits(train=700, validation=len(ids), test=len(ids))
        return Corpus(ids=ids, vocab=VOCAB, splits=splits, sha256="", ids_sha256="")
    held_back = num_validation // 7
    lengths = [2 + number % 11 for number in range(TEXTS)] + [7] * held_back
    examples = examples_of(lengths, by_character=kind.by_character)
    return dataset_of(examples, TEXTS, len(examples))


def new_task(name: str, num_validation: int = 90, config: TrainConfig = CONFIG) -> Task:
    """The task over that."""
    return TASKS[name].of(data_for(name, num_validation), config)


def num_choices(name: str) -> int:
    """How many things there are that a model of the task chooses from."""
    return C if name in LABELLED else V


def new_network(name: str, dropout: float = 0.0, seed: int = 0) -> Network:
    """A small untrained model of the task's class, which reads both ways where it can."""
    config = ModelConfig(
        cell="gru", embedding_size=5, hidden_size=7, num_layers=2, dropout=dropout, bidirectional=name in LABELLED
    )
    sizes = sizes_of(config, V, C if name in LABELLED else 0)
    return model_class(name).initialised(*sizes, generator=torch.Generator().manual_seed(seed))


def new_trainer(
    name: str, config: TrainConfig = CONFIG, task: Task | None = None, device: str = "cpu", precision: str = "fp32"
) -> Trainer:
    """A trainer of forty steps that has taken none."""
    task = new_task(name, config=config) if task is None else task
    return Trainer.fresh(new_network(name, dropout=0.3).to(device), task, config, End("steps", 40), precision)
