"""The task over documents: what it learns from and how it scores them, held against each document read alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from charlm import document_scores
from charlm.checkpoint.training import load_trainer
from charlm.config import End, ModelConfig, TrainConfig
from charlm.document_scores import document_look, document_score, in_order
from charlm.evaluation import MOST_CHARACTERS
from charlm.model.devices import CPU
from charlm.model.language_model import LanguageModel
from charlm.model.stack import detach, flat
from charlm.model.stepper import Stepper
from charlm.tasks.documents import DocumentsTask
from charlm.tasks.language import LanguageTask
from charlm.tasks.registry import task_class
from charlm.text.batches import NO_LABEL
from charlm.text.corpus import Corpus
from charlm.text.cutting import encoded
from charlm.text.documents import Documents
from charlm.text.parts import Splits
from charlm.text.vocab import END, START, Vocab
from charlm.training.loop import training_step
from charlm.training.trainer import Trainer
from tests.conftest import save_trainer

V = 11
VOCAB = Vocab(kind="char", symbols=(*range(97, 97 + V), START, END), start=V)
SIZES = [1, 2, 3, 5, 8, 13, 21, 34, 55, 4, 6, 7, 9, 10]
HELD_OUT = [3, 29, 1, 8, 8, 17]
CONFIG = TrainConfig(batch_size=4, seq_len=6)


def ids_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    """Documents of so many random letters."""
    draw = np.random.default_rng(seed)
    return encoded(VOCAB, ["".join(map(chr, draw.integers(97, 97 + V, size))) for size in sizes])


def corpus_of(sizes: list[int], held_out: list[int]) -> Corpus:
    """Those that train, and those that are held out."""
    train, validation = ids_of(sizes), ids_of(held_out, seed=1)
    splits = Splits(train=len(train), validation=len(train) + len(validation), test=len(train) + len(validation))
    return Corpus(ids=np.concatenate([train, validation]), vocab=VOCAB, splits=splits, sha256="", ids_sha256="")


def new_task(config: TrainConfig = CONFIG) -> DocumentsTask:
    return DocumentsTask.of(corpus_of(SIZES, HELD_OUT), config)


def new_model(dropout: float = 0.0, cell: str = "lstm") -> LanguageModel:
    config = ModelConfig(cell=cell, embedding_size=5, hidden_size=9, num_layers=2, dropout=dropout)
    return LanguageModel.initialised(config, len(VOCAB), generator=torch.Generator().manual_seed(2))


def alone(model: LanguageModel, documents: Documents) -> list[list[float]]:
    """What each symbol of each document costs, one step at a time, each document from the zero state, in float64 NumPy."""
    stepper, found = Stepper(model), []
    for start, end in zip(documents.starts, documents.ends, strict=True):
        state, nats = model.initial_state(1), []
        for place in range(start, end - 1):
            logits, state = stepper.step(torch.tensor([int(documents.ids[place])]), state)
            scores = logits[0].detach().double().numpy()
            following = int(documents.ids[place + 1])
            nats.append(float(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[following]))
        found.append(nats)
    return found


def test_a_corpus_with_documents_is_another_task():
    """What the vocabulary says decides; each of the others is what its name says."""
    assert task_class("language", VOCAB) is DocumentsTask
    assert task_class("language", replace(VOCAB, symbols=VOCAB.symbols[:V], start=0)) is LanguageTask


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("together", [7, 40, 1 << 13])
def test_the_exact_score_is_that_of_each_document_alone(monkeypatch, cell, together):
    """However many are read side by side, and where some are too long for that: the same to a millionth, in all and of each."""
    monkeypatch.setattr(document_scores, "SIDE_BY_SIDE", together)
    monkeypatch.setattr(document_scores, "WINDOW", 5)
    task, model, heard = new_task(), new_model(cell=cell), []
    score = task.score(model, exact=True, tell=heard.append)
    expected = alone(model, task.validation)
    assert score.num_characters == sum(HELD_OUT) + len(HELD_OUT) == sum(map(len, expected))
    assert score.nats_per_character == pytest.approx(sum(map(sum, expected)) / score.num_characters, abs=1e-6)
    for mine, theirs in zip(in_order(model, task.validation), expected, strict=True):
        assert mine.tolist() == pytest.approx(theirs, abs=2e-6)
    assert heard == sorted(heard)
    assert heard[-1] == score.num_characters


def test_a_look_at_few_documents_is_exact():
    """It reads all of them; of many it reads some, and of long ones the beginnings."""
    task, model = new_task(), new_model()
    assert task.score(model, exact=False) == task.score(model, exact=True)
    many = Documents.of(np.tile(ids_of([700, 3]), 400), VOCAB)
    look = document_look(model, many)
    assert MOST_CHARACTERS / 4 < look.num_characters <= MOST_CHARACTERS
    assert task.look_size == sum(HELD_OUT) + len(HELD_OUT)


def test_without_documents_held_out_there_is_no_score():
    """Neither a look nor an exact one."""
    task = DocumentsTask.of(corpus_of(SIZES, []), CONFIG)
    assert task.score(new_model(), exact=True) is task.score(new_model(), exact=False) is None
    assert task.look_size == 0


def test_the_losses_of_an_epoch_are_those_of_each_document_alone():
    """Weighed by what each window predicts they add up to the score of the training part: the state goes over, within documents
    only, and what fills up counts nowhere.
    """
    task, model = new_task(), new_model()
    state, nats, number = task.initial_state(model), 0.0, 0
    for batch in task.batches(1, 0, CPU):
        loss, state = task.loss(model, batch, state, None)
        state = detach(state)
        assert all(part.shape == (task.batch_size, 9) for part in flat(state))
        nats, number = nats + loss.item() * batch.num_characters, number + batch.num_characters
    assert number == task.training.documents.num_predicted
    assert nats / number == pytest.approx(sum(map(sum, alone(model, task.training.documents))) / number, abs=1e-6)


def test_a_loss_is_the_mean_of_what_is_predicted():
    """Of the targets that are real, whatever fills up; gradients reach the state that a window begins with, but at a batch's
    first it is zero.
    """
    task, model = new_task(), new_model()
    for batch in task.batches(0, 0, CPU):
        state = tuple(
            tuple(torch.full_like(part, 0.3).requires_grad_() for part in parts) for parts in task.initial_state(model)
        )
        loss, _ = task.loss(model, batch, state, None)
        width = batch.inputs.shape[1]
        begun = tuple(tuple(part[:width] * (not batch.begins) for part in parts) for parts in state)
        logits, _ = model(batch.inputs, begun)
        is_real = batch.targets != NO_LABEL
        mean = -logits.log_softmax(-1)[is_real].gather(1, batch.targets[is_real].unsqueeze(1)).mean()
        assert loss.item() == pytest.approx(mean.item(), abs=1e-6)
        loss.backward()
        reached = [part.grad is not None and bool((part.grad[:width] != 0).any()) for part in flat(state)]
        assert all(reached) != bool(batch.begins)
        assert any(reached) != bool(batch.begins)


@pytest.mark.parametrize("done", [1, 4, 9, 15])
def test_training_goes_on_bit_for_bit(tmp_path, done):
    """From anywhere, also from amid a batch of long documents, whose state is carried."""

    def new_trainer() -> Trainer:
        return Trainer.fresh(new_model(dropout=0.3), new_task(), CONFIG, End("steps", 30), "fp32")

    def take(trainer: Trainer, steps: int) -> None:
        while trainer.step < steps:
            if trainer.batch == 0:
                trainer.state = trainer.task.initial_state(trainer.model)
            for batch in trainer.task.batches(trainer.epoch, trainer.batch, CPU):
                training_step(trainer, batch)
                trainer.step, trainer.batch = trainer.step + 1, trainer.batch + 1
                if trainer.step == steps:
                    return
            trainer.epoch, trainer.batch = trainer.epoch + 1, 0

    whole, first, second = new_trainer(), new_trainer(), new_trainer()
    take(whole, 27)
    take(first, done)
    save_trainer(tmp_path / "state", first)
    assert load_trainer(tmp_path / "state", second) == []
    take(second, 27)
    assert (second.epoch, second.batch) == (whole.epoch, whole.batch)
    theirs = whole.tensors()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in second.tensors().items())


def test_the_end_of_a_document_is_learned():
    """Two hundred steps over words of one letter, each three long, and hardly anything is left to be known."""
    texts = [letter * 3 for letter in "abcdefghijk"] * 3
    ids = encoded(VOCAB, texts)
    corpus = Corpus(
        ids=ids, vocab=VOCAB, splits=Splits(train=len(ids), validation=len(ids), test=len(ids)), sha256="", ids_sha256=""
    )
    config = replace(CONFIG, batch_size=11, learning_rate=0.05)
    task = DocumentsTask.of(corpus, config)
    trainer = Trainer.fresh(new_model(), task, config, End("steps", 200), "fp32")
    for epoch in range(67):
        for batch in task.batches(epoch, 0, CPU):
            training_step(trainer, batch)
    nats = document_score(trainer.model, task.training.documents).nats_per_character
    assert nats == pytest.approx(math.log(V) / 4, abs=0.1)
