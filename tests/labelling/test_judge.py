"""A model and its baselines on the same texts, against scores of what each predicts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.errors import TextError
from charlm.labelling.baselines import baselines_for_characters, baselines_for_texts
from charlm.labelling.judge import judged
from charlm.labelling.metrics import report_on_characters, report_on_texts
from charlm.labelling.predict import probabilities
from charlm.labelling.words import votes_for
from charlm.model.heads import Classifier, Labeller, Tagger
from charlm.text.batches import beginnings, pieces
from charlm.text.examples import UNLABELLED
from tests.labelling.examples import random_tagged

V, C, SEQ_LEN = 30, 3, 7
CONFIG = ModelConfig(embedding_size=4, hidden_size=5)


def new(kind: type[Labeller]) -> Labeller:
    return kind.initialised(CONFIG, V, C, generator=torch.Generator().manual_seed(3))


def new_examples():
    tagged = random_tagged(np.random.default_rng(1), 23, C)
    return replace(tagged, ids=(tagged.ids % V).astype(np.uint8))


def same(one, other) -> None:
    """Two reports are equal in everything."""
    np.testing.assert_array_equal(one.confusion, other.confusion)
    assert (one.accuracy, one.macro_f1, one.labels, one.word_accuracy) == (
        other.accuracy,
        other.macro_f1,
        other.labels,
        other.word_accuracy,
    )


def test_a_classifier_reads_the_beginnings_and_its_baselines_everything():
    """Each report is that of what the model, or the baseline, gives by itself, with the same seed."""
    tagged, rng = new_examples(), np.random.default_rng(2)
    texts = replace(tagged, labels=rng.integers(0, C, len(tagged)).astype(np.uint16), places=np.zeros(0, np.uint8))
    model, baselines = new(Classifier), baselines_for_texts(texts, texts, C)
    found = judged(model, texts, baselines, seq_len=SEQ_LEN, one_label_a_word=False, seed=4)
    predicted = probabilities(model, beginnings(texts, SEQ_LEN)).argmax(axis=1)
    same(found.model, report_on_texts(texts.labels, predicted.astype(np.uint16), C, seed=4))
    assert [each.name for each in found.baselines] == ["majority", "n-grams"]
    for each, baseline in zip(found.baselines, baselines, strict=True):
        same(each.report, report_on_texts(texts.labels, baseline.predict(texts), C, seed=4))


@pytest.mark.parametrize("one_label_a_word", [True, False])
def test_a_tagger_reads_pieces_and_is_scored_on_whole_texts(one_label_a_word):
    """Words that a piece ends within are whole again; where a word has one label, the characters of a word vote."""
    examples, model = new_examples(), new(Tagger)
    baselines = baselines_for_characters(examples, V, words_are_seen=True)
    found = judged(model, examples, baselines, seq_len=SEQ_LEN, one_label_a_word=one_label_a_word, seed=4)
    each = probabilities(model, pieces(examples, SEQ_LEN))
    votes = np.log(each) if one_label_a_word else None
    same(found.model, report_on_characters(examples, each.argmax(axis=1).astype(np.uint16), C, votes=votes, seed=4))
    for scored, baseline in zip(found.baselines, baselines, strict=True):
        labels = baseline.predict(examples)
        votes = votes_for(labels, C) if one_label_a_word else None
        same(scored.report, report_on_characters(examples, labels, C, votes=votes, seed=4))


def test_how_far_it_is_is_told():
    """Fractions from 0 to 1 that never fall within a stage, and the same judgement whoever listens."""
    examples, model, told = new_examples(), new(Tagger), []
    baselines = baselines_for_characters(examples, V, words_are_seen=False)
    arguments = {"seq_len": SEQ_LEN, "one_label_a_word": False}
    found = judged(model, examples, baselines, **arguments, tell=lambda stage, fraction: told.append((stage, fraction)))
    same(found.model, judged(model, examples, [], **arguments).model)
    assert len({stage for stage, _ in told}) == 3
    assert told == sorted(told, key=lambda each: [stage for stage, _ in told].index(each[0]) + each[1] / 2)
    assert all(0 <= fraction <= 1 for _, fraction in told)


def test_texts_without_any_label_are_an_error():
    """There is nothing to score."""
    examples = new_examples()
    nothing = replace(examples, labels=np.full_like(examples.labels, UNLABELLED))
    with pytest.raises(TextError, match="label"):
        judged(new(Tagger), nothing, [], seq_len=SEQ_LEN, one_label_a_word=False)


def test_a_probability_that_has_vanished_still_has_a_logarithm():
    """Where a word has one label, a label that its characters rule out only loses the vote."""
    model = new(Tagger)
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([0.0, 300.0, -300.0]))
    assert probabilities(model, pieces(new_examples(), SEQ_LEN)).min() == 0
    found = judged(model, new_examples(), [], seq_len=SEQ_LEN, one_label_a_word=True)
    assert found.model.confusion[:, 1].sum() == found.model.confusion.sum() > 0
