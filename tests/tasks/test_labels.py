"""Tasks that give labels: what is read in an epoch, what is scored, and texts from which nothing can be learned."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, TrainConfig
from charlm.errors import TextError
from charlm.evaluation import MOST_CHARACTERS
from charlm.labelling.predict import as_read
from charlm.model.devices import CPU
from charlm.model.heads import Classifier
from charlm.tasks.registry import TASKS, model_class
from charlm.text.batches import NO_LABEL
from charlm.text.examples import UNLABELLED, Dataset, Examples
from charlm.training.loop import train
from tests.tasks.making import CONFIG, LABELLED, C, V, data_for, dataset_of, examples_of, new_network, new_task, new_trainer

STAND_IN = 1 / V  # the share of the characters that already are what stands for those unread
each_labelled = pytest.mark.parametrize("name", LABELLED)


def texts_of(examples: Examples) -> Counter:
    """Each text with its labels, as often as it occurs."""
    found: Counter = Counter()
    for number in range(len(examples)):
        one = examples.part(number, number + 1)
        labels = np.where(one.labels == UNLABELLED, NO_LABEL, one.labels.astype(int))
        found[tuple(one.ids.tolist()), tuple(labels.tolist())] += 1
    return found


def texts_read(task, epoch: int) -> tuple[Counter, list[int]]:
    """What the batches of an epoch hold, in the same form, and how many texts each has."""
    found: Counter = Counter()
    sizes = []
    for batch in task.batches(epoch, 0, CPU):
        sizes.append(len(batch.lengths))
        assert batch.num_characters == batch.ids.numel() == len(batch.ids) * len(batch.lengths)
        for place, length in enumerate(batch.lengths.tolist()):
            labels = batch.labels[:length, place] if batch.labels.ndim == 2 else batch.labels[place : place + 1]
            found[tuple(batch.ids[:length, place].tolist()), tuple(labels.tolist())] += 1
    return found, sizes


@each_labelled
def test_an_epoch_reads_every_text_once(name):
    """As the model reads them, in batches of which one may be smaller, and in another order each time."""
    task, whole = new_task(name), as_read(model_class(name), data_for(name).train, CONFIG.seq_len)
    task = replace(task, training=replace(task.training, num_unread=0))
    for epoch in range(3):
        found, sizes = texts_read(task, epoch)
        if task.shortest == 1:
            assert found == texts_of(whole)
        else:  # stretches of them, each with its text's label
            assert Counter(labels for _, labels in found.elements()) == Counter(
                labels for _, labels in texts_of(whole).elements()
            )
        assert sorted(sizes)[1:] == [CONFIG.batch_size] * (task.batches_per_epoch - 1)
    assert 0 < min(sizes) < CONFIG.batch_size


@each_labelled
def test_of_few_characters_a_share_is_not_read_and_of_many_each_is(name, monkeypatch):
    """So that a few thousand words are not learned by heart, and of many nothing is kept from the model."""
    found = new_task(name).training
    differ = characters = 0
    for epoch in range(60):
        for some, all_ in zip(found.batches(epoch, 0, CPU), replace(found, num_unread=0).batches(epoch, 0, CPU), strict=True):
            differ += int((some.ids != all_.ids).sum())
            characters += int(some.lengths.sum())
    assert differ / characters == pytest.approx(TASKS[name].num_unread * (1 - STAND_IN), abs=0.01) != 0
    monkeypatch.setattr("charlm.tasks.labels.MANY", found.examples.num_characters)
    assert new_task(name).training.num_unread == 0


def test_a_classifier_learns_its_label_at_every_character():
    """The loss is half that of the label at the end, half the mean over a text's characters of that of each beginning."""
    config = ModelConfig(cell="gru", embedding_size=5, hidden_size=7, num_layers=2, pooling="mean")
    task, model = new_task("classify"), Classifier.initialised(config, V, C, generator=torch.Generator().manual_seed(0))
    batch = next(task.batches(0, 0, CPU))
    at_end, along = [], []
    for place, length in enumerate(batch.lengths.tolist()):
        nats = []
        for stop in range(1, length + 1):
            logits = model(batch.ids[:stop, place : place + 1], torch.tensor([stop]))
            nats.append(torch.nn.functional.cross_entropy(logits, batch.labels[place : place + 1]))
        at_end.append(nats[-1])
        along.append(torch.stack(nats).mean())
    expected = (torch.stack(at_end).mean() + torch.stack(along).mean()) / 2
    torch.testing.assert_close(task.loss(model, batch, (), None)[0], expected)


