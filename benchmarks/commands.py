"""How long do commands take that read a whole text with the shipped model?

    python -m benchmarks.commands [--runs 3] [--beside CHECKOUT] [and options for both, such as --threads 1]

Times `charlm inspect-cells` without options, and `charlm eval` of a million characters of the novel, as whole processes. With
`--beside`, they run in turn with those of another checkout.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.machine import alternate, describe_machine
from benchmarks.quality import HERE
from benchmarks.startup import show, timed

NOVEL = "data/austen.txt"
CHARACTERS = 1_000_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--beside", type=Path)
    options, further = parser.parse_known_args()
    print(describe_machine(), flush=True)
    checkouts = {"here": HERE} | ({"beside": options.beside.resolve()} if options.beside else {})
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "megabyte.txt"
        text.write_text(Path(NOVEL).read_text(encoding="utf-8")[:CHARACTERS], encoding="utf-8")
        for name, arguments in {"eval": ["eval", str(text)], "inspect-cells": ["inspect-cells"]}.items():
            ways = {which: partial(timed, path, [*arguments, *further]) for which, path in checkouts.items()}
            show(name, alternate(ways, options.runs))


if __name__ == "__main__":
    main()
