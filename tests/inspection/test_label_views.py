"""What is shown of a model that gives labels: the texts one a line, and what the model makes of each as it reads it."""

import numpy as np
import pytest
import torch

from charlm.inspection import label_views, views
from charlm.inspection.findings import UnitId
from charlm.inspection.label_views import LabelViewer, first_texts
from charlm.inspection.views import closeups
from charlm.model.heads import Classifier, Tagger
from charlm.text.examples import UNLABELLED, Examples
from charlm.text.vocab import Vocab
from tests.inspection.labelled import KINDS, LENGTHS, exact_labeller, one, some_texts
from tests.inspection.reference import letters, walk
from tests.inspection.test_decisions import by_hand, forward_of

VOCAB = letters(13)
NAMES = ("bad", "good", "so so")
each_kind = pytest.mark.parametrize(("kind", "pooling"), KINDS, ids=lambda each: getattr(each, "__name__", each))


def view_of(kind: type, pooling: str = "last", **options: bool) -> tuple[LabelViewer, Examples]:
    """A view of some texts, of which one has no label."""
    examples = some_texts(by_character=kind.by_character)
    if not kind.by_character:
        examples.labels[3] = UNLABELLED
    return LabelViewer(exact_labeller(kind, pooling, **options), VOCAB, examples, NAMES), examples


def line(examples: Examples, text: int, vocab: Vocab = VOCAB) -> list[str]:
    """What is shown of a text."""
    shown, label = list(vocab.decode(one(examples, text).ids)), int(examples.labels[text])
    return [*shown, *(["\t", NAMES[label]] if not examples.by_character and label != UNLABELLED else []), "\n"]


@pytest.mark.parametrize("kind", [Classifier, Tagger])
def test_each_text_is_a_line_with_its_label(kind):
    """As in the file that such texts come from; a text without a label, or with many, ends with its last character."""
    viewer, examples = view_of(kind)
    assert list(viewer.pieces) == [piece for text in range(len(examples)) for piece in line(examples, text)]


def test_values_are_those_of_each_text_alone_and_stay_where_it_ends():
    """All signals of any units are those by hand; what is shown after a text has its last values."""
    viewer, examples = view_of(Classifier, bidirectional=True)
    (_, values), (_, again) = viewer.values([(1, 4), (1, 4)])
    np.testing.assert_array_equal(values, again)
    expected = []
    for text in range(len(examples)):
        signals = walk(forward_of(viewer.model), one(examples, text).ids).signals
        rows = np.stack(
            [np.tanh(each[:, 4]) if name == "c" else each[:, 4] for (layer, name), each in signals.items() if layer]
        )
        expected.append(rows[:, [*range(rows.shape[1]), *[-1] * (len(line(examples, text)) - rows.shape[1])]])
    np.testing.assert_allclose(values, np.concatenate(expected, axis=1), atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
@each_kind
def test_a_passage_says_which_label_is_expected_and_what_the_right_one_costs(kind, pooling, bidirectional):
    """At each character the likeliest labels, the likeliest first; at a text's last, those that the model gives it."""
    viewer, examples = view_of(kind, pooling, bidirectional=bidirectional)
    passage = viewer.passage(0, 10**6)
    assert (passage.pieces, passage.symbols, passage.has_labels) == (viewer.pieces, NAMES, True)
    np.testing.assert_allclose(passage.probabilities.sum(axis=1), 1, atol=1e-6)
    assert (np.diff(passage.probabilities, axis=1) <= 0).all()
    ends = np.cumsum([len(line(examples, text)) for text in range(len(examples))]) - 1
    for text, end in enumerate(ends.tolist()):
        single = one(examples, text)
        ids, lengths = torch.from_numpy(single.ids.astype(np.int64)).unsqueeze(1), torch.tensor(single.lengths)
        logits = viewer.model(ids, lengths)
        given = (logits[-1, 0] if examples.by_character else logits[0]).softmax(dim=-1).numpy()
        np.testing.assert_allclose(passage.probabilities[end], np.sort(given)[::-1], atol=1e-6)
        np.testing.assert_array_equal(passage.expected[end], np.argsort(-given))
        np.testing.assert_allclose(passage.surprise[end], by_hand(viewer.model, examples, text, {})[-1], atol=1e-6)


@pytest.mark.parametrize(("start", "length"), [(0, 1), (3, 20), (40, 7), (90, 10**6)])
def test_any_passage_is_a_piece_of_the_whole(start, length):
    """Wherever it begins and ends, within a text or over several."""
    viewer, _ = view_of(Classifier, "mean")
    whole, some = viewer.passage(0, 10**6), viewer.passage(start, length)
    assert some.start == start
    assert some.pieces == whole.pieces[start : start + length]
    for name in ("surprise", "expected", "probabilities"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[start : start + length])


@pytest.mark.parametrize(("most", "number"), [(0, 1), (5, 1), (6, 2), (14, 2), (15, 3), (10**6, len(LENGTHS))])
def test_the_first_texts_are_whole(most, number):
    """As many as fit, and one where none does."""
    found = first_texts(some_texts(by_character=False), most)
    assert found.lengths.tolist() == list(LENGTHS[:number])


def test_no_texts_have_no_first():
    """Nothing in, nothing out."""
    assert len(first_texts(some_texts(by_character=False).part(0, 0), 9)) == 0


def test_a_closeup_is_of_what_is_shown(monkeypatch):
    """Only so many characters are looked at, in whole texts; a unit is shown where it varies most, from where a text begins."""
    monkeypatch.setattr(label_views, "VIEWED", 30)
    viewer, examples = view_of(Classifier)
    assert len(viewer.ids) == sum(LENGTHS[:5])
    unit = UnitId(layer=1, unit=2, signal="c")
    (shown,) = closeups(viewer, [unit], viewer.values([(1, 2)]), (), 8)
    assert len(shown.passage.pieces) == shown.view.values.shape[1] == 8
    assert shown.passage.start in np.cumsum([0, *(len(line(examples, text)) for text in range(5))])
    assert shown.view.histogram.shape[1] == views.HISTOGRAM_BINS