def without_labels(data: Dataset, start: int, stop: int) -> Dataset:
    """The same, but no character of the texts from `start` to `stop` has a label."""
    labels, bounds = data.examples.labels.copy(), data.examples.bounds
    labels[bounds[start] : bounds[stop]] = UNLABELLED
    return replace(data, examples=replace(data.examples, labels=labels))


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, batch_size=1, seq_len=1), replace(CONFIG, batch_size=1, seq_len=2)])
def test_what_has_no_label_is_not_learned_from(config):
    """A text or a piece of one without any label is in no batch: the loss of a batch is always a number."""
    data = without_labels(data_for("tag"), 3, 11)
    task, model = TASKS["tag"].of(data, config), new_network("tag")
    for batch in task.batches(0, 0, CPU):
        assert (batch.labels != NO_LABEL).any(dim=0).all()
        assert task.loss(model, batch, (), None)[0].isfinite()
    has_label = data.train.labels != UNLABELLED
    assert sum(int((batch.labels != NO_LABEL).sum()) for batch in task.batches(0, 0, CPU)) == has_label.sum()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_part_without_any_label(part):
    """There is nothing to train on, which is said; or no score, as where nothing is held back."""
    data = data_for("tag")
    spoiled = without_labels(data, *((0, data.splits.train) if part == "train" else (data.splits.train, data.splits.test)))
    if part == "train":
        with pytest.raises(TextError, match="no text is left to train on"):
            TASKS["tag"].of(spoiled, CONFIG)
        return
    task = TASKS["tag"].of(spoiled, CONFIG)
    assert task.look_size == 0
    assert task.score(new_network("tag"), exact=True) is None


@each_labelled
def test_a_score_is_of_all_that_is_held_back(name):
    """The accuracy is the share of labels that come out right, one text at a time; the loss is their mean."""
    task, model = new_task(name), new_network(name)
    nats, right, count = 0.0, 0, 0
    for number in range(len(task.validation)):
        one = task.validation.part(number, number + 1)
        logits = model(torch.tensor(one.ids.astype(int))[:, None], torch.tensor([len(one.ids)])).reshape(-1, C)
        for row, label in zip(logits.log_softmax(-1), one.labels.tolist(), strict=True):
            if label != UNLABELLED:
                nats, right, count = nats - row[label].item(), right + int(row.argmax() == label), count + 1
    heard: list[int] = []
    score = task.score(model, exact=True, tell=heard.append)
    assert score.num_characters == count
    assert score.accuracy == right / count
    assert score.nats == pytest.approx(nats, rel=1e-5)
    assert heard[-1] == task.validation.num_characters


@each_labelled
def test_a_look_is_at_texts_from_all_over(name, monkeypatch):
    """Where more is held back than a look reads, it reads about as much, from the first text to the last."""
    monkeypatch.setattr("charlm.tasks.labels.MOST_CHARACTERS", 40)
    task, model = new_task(name), new_network(name)
    exact, look = (task.score(model, exact=exact) for exact in (True, False))
    assert 0 < look.num_characters < exact.num_characters
    assert look == task.score(model, exact=False)
    assert MOST_CHARACTERS > 40


SHAPES = [{"batch_size": 1}, {"seq_len": 1}, {"batch_size": 1, "seq_len": 1}, {"batch_size": 1 << 20}]


@each_labelled
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("lengths", [[1] * 5, [1, 1, 200, 3]], ids=str)
def test_texts_of_any_length_train(name, shape, lengths):
    """One character, or a batch of one, or one long among short ones: each step has a finite loss and a state that is saved."""
    config = TrainConfig(**{"batch_size": 4, "seq_len": 64, "eval_every": 3} | shape)
    examples = examples_of(lengths, by_character=name == "tag", unlabelled=0.0)
    task = TASKS[name].of(dataset_of(examples, len(lengths) - 1, len(lengths)), config)
    assert task.batch_size <= config.batch_size
    trainer = new_trainer(name, config, task)
    list(train(trainer, elapsed=lambda: 0.0, should_stop=lambda: trainer.step >= 6))
    assert trainer.step == 6
    assert all(tensor.isfinite().all() for tensor in trainer.tensors().values() if tensor.is_floating_point())
