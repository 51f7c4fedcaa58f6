"""The examples of CONTRIBUTING.md, added from outside: with `-p tests.toys` they are there before any test is collected.

Each block of code on that page names the module it belongs to, and runs there; then each has its entry, as the page says. One
more cell is here: minGRU, which has no weights for the past.
"""

import importlib
import re
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from charlm.display import progress
from charlm.features import plain, registry
from charlm.model import cells
from charlm.tasks.registry import TASKS
from charlm.training import optimiser
from tests.model.reference import REFERENCES, Hold, Values, free, sigmoid

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"


def run_example(path: str, source: str) -> types.ModuleType:
    """Run the code in the module of that path, which is made where there is none."""
    name = path.removesuffix(".py").replace("/", ".")
    if importlib.util.find_spec(name) is None:
        sys.modules[name] = types.ModuleType(name)
    module = importlib.import_module(name)
    exec(compile(source, str(PAGE), "exec"), module.__dict__)
    return module


def mgu(x: list[np.ndarray], u: list[np.ndarray], now: dict[str, np.ndarray], hold: Hold = free) -> Values:
    f = sigmoid(x[0] + u[0])
    n = np.tanh(x[1] + f * u[1])
    return {"h": hold("h", (1 - f) * now["h"] + f * n), "f": f, "n": n}


class MinGRU(cells.Cell):
    """The minimal GRU (Feng et al. 2024, with tanh), whose gates do not see the past."""

    num_gates = 2
    signals = (cells.Signal("h", "hidden state"), cells.Signal("z", "update gate", low=0.0), cells.Signal("n", "candidate"))

    def add_weights(self, input_size: int) -> None:
        self.from_input = nn.Linear(input_size, 2 * self.hidden_size)

    @property
    def past_weights(self) -> tuple[Tensor, Tensor]:
        weight, bias = self.input_weights
        return weight.new_empty(0, self.hidden_size), bias.new_empty(0)

    def gates(self, from_input: Tensor, from_past: Tensor) -> cells.Gates:
        update, new = from_input.expand(len(from_past), -1).chunk(2, dim=-1)
        return torch.sigmoid(update), torch.tanh(new)

    def advance(self, gates: cells.Gates, state: cells.State, clamps: Sequence[cells.Clamp] = ()) -> cells.State:
        z, n = gates
        return (cells.hold("h", (1 - z) * state[0] + z * n, clamps),)


def mingru(x: list[np.ndarray], _u: list[np.ndarray], now: dict[str, np.ndarray], hold: Hold = free) -> Values:
    z, n = sigmoid(x[0]), np.tanh(x[1])
    return {"h": hold("h", (1 - z) * now["h"] + z * n), "z": z, "n": n}


BLOCKS = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
EXAMPLES = {path: run_example(path, source) for path, source in BLOCKS}

cells.CELLS["mgu"], REFERENCES["mgu"] = cells.MGU, mgu
cells.CELLS["mingru"], REFERENCES["mingru"] = MinGRU, mingru
registry.FEATURES["since_comma"] = registry.feature_of(plain.since_comma, is_graded=True)
optimiser.OPTIMISERS["lion"] = optimiser.OptimiserKind(make=optimiser.make_lion, rate=5e-3, moments=1)
TASKS["echo"] = EXAMPLES["charlm/tasks/echo.py"].EchoTask
progress.REPORTERS = (*progress.REPORTERS, progress.Percent)
