"""A run's own copy of what it learns from: a corpus, or labelled texts, as its task asks. Knows nothing of training."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from charlm.checkpoint.card import what_is_wrong
from charlm.config import CorpusConfig, TrainConfig
from charlm.errors import TextError, counted
from charlm.labelling.words import one_label_a_word
from charlm.model.heads import Labeller
from charlm.runs.find import CORPUS, EXAMPLES
from charlm.runs.record import RUN, RunRecord
from charlm.tasks.registry import model_class
from charlm.text.corpus import Corpus, Tell, encode_corpus, open_corpus
from charlm.text.cutting import encode_documents
from charlm.text.dataset import encode_examples, open_examples
from charlm.text.documents import Documents
from charlm.text.examples import Dataset
from charlm.text.finding import find_files

Data = Corpus | Dataset


def encode_data(arguments: Sequence[str], text: CorpusConfig, task: str, folder: Path, tell: Tell) -> tuple[Data, list[str]]:
    """Encode what `arguments` name into `folder`; returns what a run of that task learns from, and notices for people."""
    kind = model_class(task)
    if issubclass(kind, Labeller):
        return encode_examples(arguments, text, folder / EXAMPLES, by_character=kind.by_character, tell=tell)
    notices: list[str] = []
    encode = encode_documents if text.documents else encode_corpus
    corpus, further = encode(find_files(arguments, text, notices), text, folder / CORPUS, tell)
    return corpus, [*notices, *further]


def open_data(folder: Path, record: RunRecord) -> Data:
    """Open what `encode_data` wrote. Raises `TextError` for a file that is damaged, and `OSError`."""
    kind = model_class(record.training.task)
    if issubclass(kind, Labeller) != bool(record.labels):
        what = f"{folder / RUN} names {counted(len(record.labels), 'label')}"
        raise TextError(f"{what}, which does not fit its task {record.training.task}", "restore it from a copy")
    if problem := what_is_wrong(record.labels, record.text.restore):
        raise TextError(f"{folder / RUN}: labels {problem}", "restore it from a copy")
    if bool(record.text.documents) != bool(record.vocab.marks) or (record.labels and record.text.documents):
        what = f"{folder / RUN} says that documents are {record.text.documents!r}"
        raise TextError(f"{what}, which does not fit its vocabulary or its task", "restore it from a copy")
    if not issubclass(kind, Labeller):
        return open_corpus(folder / CORPUS, record.vocab, record.splits, record.corpus_sha256, record.ids_sha256)
    return open_examples(
        folder / EXAMPLES,
        vocab=record.vocab,
        labels=record.labels,
        splits=record.splits,
        num_characters=record.num_characters,
        by_character=kind.by_character,
        sha256=record.corpus_sha256,
        ids_sha256=record.ids_sha256,
    )


def documents_of(data: Data) -> tuple[Documents, ...]:
    """The documents of the three parts of a corpus; nothing where none are told apart. Raises `TextError` for unsound ones."""
    if isinstance(data, Dataset) or not data.vocab.marks:
        return ()
    bounds = (0, data.splits.train, data.splits.validation, data.splits.test)
    return tuple(Documents.of(data.ids[start:stop], data.vocab) for start, stop in pairwise(bounds))


def window_of(data: Data, training: TrainConfig) -> int:
    """How many characters of a stream, or at most of a text, a step reads: no more than the longest text has."""
    texts = [data.train.lengths] if isinstance(data, Dataset) else [part.lengths for part in documents_of(data)[:1]]
    return min([training.seq_len, *(int(lengths.max(initial=1)) for lengths in texts)])


def num_labels(data: Data) -> int:
    """How many labels there are; 0 in a corpus."""
    return len(data.labels) if isinstance(data, Dataset) else 0


def size_of(data: Data) -> int:
    """The number of symbols of the run's copy."""
    return data.examples.num_characters if isinstance(data, Dataset) else len(data.ids)


def in_words(data: Data) -> str:
    """How much there is of it."""
    if isinstance(data, Dataset):
        characters = f"{size_of(data):,} characters of {len(data.vocab)} kinds"
        return f"{counted(len(data.examples), 'text')}, {characters}, with {counted(len(data.labels), 'label')}"
    if parts := documents_of(data):
        number = sum(map(len, parts))
        size = sum(part.num_characters for part in parts) - number
        return f"{counted(number, 'document')}, {size:,} characters{_of_kinds(data, size_of(data) - 2 * number)}"
    size = data.vocab.num_characters(data.ids)
    return f"{size:,} characters{_of_kinds(data, size_of(data))}"


def _of_kinds(data: Corpus, num_symbols: int) -> str:
    """Of how many kinds the symbols of a corpus are, and how many these are, where they are not its characters."""
    kinds = len(data.vocab) - 2 * (data.vocab.marks is not None)
    return f", in {num_symbols:,} symbols of {kinds:,} kinds" if data.vocab.is_spelt else f" of {kinds} kinds"


def has_one_label_a_word(data: Data) -> bool:
    """Whether characters have labels, and those of a word always the same one."""
    return isinstance(data, Dataset) and data.examples.by_character and one_label_a_word(data.train)


def validation_size(data: Data) -> int:
    """The number of symbols that an exact score of the validation part reads."""
    return data.validation.num_characters if isinstance(data, Dataset) else len(data.validation_ids)
