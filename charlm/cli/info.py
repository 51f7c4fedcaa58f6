"""`charlm info`: what a model file says about itself."""

import sys
from typing import TYPE_CHECKING, Any

from charlm.cli import options
from charlm.config import check_device, check_threads
from charlm.errors import brief, counted

if TYPE_CHECKING:
    from charlm.checkpoint.card import ModelCard
    from charlm.text.vocab import Vocab

MOST_NAMES = 8  # of labels, or of words, that are shown
STATES = {"last": "the last state", "mean": "the mean of all states", "max": "the maximum of all states"}


def info(
    json: options.Json = False,
    checkpoint: options.Checkpoint = None,
    last: options.Last = False,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    version: options.Version = False,
) -> None:
    """Show what a model file says about itself: shape, vocabulary, training and scores. Its weights are not examined.

    Example: charlm info -c checkpoints/austen
    """
    check_device(device)  # every command takes a device and threads; here nothing is computed
    check_threads(threads)
    from charlm.checkpoint.card import read_card

    path = options.named_model(checkpoint, last=last)
    if last:
        from charlm.runs.newest import newest_card

        card, parameters = newest_card(path)
    else:
        card, parameters = read_card(path)
    contents = describe(card, parameters)
    if json:
        options.print_json(contents)
        return
    from charlm.display.terminal import table

    which = "the newest state" if last else "the best model"
    both_ways = ", both ways" if card.model.bidirectional else ""
    things = "texts" if card.labels else "symbols"
    documents = f"{_documents(card)}; " if card.num_documents else ""
    rows = {
        "model": f"{card.model.num_layers} x {card.model.hidden_size} {card.model.cell.upper()}{both_ways}, embedding "
        f"{card.model.embedding_size}, dropout {card.model.dropout:g}, {contents['parameters']:,} parameters",
        "vocabulary": _vocabulary(card.vocab),
        "trained": f"{which}, of step {card.step}; {card.training.batch_size} x {card.training.seq_len} a step, "
        f"learning rate {card.training.learning_rate:g}, seed {card.training.seed}, on {card.setting.device} "
        f"in {card.setting.precision} with torch {card.setting.torch}",
        "corpus": f"{documents}{card.splits.test:,} {things}, SHA-256 {card.corpus_sha256}; train {card.splits.train:,}, "
        f"validation {card.splits.validation - card.splits.train:,}, test {card.splits.test - card.splits.validation:,}"
        f"{_text(card)}",
        "score": _score(contents["scores"], "label" if card.labels else "char"),
    }
    if card.labels:
        rows |= {"labels": _labels(card), "test": _test_score(contents["scores"]["test"])}
    table(sys.stdout, rows)


def describe(card: "ModelCard", parameters: int) -> dict[str, Any]:
    """Make the JSON output of `charlm info`."""
    vocab = card.vocab
    symbols = None if vocab.kind == "byte" else vocab.characters
    spelling = {"spells": True, "words": list(vocab.words)} if vocab.is_spelt else {}
    nats = card.scores.validation_nats
    from charlm.checkpoint.fields import to_json
    from charlm.training.events import bits

    scores: dict[str, Any] = {"validation_nats": nats, "validation_bpc": bits(nats), "exact": card.scores.exact}
    labelled: dict[str, Any] = {}
    if card.labels:
        labelled = {"labels": list(card.labels), "one_label_a_word": card.one_label_a_word}
        test = None if card.scores.test is None else to_json(card.scores.test)
        scores = {"validation_nats": nats, "exact": card.scores.exact, "accuracy": card.scores.accuracy, "test": test}
    if card.num_documents:
        labelled = {"documents": dict(zip(("train", "validation", "test"), card.num_documents, strict=True))}
    return {
        "model": to_json(card.model),
        "training": to_json(card.training)
        | to_json(card.setting)
        | {"step": card.step, "text": to_json(card.text), "splits": to_json(card.splits), "corpus_sha256": card.corpus_sha256},
        "vocab": {"kind": vocab.kind, "size": len(vocab), "symbols": symbols, **spelling},
        "parameters": parameters,
        "scores": scores,
        **labelled,
    }


def _vocabulary(vocab: "Vocab") -> str:
    """What the symbols are."""
    characters = vocab.characters
    size, shown = f"{len(vocab)} symbols ({vocab.kind})", _in_a_line(characters) or "all 256 bytes"
    if vocab.is_spelt:
        size = f"{counted(len(characters), 'character')}, 256 bytes for rarer ones"
    shown = f"{size}: {shown}"
    if vocab.kind != "word":
        return shown
    some = vocab.words[:: 1 + len(vocab.words) // MOST_NAMES]
    such_as = f", such as {', '.join(map(_in_a_line, some))}" if some else ""
    return f"{counted(len(vocab.words), 'word')}{such_as}; {shown}"


def _in_a_line(text: str) -> str:
    return text.translate({ord("\n"): "⏎", ord(" "): "␣"})


def _text(card: "ModelCard") -> str:
    """The encoding that the text was in, and the normal form it was brought into, where they are not the usual ones."""
    form = f"; in the normal form {card.text.normalize}" if card.text.normalize else ""
    is_usual = card.vocab.kind == "byte" or card.text.encoding == options.DEFAULT_TEXT.encoding
    return ("" if is_usual else f"; encoding {brief(card.text.encoding)}") + form


def _documents(card: "ModelCard") -> str:
    """How many documents there are, what one is, and how many are in each part."""
    from charlm.display.terminal import visible_line
    from charlm.text.cutting import in_words

    train, validation, test = card.num_documents
    parts = f"train {train:,}, validation {validation:,}, test {test:,}"
    return f"{counted(sum(card.num_documents), 'document')}, {visible_line(in_words(card.text))}; {parts}"


def _labels(card: "ModelCard") -> str:
    """What the labels are, and of what."""
    from charlm.display.terminal import visible_line

    names = visible_line(", ".join(card.labels[:MOST_NAMES])) + (", ..." if len(card.labels) > MOST_NAMES else "")
    if card.text.restore:
        of = f"a character, to restore {card.text.restore}"
    elif card.training.task == "tag":
        of = "a character, the same for all of a word" if card.one_label_a_word else "a character"
    else:
        of = f"a text, from {STATES.get(card.model.pooling, card.model.pooling)}"
    return f"{counted(len(card.labels), 'label')} of {of}: {brief(names)}"


def _test_score(scores: dict[str, Any] | None) -> str:
    if scores is None:
        return "not scored on a test part"
    by_word = "" if scores["word_accuracy"] is None else f"by word {scores['word_accuracy']:.4f}, "
    shares = f"accuracy {scores['accuracy']:.4f}, {by_word}macro-F1 {scores['macro_f1']:.4f}"
    return f"{shares}, on {counted(scores['num_labels'], 'label')} of the test part"


def _score(scores: dict[str, Any], unit: str) -> str:
    if scores["validation_nats"] is None:
        return "unknown"
    how = "exactly" if scores["exact"] else "about"
    if unit == "label":
        right = "" if scores["accuracy"] is None else f", {scores['accuracy']:.1%} right"
        return f"validation {scores['validation_nats']:.4f} nats/label{right}, {how}"
    return f"validation {scores['validation_nats']:.4f} nats/char, {scores['validation_bpc']:.4f} bits/char, {how}"
