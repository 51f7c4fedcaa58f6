"""The examples of CONTRIBUTING.md, added from outside: with `-p tests.toys` they are there before any test is collected.

Each block of code on that page names the module it belongs to, and runs there; then each has its entry, as the page says.
"""

import importlib
import re
import sys
import types
from pathlib import Path

import numpy as np

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


BLOCKS = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
EXAMPLES = {path: run_example(path, source) for path, source in BLOCKS}

cells.CELLS["mgu"], REFERENCES["mgu"] = cells.MGU, mgu
registry.FEATURES["since_comma"] = registry.feature_of(plain.since_comma, is_graded=True)
optimiser.OPTIMISERS["lion"] = optimiser.OptimiserKind(make=optimiser.make_lion, rate=5e-3, moments=1)
TASKS["echo"] = EXAMPLES["charlm/tasks/echo.py"].EchoTask
progress.REPORTERS = (*progress.REPORTERS, progress.Percent)
