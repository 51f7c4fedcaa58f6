"""`charlm eval` on a model of documents: each is read by itself, from its start to its end.

It is imported only when the command runs, because it needs torch and --help does not.
"""

import sys
from collections.abc import Iterator, Sequence

from charlm.config import CorpusConfig
from charlm.display.terminal import ORANGE, ColouredText, visible_line
from charlm.display.waiting import waiting
from charlm.document_scores import document_score, in_order
from charlm.errors import counted
from charlm.evaluation import Score
from charlm.model.language_model import LanguageModel
from charlm.text.cutting import read_documents
from charlm.text.documents import Documents
from charlm.text.vocab import Vocab

TOGETHER = 1 << 15  # symbols that are scored before they are printed, or one document


def read_documents_for(
    files: Sequence[str], vocab: Vocab, reading: CorpusConfig, *, skip_unknown: bool
) -> tuple[Documents, int]:
    """The documents of `files`, cut as `reading` says, and how many symbols were left out; what people should know is printed.

    Raises `TextError` as `read_documents` does.
    """
    found = read_documents(files, reading, vocab, skip_unknown=skip_unknown)
    for notice in found.notices:
        print(visible_line(notice), file=sys.stderr)
    if found.skipped:
        print(f"left out: {counted(found.skipped, 'character')} that the model has never seen", file=sys.stderr)
    return found.documents, found.skipped


def score_documents(model: LanguageModel, documents: Documents) -> Score:
    """Score all documents exactly, and show how far it is."""
    with waiting() as tell:
        return document_score(model, documents, lambda count: tell("scoring", count / documents.num_predicted))


def show_documents(model: LanguageModel, documents: Documents, vocab: Vocab, most_nats: float) -> Score:
    """Score all documents, and print each character coloured by its loss in nats, with a line break after each document."""
    screen = ColouredText(sys.stdout, 0.0, most_nats, ORANGE)
    print(f"surprise: {screen.legend()} 0 to {most_nats:g} nats or more", file=sys.stderr)
    total = 0.0
    for part in _parts(documents):
        for number, nats in enumerate(in_order(model, part)):
            decode, ids = vocab.decoder(), part.ids[part.starts[number] + 1 : part.ends[number] - 1]
            for place, loss in enumerate(nats[:-1].tolist()):
                text = decode(ids[place : place + 1], place == len(ids) - 1)
                screen.write(text, [loss] * len(text))
            screen.write("\n", nats[-1:].tolist())  # coloured by the surprise that the document ends here
            total += nats.double().sum().item()
    screen.close()
    return Score(nats=total, num_characters=documents.num_characters)


def _parts(documents: Documents) -> Iterator[Documents]:
    """The documents in order, a few at a time."""
    sizes, first = documents.lengths.tolist(), 0
    size = 0
    for number, length in enumerate(sizes):
        if size and size + length > TOGETHER:
            yield documents.some(slice(first, number))
            first, size = number, 0
        size += length
    yield documents.some(slice(first, None))
