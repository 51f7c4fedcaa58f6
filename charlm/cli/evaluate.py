"""`charlm eval`: the loss of a model on a text."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlm.cli import options
from charlm.config import CorpusConfig, check_unknown
from charlm.errors import TextError, UsageError, counted

if TYPE_CHECKING:
    from torch import Tensor

    from charlm.checkpoint.card import ModelCard
    from charlm.evaluation import Score
    from charlm.model.language_model import LanguageModel
    from charlm.text.vocab import Ids, Vocab

WATCHED = 1024  # characters scored at a time when they appear on a terminal
MOST_NATS = 8.0  # the surprise shown in the strongest colour


def evaluate(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...",
            help="Text files, a folder, or - for standard input; for a model that gives labels, labelled texts.",
            show_default="of labelled texts, the test part of the model's own",
        ),
    ] = None,
    per_character: Annotated[bool, typer.Option("--per-character", help="Print the text coloured by surprise.")] = False,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Let a copy of the model learn from each part of the text after scoring it.")
    ] = False,
    unknown: options.Unknown = "error",
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Columns of a row's text and label; numbers, or names in row 1.",
            show_default="as trained",
        ),
    ] = None,
    encoding: options.Encoding = None,
    glob: options.Glob = None,
    json: options.Json = False,
    checkpoint: options.Checkpoint = None,
    last: options.Last = False,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    version: options.Version = False,
) -> None:
    """Score a text exactly: read it as one stream from the first character to the last, and count every prediction.

    A model that gives labels is scored on labelled texts, in files like those it was trained on: accuracy, F1, what it takes
    for what, and the same for what needs no network.

    A model that tells documents apart scores each by itself, from its start to its end.

    Example: charlm eval chapter.txt --per-character
    """
    if json and per_character:
        raise UsageError("--json and --per-character were given together", "give one of them")
    check_unknown(unknown)
    path, model, card = options.find_and_open(checkpoint if texts else _with_labels(checkpoint), device, threads, last=last)
    reading = options.reading_of(card, encoding, glob)
    from charlm.model.heads import Labeller
    from charlm.model.language_model import LanguageModel

    if isinstance(model, LanguageModel):
        if columns is not None:
            raise UsageError(f"--columns was given, and {path} is a language model, which reads whole texts", "leave it out")
        if card.vocab.marks:
            if dynamic:
                what = f"--dynamic was given, and {path} reads documents, each from a fresh state"
                raise UsageError(what, "leave it out")
            _score_documents(model, card, texts or [], reading, per_character, unknown == "skip", json)
            return
        _score_text(model, card, texts or [], reading, per_character, dynamic, unknown == "skip", json)
        return
    given = {"--per-character": per_character, "--dynamic": dynamic, "--unknown skip": unknown == "skip"}
    for option in filter(given.get, given):
        raise UsageError(f"{option} was given, and {path} is a model that gives labels", "leave it out")
    from charlm.cli.scoring import print_judgement, score_labels

    assert isinstance(model, Labeller)  # noqa: S101 (there are no others)
    print_judgement(card.labels, score_labels(path, model, card, texts or [], reading, columns), json=json)


def _with_labels(checkpoint: str | None) -> str | None:
    """The model, if it gives labels: it has texts of its own to be scored on. Raises `UsageError` for any other."""
    from charlm.checkpoint.card import read_card
    from charlm.runs.find import find_model

    card, _ = read_card(find_model(checkpoint))
    if not card.labels:
        raise UsageError("Missing argument 'TEXT...'", "see charlm COMMAND --help")
    return checkpoint


def _score_text(
    model: "LanguageModel",
    card: "ModelCard",
    texts: list[str],
    reading: CorpusConfig,
    per_character: bool,
    dynamic: bool,
    skip_unknown: bool,
    json: bool,
) -> None:
    ids, skipped = options.read_texts(texts, card.vocab, reading, skip_unknown=skip_unknown)
    from charlm.display.waiting import waiting
    from charlm.evaluation import CHAPTER, dynamic_surprisals, predicted, surprisals, total

    if (number := predicted(card.vocab, ids)) < 1:
        has, unit = card.vocab.num_characters(ids), "symbols" if card.vocab.is_spelt else "characters"
        raise TextError(f"the text has {counted(has, 'character')}", f"2 {unit} are needed: the first is not predicted")
    is_watched = per_character and sys.stdout.isatty()
    with contextlib.nullcontext(lambda *_: None) if is_watched else waiting() as tell:

        def look_up(count: int) -> None:
            tell("scoring", count / len(ids))

        at_a_time = WATCHED if is_watched else CHAPTER
        losses = dynamic_surprisals(model, ids, look_up) if dynamic else surprisals(model, ids, look_up, at_a_time)
        score = total(_shown(losses, ids, card.vocab) if per_character else losses, number)
    _print_score(score, skipped, per_character=per_character, dynamic=dynamic, json=json)


def _score_documents(
    model: "LanguageModel",
    card: "ModelCard",
    texts: list[str],
    reading: CorpusConfig,
    per_character: bool,
    skip_unknown: bool,
    json: bool,
) -> None:
    from charlm.cli.documents import read_documents_for, score_documents, show_documents

    documents, skipped = read_documents_for(texts, card.vocab, reading, skip_unknown=skip_unknown)
    score = show_documents(model, documents, card.vocab, MOST_NATS) if per_character else score_documents(model, documents)
    _print_score(score, skipped, per_character=per_character, json=json, num_documents=len(documents))


def _print_score(
    score: "Score", skipped: int, *, per_character: bool, json: bool, dynamic: bool = False, num_documents: int | None = None
) -> None:
    numbers: dict[str, Any] = {
        "nats_per_char": score.nats_per_character,
        "bits_per_char": score.bits_per_character,
        "perplexity": score.perplexity,
        "characters": score.num_characters,
        "skipped": skipped,
        "dynamic": dynamic,
    }
    if json:
        options.print_json(numbers | ({} if num_documents is None else {"documents": num_documents}))
        return
    line = "{nats_per_char:.4f} nats/char, {bits_per_char:.4f} bits/char, perplexity {perplexity:.3f}, "
    size = counted(score.num_characters, "character")
    if num_documents is not None:
        size += f" of {counted(num_documents, 'document')}, the ends among them"
    print(
        ("dynamic evaluation: " if dynamic else "") + line.format(**numbers) + size,
        file=sys.stderr if per_character else sys.stdout,
    )


def _shown(losses: Iterator["Tensor"], ids: "Ids", vocab: "Vocab") -> Iterator["Tensor"]:
    """Pass `losses` on, and print each character on the way, coloured by its loss in nats."""
    from charlm.display.terminal import ORANGE, ColouredText

    screen = ColouredText(sys.stdout, 0.0, MOST_NATS, ORANGE)
    print(f"surprise: {screen.legend()} 0 to {MOST_NATS:g} nats or more", file=sys.stderr)
    decode = vocab.decoder()
    screen.write(first := decode(ids[:1], False), [0.0] * len(first))
    position, spent = 1, 0.0
    for nats in losses:
        for value in nats.tolist():
            text = decode(ids[position : position + 1], False)
            spent = spent + value if vocab.is_spelt else value  # a character costs all of its bytes
            screen.write(text, [spent / len(text) if vocab.is_spelt else spent] * len(text) if text else [])
            spent, position = 0.0 if text else spent, position + 1
        yield nats
    screen.close()
