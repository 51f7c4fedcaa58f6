"""Documents as they are shown: each with the values and the losses that it has alone, from the zero state on."""

import numpy as np
import pytest
import torch

from charlm.inspection.document_views import DocumentViewer, as_lines, as_texts
from charlm.model.stepper import Stepper
from charlm.text.documents import Documents
from tests.tasks.test_documents import VOCAB, V, alone, ids_of, new_model

SIZES = [5, 1, 12, 3, 9, 30, 2, 7]


@pytest.fixture
def viewer() -> DocumentViewer:
    """A look at all of them by an untrained model."""
    return DocumentViewer(new_model(), as_lines(VOCAB), as_texts(ids_of(SIZES), VOCAB))


def test_each_document_begins_a_line(viewer):
    """What stands before it is shown as a line end, and what ends it is not read, so not shown; what may come next is both."""
    text = VOCAB.decode(ids_of(SIZES))
    ends = np.cumsum(SIZES)
    assert "".join(viewer.pieces) == "".join("\n" + text[end - size : end] for size, end in zip(SIZES, ends, strict=True))
    assert viewer.passage(0, 3).symbols == (*map(chr, range(97, 97 + V)), "\n", "\n")


def test_values_are_those_of_each_document_alone(viewer):
    """Whatever was read before it."""
    model = viewer.model
    ((signals, values),) = viewer.values([(1, 4)])
    row = values[[signal.name for signal in signals].index("h")]
    stepper, expected, state = Stepper(model), [], model.initial_state(1)
    for symbol in viewer.ids.tolist():
        state = model.initial_state(1) if symbol == VOCAB.start else state
        _, state = stepper.step(torch.tensor([symbol]), state)
        expected.append(float(state[1][0][0, 4]))
    assert row.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("start", "length"), [(0, 1000), (0, 4), (3, 1), (7, 30), (20, 26), (40, 9)])
def test_a_passage_has_the_losses_of_each_document_alone(viewer, start, length):
    """From wherever it is shown; a START is not predicted, and what was expected adds up to less than all."""
    documents = Documents.of(ids_of(SIZES), VOCAB)
    expected = [loss for nats in alone(viewer.model, documents) for loss in (np.nan, *nats[:-1])]
    passage = viewer.passage(start, length)
    np.testing.assert_allclose(passage.surprise, expected[start : start + length], atol=2e-6)
    assert len(passage.pieces) == len(passage.expected) == len(passage.surprise)
    likeliest = -np.log(passage.probabilities[:, 0])
    following = np.append(passage.surprise[1:], np.nan)
    assert (likeliest <= following + 1e-5)[~np.isnan(following)].all()
