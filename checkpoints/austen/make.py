"""Make the model that ships: python checkpoints/austen/make.py, from the top folder: five minutes on two cores with bfloat16.

It is trained by `charlm train` as anyone would, then stored as bfloat16 and scored exactly as it is stored. Beside it goes the
part of the text that was held out, for whoever has the model and not the text.
"""

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from charlm.checkpoint.card import Scores
from charlm.checkpoint.model import load_model, save_model
from charlm.evaluation import surprisals, total
from charlm.runs.heldout import held_out

TEXT = Path("data/austen.txt")
MODEL = Path("checkpoints/austen/model.safetensors")
HELD_OUT = MODEL.with_name("held-out.txt")
OPTIONS = ("--seed", "1", "--speed", "65000")  # the speed of the machine it was made on: with it, any other chooses alike


def main() -> None:
    """Train, round, score, write."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "austen"
        command = [sys.executable, "-m", "charlm", "train", str(TEXT), "--out", str(run), *OPTIONS]
        subprocess.run(command, check=True)
        model, card = load_model(run / MODEL.name, torch.device("cpu"))
        ids, _ = held_out(run / MODEL.name, card)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(parameter.bfloat16())
        score = total(surprisals(model, ids)).nats_per_character
        save_model(MODEL, model, replace(card, scores=Scores(validation_nats=score, exact=True)), torch.bfloat16)
    HELD_OUT.write_text(card.vocab.decode(ids), encoding="utf-8", newline="")
    was = card.scores.validation_nats
    print(f"{MODEL}: {MODEL.stat().st_size / 1e6:.2f} MB, {score:.4f} nats/char as it is stored, {was:.4f} before")


if __name__ == "__main__":
    main()
