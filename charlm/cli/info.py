"""`charlm info`: what a model file says about itself."""

import sys
from typing import TYPE_CHECKING, Any

from charlm.cli import options
from charlm.config import check_device, check_threads

if TYPE_CHECKING:
    from charlm.checkpoint.card import ModelCard


def info(
    json: options.Json = False,
    checkpoint: options.Checkpoint = None,
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

    card, parameters = read_card(options.named_model(checkpoint))
    contents = describe(card, parameters)
    if json:
        options.print_json(contents)
        return
    from charlm.display.terminal import table

    symbols = "all 256 bytes"
    if card.vocab.kind == "char":
        symbols = "".join(map(chr, card.vocab.symbols)).translate({ord("\n"): "⏎", ord(" "): "␣"})
    rows = {
        "model": f"{card.model.num_layers} x {card.model.hidden_size} {card.model.cell.upper()}, embedding "
        f"{card.model.embedding_size}, dropout {card.model.dropout:g}, {contents['parameters']:,} parameters",
        "vocabulary": f"{len(card.vocab)} symbols ({card.vocab.kind}): {symbols}",
        "trained": f"the best model, of step {card.step}; {card.training.batch_size} x {card.training.seq_len} a step, "
        f"learning rate {card.training.learning_rate:g}, seed {card.training.seed}, on {card.setting.device} "
        f"in {card.setting.precision} with torch {card.setting.torch}",
        "corpus": f"{card.splits.test:,} symbols, SHA-256 {card.corpus_sha256}; train {card.splits.train:,}, validation "
        f"{card.splits.validation - card.splits.train:,}, test {card.splits.test - card.splits.validation:,}",
        "score": _score(contents["scores"]),
    }
    table(sys.stdout, rows)


def describe(card: "ModelCard", parameters: int) -> dict[str, Any]:
    """Make the JSON output of `charlm info`."""
    symbols = "".join(map(chr, card.vocab.symbols)) if card.vocab.kind == "char" else None
    nats = card.scores.validation_nats
    from charlm.checkpoint.fields import to_json
    from charlm.training.events import bits

    return {
        "model": to_json(card.model),
        "training": to_json(card.training)
        | to_json(card.setting)
        | {"step": card.step, "text": to_json(card.text), "splits": to_json(card.splits), "corpus_sha256": card.corpus_sha256},
        "vocab": {"kind": card.vocab.kind, "size": len(card.vocab), "symbols": symbols},
        "parameters": parameters,
        "scores": {"validation_nats": nats, "validation_bpc": bits(nats), "exact": card.scores.exact},
    }


def _score(scores: dict[str, Any]) -> str:
    if scores["validation_nats"] is None:
        return "unknown"
    how = "exactly" if scores["exact"] else "about"
    return f"validation {scores['validation_nats']:.4f} nats/char, {scores['validation_bpc']:.4f} bits/char, {how}"
