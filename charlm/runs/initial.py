"""A run that begins with what another model has learned: which sizes it then has, and what goes over.

Weights go over by symbol and not by number. A symbol that the old model lacks begins with fresh weights.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from charlm.checkpoint.card import ModelCard, read_card
from charlm.checkpoint.model import load_model
from charlm.errors import CheckpointError, UsageError, brief, counted
from charlm.model.devices import CPU
from charlm.model.language_model import LanguageModel
from charlm.model.network import Network
from charlm.recipe import Wish
from charlm.runs.find import INITIAL
from charlm.runs.record import RUN, Origin
from charlm.text.source import sha256_of
from charlm.text.vocab import Vocab

KEPT = ("cell", "embedding_size", "hidden_size", "num_layers")  # the sizes that are the old model's
MOST_NAMED = 12  # new symbols that are named


def with_sizes_of(wish: Wish, path: Path, symbols: str) -> Wish:
    """The wish with the cell and the sizes of the model at `path`. Raises `UsageError` for a wish that contradicts them.

    Raises `UsageError` too for a model that is no language model, or one of other `symbols`: bytes are no characters.
    """
    card, _ = read_card(path)
    if card.labels:
        what = f"--init-from {path} is a model that gives labels ({card.training.task}), and knows no language"
        raise UsageError(what, "name the run of a language model, one without labels")
    if card.vocab.kind != symbols:
        what = f"--symbols is {symbols}, and the model of --init-from has {card.vocab.kind}"
        tasks = {"byte": ("language", "classify"), "word": ("language",)}  # no byte has a label, and texts no words
        has_no_use = wish.training.task not in tasks.get(card.vocab.kind, (wish.training.task,))
        raise UsageError(what, ("" if has_no_use else f"say --symbols {card.vocab.kind}, or ") + "name another model")
    if wish.preset != "auto":
        raise UsageError(f"--preset {wish.preset} was given with --init-from, whose sizes are the model's", "leave it out")
    for name in KEPT:
        mine, theirs = getattr(wish.model, name), getattr(card.model, name)
        if name in wish.by_hand and mine != theirs:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} is {mine}, and the model of --init-from has {theirs}", f"leave {option} out")
    sizes = {name: getattr(card.model, name) for name in KEPT}
    return replace(wish, model=replace(wish.model, **sizes), continues=True)


def kept_copy(path: Path, folder: Path) -> Origin:
    """Copy the model at `path` into a run's folder, which then holds all that it needs."""
    with path.open("rb") as model, (folder / INITIAL).open("wb") as copy:
        shutil.copyfileobj(model, copy)
        copy.flush()
        os.fsync(copy.fileno())
    return Origin(name=str(path), sha256=sha256_of([folder / INITIAL]))


def describe(path: Path, vocab: Vocab) -> str:
    """Say in one line what goes over from the model at `path` to a run with this vocabulary."""
    card, _ = read_card(path)
    known = card.vocab.numbers
    new = [number for symbol, number in vocab.numbers.items() if symbol not in known]
    shape = f"{card.model.num_layers} x {card.model.hidden_size} {card.model.cell.upper()}"
    letters = [number for number in new if number not in (vocab.marks or ())]
    named = [repr(vocab.decode(letters[:MOST_NAMED]) + ("..." if len(letters) > MOST_NAMED else ""))] if letters else []
    named += [vocab.described(number) for number in new if number in (vocab.marks or ())]
    fresh = f"; fresh weights for {counted(len(new), 'new one')}: {brief(', '.join(named))}" if new else ""
    kept = f"{len(vocab) - len(new)} of its {counted(len(card.vocab), 'symbol')}"
    return f"begins with what {path} has learned: its {shape}, and {kept}{fresh}"


def take_over_from(folder: Path, origin: Origin, model: Network, vocab: Vocab) -> None:
    """Give `model` what the run's copy of its origin knows. Raises `CheckpointError` for a copy that is gone or damaged."""
    path = folder / INITIAL
    if not path.is_file() or sha256_of([path]) != origin.sha256:
        raise CheckpointError(f"{path}, from which the run begins, is gone or changed", f"copy {origin.name} there again")
    old, card = load_model(path, CPU)
    for name in KEPT:
        mine, theirs = getattr(model.config, name), getattr(old.config, name)
        if mine != theirs:
            what = f"{path}, from which the run begins, has {name} {theirs}, and {folder / RUN} says {mine}"
            raise CheckpointError(what, f"restore {RUN} from a copy")
    take_over(model, vocab, old, card)


@torch.no_grad()
def take_over(model: Network, vocab: Vocab, old: Network, card: ModelCard) -> None:
    """Give `model` the cells of `old`, and for each symbol that both know its embedding and, in a language model, its output.

    Cells that read backward, and a head that gives labels, keep their fresh weights.
    """
    theirs = card.vocab.numbers
    both = [(number, theirs[symbol]) for symbol, number in vocab.numbers.items() if symbol in theirs]
    rows, from_rows = torch.tensor(both, dtype=torch.int64).view(-1, 2).unbind(dim=1)
    model.embedding.weight[rows] = old.embedding.weight[from_rows]
    model.cells.load_state_dict(old.cells.state_dict())
    if isinstance(model, LanguageModel):
        model.head.weight[rows] = old.head.weight[from_rows]
        model.head.bias[rows] = old.head.bias[from_rows]
