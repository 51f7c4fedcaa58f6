"""What a model makes of labelled texts, and how its answers are scored, against one text at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.labelling import predict
from charlm.labelling.predict import as_read, probabilities, score
from charlm.model.heads import POOLINGS, Classifier, Labeller, Tagger
from charlm.text.batches import some
from charlm.text.examples import UNLABELLED, Examples
from tests.tasks.making import C, V, examples_of

LENGTHS = [1, 9, 2, 17, 5, 5, 1, 30, 3, 12, 8] * 3
KINDS = [*((Classifier, pooling) for pooling in POOLINGS), (Tagger, "last")]
each_kind = pytest.mark.parametrize(("kind", "pooling"), KINDS, ids=lambda each: getattr(each, "__name__", each))


def new_labeller(kind: type[Labeller], pooling: str = "last") -> Labeller:
    config = ModelConfig(embedding_size=5, hidden_size=7, num_layers=2, pooling=pooling, bidirectional=True)
    return kind.initialised(config, V, C, generator=torch.Generator().manual_seed(4))


def texts(kind: type[Labeller]) -> Examples:
    return examples_of(LENGTHS, by_character=kind.by_character)


def rows_of(found: np.ndarray, examples: Examples, *, by_character: bool) -> list[np.ndarray]:
    """The rows of each text."""
    return np.split(found, examples.bounds[1:-1]) if by_character else list(found)


@torch.inference_mode()
def one_at_a_time(model: Labeller, examples: Examples) -> list[np.ndarray]:
    """Log-probabilities, `(T, C)` or `(1, C)` for each text, each read alone."""
    found = []
    for number in range(len(examples)):
        ids = torch.from_numpy(examples.part(number, number + 1).ids.astype(np.int64))
        found.append(model(ids[:, None], torch.tensor([len(ids)])).reshape(-1, C).log_softmax(-1).numpy())
    return found


@each_kind
@pytest.mark.parametrize("size", [1, 40, 1 << 14])
def test_predictions_do_not_depend_on_the_batch_size(kind, pooling, size, monkeypatch):
    """Whatever is read together, a text's probabilities are those that it has alone, within 1e-5."""
    monkeypatch.setattr(predict, "AT_A_TIME", size)
    model, examples = new_labeller(kind, pooling), texts(kind)
    heard: list[int] = []
    found = probabilities(model, examples, heard.append)
    assert found.dtype == np.float32
    assert found.shape == (examples.num_characters if kind.by_character else len(examples), C)
    expected = np.exp(np.concatenate(one_at_a_time(model, examples)))
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    assert heard == sorted(heard)
    assert heard[-1] == examples.num_characters


@each_kind
def test_predictions_do_not_depend_on_the_order(kind, pooling):
    """Turned about, the same texts have the same probabilities, within 1e-5, in their new places."""
    model, examples = new_labeller(kind, pooling), texts(kind)
    order = np.random.default_rng(5).permutation(len(examples))
    turned = some(examples, order)
    before = rows_of(probabilities(model, examples), examples, by_character=kind.by_character)
    after = rows_of(probabilities(model, turned), turned, by_character=kind.by_character)
    for place, number in enumerate(order):
        np.testing.assert_allclose(after[place], before[number], atol=1e-5, rtol=0)


@each_kind
def test_probabilities_are_of_one_thing_each(kind, pooling):
    """They are from 0 to 1 and add up to 1."""
    found = probabilities(new_labeller(kind, pooling), texts(kind))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("kind", [Classifier, Tagger])
def test_of_no_text_there_is_nothing_to_say(kind):
    """No row, and no loss."""
    model, none = new_labeller(kind), texts(kind).part(0, 0)
    assert probabilities(model, none).shape == (0, C)
    assert (score(model, none).nats, score(model, none).num_characters) == (0.0, 0)


@each_kind
@pytest.mark.parametrize("size", [1, 40, 1 << 14])
def test_a_score_is_a_sum_by_hand(kind, pooling, size, monkeypatch):
    """The loss of each label that there is, in nats, and the share for which the most probable one is right."""
    monkeypatch.setattr(predict, "AT_A_TIME", size)
    model, examples = new_labeller(kind, pooling), texts(kind)
    losses, right = [], []
    for number, found in enumerate(one_at_a_time(model, examples)):
        for row, label in zip(found, examples.part(number, number + 1).labels.tolist(), strict=True):
            if label != UNLABELLED:
                losses.append(-float(row[label]))
                right.append(int(row.argmax()) == label)
    result = score(model, examples)
    assert result.num_characters == len(losses) == (examples.labels != UNLABELLED).sum()
    assert result.nats == pytest.approx(sum(losses), rel=1e-5)
    assert result.accuracy == sum(right) / len(right)
    assert 0 < sum(right) < len(right)


def test_a_label_that_is_missing_is_not_scored():
    """Whatever stands in its place, the score is that of the others."""
    model, examples = new_labeller(Tagger), texts(Tagger)
    whole = score(model, examples)
    fewer = examples.labels.copy()
    fewer[examples.bounds[3] : examples.bounds[4]] = UNLABELLED
    left = np.array([number for number in range(len(examples)) if number != 3])
    alone = score(model, some(examples, left))
    without = score(model, replace(examples, labels=fewer))
    assert without.num_characters == alone.num_characters < whole.num_characters
    assert without.nats == pytest.approx(alone.nats, rel=1e-5)
    assert without.accuracy == alone.accuracy


def test_a_kind_of_model_reads_a_long_text_in_its_way():
    """For a label of the whole its beginning; for labels of all its characters every one of them."""
    assert as_read(Classifier, texts(Classifier), 4).lengths.tolist() == [min(4, length) for length in LENGTHS]
    read = as_read(Tagger, texts(Tagger), 4)
    assert read.lengths.max() == 4
    assert read.ids.tolist() == texts(Tagger).ids.tolist()
