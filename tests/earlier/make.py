"""Make the files of a commit that every later one must open: a small stopped run of each of two cells, and what it samples.

    git worktree add /tmp/then COMMIT
    PYTHONPATH=/tmp/then python tests/earlier/make.py tests/earlier/COMMIT

They are made once, by that commit's own command, and never changed.
"""

import signal
import subprocess
import sys
from pathlib import Path

TEXT = b"the cat sat on the mat.\n" * 20
SIZES = ("--hidden-size", "6", "--embedding-size", "5", "--seq-len", "8", "--batch-size", "4", "--dropout", "0.1")
SETTING = ("--device", "cpu", "--precision", "fp32", "--threads", "1")
STOPPED, STEPS = 20, 40
SAMPLED = ("--argmax", "--prompt", "the ", "--length", "40")
# The command, to which Ctrl-C comes amid the last step before the stop.
STOPPING = f"""
import os, signal, sys
from charlm.cli.app import main
from charlm.runs import drive
real = drive.training_step
def step(trainer, window):
    if trainer.step + 1 == {STOPPED}:
        os.kill(os.getpid(), signal.SIGINT)
    return real(trainer, window)
drive.training_step = step
main(sys.argv[1:])
"""


def main() -> None:
    """Train each cell from a pipe, stop it half way, and draw from what it has learned."""
    place = Path(sys.argv[1])
    for cell in ("lstm", "gru"):
        run = str(place / cell)
        options = (*SIZES, *SETTING, "--max-steps", str(STEPS), "--eval-every", "10", "--learning-rate", "0.1")
        command = [sys.executable, "-c", STOPPING, "train", "-", "--cell", cell, *options, "--out", run, "--quiet"]
        if subprocess.run(command, input=TEXT, check=False).returncode != 128 + signal.SIGINT:
            raise RuntimeError(f"the run of a {cell} was not stopped")
        sample = [sys.executable, "-m", "charlm", "sample", "-c", run, *SAMPLED]
        (place / f"{cell}.txt").write_bytes(subprocess.run(sample, check=True, capture_output=True).stdout)


if __name__ == "__main__":
    main()
