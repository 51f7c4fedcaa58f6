"""What `charlm inspect-cells` looks at: a model, and the one text or the several texts that it reads.

It is imported only when the command runs, because it needs torch and --help does not.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charlm.checkpoint.card import ModelCard
from charlm.cli import options
from charlm.cli.documents import read_documents_for
from charlm.config import CorpusConfig, InspectConfig
from charlm.display.terminal import visible_line
from charlm.errors import TextError, UsageError, counted
from charlm.features.registry import Feature
from charlm.inspection.document_views import DocumentViewer, as_lines, as_texts
from charlm.inspection.examine import examine
from charlm.inspection.findings import Report
from charlm.inspection.label_views import LabelViewer, first_texts
from charlm.inspection.labelled import examine_labels
from charlm.inspection.texts import Starts
from charlm.inspection.views import Viewer
from charlm.labelling.predict import as_read
from charlm.model.heads import Labeller
from charlm.model.language_model import LanguageModel
from charlm.model.network import Network
from charlm.runs.heldout import held_out, held_out_examples
from charlm.text.corpus import Tell
from charlm.text.dataset import read_examples, unlabelled
from charlm.text.examples import Examples
from charlm.text.source import read_text
from charlm.text.vocab import Ids, Vocab


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is inspected, and how: a model, and the ids it reads, which come from `source`, in words."""

    model: Network
    vocab: Vocab
    ids: Ids
    source: str
    config: InspectConfig
    workers: int

    @property
    def starts(self) -> Starts | None:
        """Where texts begin that are each read from a zero state; None for one text."""
        return None

    def examine(self, features: Sequence[Feature], tell: Tell) -> Report:
        """Find and test each feature's best unit."""
        return examine(self.model, self.ids, self.vocab, features, self.config.seed, self.workers, tell)

    def viewer(self, most: int) -> Viewer:
        """Look at the first `most` characters."""
        assert isinstance(self.model, LanguageModel)  # noqa: S101 (any other is a LabelledSubject's)
        return Viewer(self.model, self.vocab, self.ids[:most])


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSubject(Subject):
    """A model that gives labels, whose `names` go by their ids, and the texts it reads."""

    labeller: Labeller
    examples: Examples
    names: tuple[str, ...]

    @property
    def starts(self) -> Starts | None:
        """Where each text begins."""
        return self.examples.bounds[:-1]

    def examine(self, features: Sequence[Feature], tell: Tell) -> Report:
        """Find and test each feature's best unit, for the labels too."""
        config = self.config
        return examine_labels(self.labeller, self.examples, self.vocab, self.names, features, config.seed, self.workers, tell)

    def viewer(self, most: int) -> Viewer:
        """Look at the first texts, with at most `most` characters in all."""
        return LabelViewer(self.labeller, self.vocab, first_texts(self.examples, most), self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSubject(Subject):
    """A language model and documents, which are `examples` without labels; `vocab` says how people see them."""

    examples: Examples

    @property
    def starts(self) -> Starts | None:
        """Where each document begins."""
        return self.examples.bounds[:-1]

    def examine(self, features: Sequence[Feature], tell: Tell) -> Report:
        """Find and test each feature's best unit, but clamp none."""
        return examine_labels(self.model, self.examples, self.vocab, (), features, self.config.seed, self.workers, tell)

    def viewer(self, most: int) -> Viewer:
        """Look at the first documents, with at most `most` characters in all."""
        assert isinstance(self.model, LanguageModel)  # noqa: S101 (any other is a LabelledSubject's)
        return DocumentViewer(self.model, self.vocab, first_texts(self.examples, most))


def subject_of(
    text: str | None,
    path: Path,
    model: Network,
    card: ModelCard,
    reading: CorpusConfig,
    unknown: str,
    config: InspectConfig,
    workers: int,
) -> Subject:
    """Read what is to be inspected, at most `config.max_characters` of it, as the model reads it."""
    if isinstance(model, Labeller):
        return _labelled(text, path, model, card, reading, unknown, config, workers)
    if card.vocab.marks:
        return _documents(text, path, model, card, reading, unknown, config, workers)
    if text is None:
        ids, found = held_out(path, card)
        source = _held_out("its corpus", found)
    else:
        ids, _ = options.read_texts([text], card.vocab, reading, skip_unknown=unknown == "skip")
        source = _named(text)
    most = config.max_characters or len(ids)
    _say_how_many(most, len(ids), card.vocab)
    if not len(ids):
        raise TextError(f"{source} has no characters to look at", "give a text that has some")
    return Subject(model=model, vocab=card.vocab, ids=ids[:most], source=source, config=config, workers=workers)


def _documents(
    text: str | None,
    path: Path,
    model: Network,
    card: ModelCard,
    reading: CorpusConfig,
    unknown: str,
    config: InspectConfig,
    workers: int,
) -> DocumentSubject:
    if card.vocab.kind == "byte":
        raise UsageError(f"{path} reads documents of bytes, whose units cannot be looked at", "train with --symbols char")
    if text is None:
        ids, found = held_out(path, card)
        source = _held_out("its documents", found)
    else:
        documents, _ = read_documents_for([text], card.vocab, reading, skip_unknown=unknown == "skip")
        ids, source = documents.ids, _named(text)
    examples = as_texts(ids, card.vocab)
    most = config.max_characters or examples.num_characters
    _say_how_many(most, examples.num_characters, card.vocab)
    print("each document is read by itself; no unit is clamped, so none is found to be used", file=sys.stderr)
    examples = first_texts(examples, most)
    return DocumentSubject(
        model=model,
        vocab=as_lines(card.vocab),
        ids=examples.ids,
        source=source,
        config=config,
        workers=workers,
        examples=examples,
    )


def _labelled(
    text: str | None,
    path: Path,
    model: Labeller,
    card: ModelCard,
    reading: CorpusConfig,
    unknown: str,
    config: InspectConfig,
    workers: int,
) -> LabelledSubject:
    if unknown == "skip":
        message = "--unknown is 'skip', but this model reads every character it has never seen as U+FFFD"
        raise UsageError(message, "leave it out")
    if text is None:
        examples, found = held_out_examples(path, card)
        source = _held_out("its texts", found)
    else:
        examples, source = _read_examples(text, model, card, reading), _named(text)
    examples = as_read(type(model), examples, card.training.seq_len)
    most = config.max_characters or examples.num_characters
    _say_how_many(most, examples.num_characters, card.vocab)
    if not len(examples):
        raise TextError(f"{source} has no characters to look at", "give texts that have some")
    examples = first_texts(examples, most)
    return LabelledSubject(
        model=model,
        labeller=model,
        vocab=card.vocab,
        ids=examples.ids,
        source=source,
        config=config,
        workers=workers,
        examples=examples,
        names=card.labels,
    )


def _read_examples(text: str, model: Labeller, card: ModelCard, reading: CorpusConfig) -> Examples:
    """Read labelled texts, in the form of those that the model learned from. Each line of a .txt file or of standard input is a
    text without a label, unless labels are made from texts.
    """
    if reading.restore or not (text == "-" or Path(text).suffix.lower() == ".txt"):
        return read_examples([text], reading, card.vocab, card.labels, by_character=model.by_character)
    print("each line is a text without a label: no labels are looked for", file=sys.stderr)
    lines = [line.rstrip("\r") for line in read_text(text, reading, called=_named(text), may_be_bytes=False).split("\n")]
    return unlabelled([line for line in lines if line], card.vocab, by_character=model.by_character)


def _held_out(what: str, found: Path) -> str:
    source = f"the held-out part of {what}, from {visible_line(str(found))}"
    print(f"text: {source}", file=sys.stderr)
    return source


def _named(text: str) -> str:
    return "standard input" if text == "-" else visible_line(text)


def _say_how_many(most: int, number: int, vocab: Vocab) -> None:
    if most < number:
        size = counted(number, "symbol" if vocab.is_spelt else "character")
        print(f"only the first {most:,} of {size}: --max-characters 0 reads all", file=sys.stderr)
