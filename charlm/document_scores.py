"""The loss of documents under a model, each read from the zero state. Knows nothing of files or of training.

Every character and the END of a document are predicted; its START is only read. Short documents are read side by side, those of
about equal length together; a long one is read as a text is, in lanes.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from charlm.evaluation import MOST_CHARACTERS, MOST_LOGITS, WINDOW, Score, TellCount, ignore, surprisals, tell_from
from charlm.model.language_model import LanguageModel, next_symbol_nats
from charlm.model.stack import ModelState, streams
from charlm.text.batches import Places, by_length
from charlm.text.documents import Documents

SIDE_BY_SIDE = 1 << 13  # predictions, with what fills up, of documents that are read together; a longer one is read alone
LEAST_LOOKED_AT = 64  # documents of a look, where there are as many


def document_score(model: LanguageModel, documents: Documents, tell: TellCount = ignore) -> Score:
    """The summed loss of all documents; `num_characters` counts their characters and one END for each.

    `tell` hears how many of these have been predicted.
    """
    nats = sum(piece.double().sum().item() for _, piece in document_surprisals(model, documents, tell))
    return Score(nats=nats, num_characters=documents.num_characters)


def document_look(model: LanguageModel, documents: Documents) -> Score:
    """A look at the loss: at documents spread evenly over all, about 50,000 characters, of long ones at the beginnings."""
    share = MOST_CHARACTERS / documents.num_predicted
    if share < 1:
        number = min(len(documents), max(LEAST_LOOKED_AT, int(share * len(documents))))
        which = np.linspace(0, len(documents) - 1, number).astype(np.int64)
        documents = documents.some(which).beginnings(-(-MOST_CHARACTERS // number))
    return document_score(model, documents)


def in_order(model: LanguageModel, documents: Documents, tell: TellCount = ignore) -> list[Tensor]:
    """The losses of each document, one float32 tensor on the CPU for each, in order."""
    found: list[list[Tensor]] = [[] for _ in range(len(documents))]
    for which, nats in document_surprisals(model, documents, tell):
        for number, column in zip(which.tolist(), nats.unbind(1), strict=True):
            found[number].append(column)
    lengths = documents.lengths.tolist()
    return [torch.cat(parts)[:length] for parts, length in zip(found, lengths, strict=True)]


@torch.inference_mode()
def document_surprisals(
    model: LanguageModel, documents: Documents, tell: TellCount = ignore
) -> Iterator[tuple[Places, Tensor]]:
    """The losses in nats of every document, piece by piece, `(T, k)` float32 on the CPU: T steps of k documents, with their
    numbers `(k,)`. What fills up a document has no loss, 0. The pieces of a document come in order.
    """
    done = 0
    for which in by_length(documents.lengths, SIDE_BY_SIDE):
        size = int(documents.lengths_of(which).sum())
        if size > SIDE_BY_SIDE:
            ids = documents.ids[documents.starts[which[0]] : documents.ends[which[0]]]
            for nats in surprisals(model, ids, partial(tell_from, tell, done)):
                yield which, nats.unsqueeze(1)
        else:
            yield from _side_by_side(model, documents, documents.longest_first(which))
        done += size
        tell(done)


def _side_by_side(model: LanguageModel, documents: Documents, which: Places) -> Iterator[tuple[Places, Tensor]]:
    """The losses of the documents `which`, longest first; each is left out once it is over."""
    state: ModelState = model.initial_state(len(which))
    longest = int(documents.lengths_of(which[:1])[0])
    window = max(1, min(WINDOW, MOST_LOGITS // (len(which) * model.vocab_size)))
    for first in range(0, longest, window):
        ids, targets, *_ = documents.window(which, first, min(first + window, longest), model.device)
        logits, state = model(ids, streams(state, slice(ids.shape[1])))
        yield which[: ids.shape[1]], next_symbol_nats(logits, targets).cpu()
