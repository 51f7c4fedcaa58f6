"""The directions and the purity of the design, read off the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "charlm"
MODULES = sorted(PACKAGE.rglob("*.py"))
LEVELS = (
    {"config", "errors", "files", "machine", "recipe", "label_recipe", "document_recipe", "tensorfile"},
    {"text"},
    {"features", "model"},
    {"evaluation", "sampling"},
    {"labelling", "document_scores"},
    {"training"},
    {"tasks", "inspection"},
    {"checkpoint", "display"},
    {"runs"},
    {"cli"},
    {"__main__"},
)
# Inside a folder (or the lowest level) a module imports from those listed above it.
ORDERS = {
    "": [{"errors"}, {"config", "files", "machine"}, {"recipe", "tensorfile"}, {"label_recipe", "document_recipe"}],
    "text": [
        {"spelling", "words"},
        {"vocab", "alphabets"},
        {"encoding", "guessing", "normalising"},
        {"decoding"},
        {"source"},
        {"finding", "parts"},
        {"corpus"},
        {"streams", "examples"},
        {"tagged", "restoring", "batches"},
        {"formats", "gathering", "documents"},
        {"dataset", "asking", "cutting"},
    ],
    "model": [
        {"devices", "kernels", "capture"},
        {"cells"},
        {"stack"},
        {"network"},
        {"language_model", "heads"},
        {"stepper", "relay"},
    ],
    "training": [{"task", "optimiser", "events"}, {"memory", "trainer"}, {"loop"}, {"captured"}],
    "tasks": [{"language", "labels", "documents"}, {"registry"}],
    "labelling": [
        {"predict", "words", "hashing"},
        {"metrics", "ngrams", "baseline"},
        {"logistic"},
        {"text_baselines", "character_baselines"},
        {"baselines", "judge"},
    ],
    "features": [
        {"spans", "languages"},
        {"kinds"},
        {"parts"},
        {"code"},
        {"quotes", "markup"},
        {"prose", "plain"},
        {"registry"},
        {"labels"},
    ],
    "checkpoint": [{"fields", "format"}, {"card"}, {"model", "training", "baselines"}],
    "inspection": [
        {"findings", "statistics", "telling"},
        {"parallel", "texts", "verdict"},
        {"trace"},
        {"views", "stretch", "ranking", "activations"},
        {"intervention", "confirmation", "label_views"},
        {"document_views"},
        {"baselines", "decisions"},
        {"examine"},
        {"labelled"},
    ],
    "display": [{"terminal", "waiting"}, {"progress", "units", "html", "labels"}],
    "runs": [
        {"record", "signals"},
        {"facts", "find", "doubts"},
        {"data", "initial"},
        {"folder", "choosing", "newest"},
        {"disk", "restore", "speed", "preview", "finish"},
        {"make", "drive", "heldout"},
    ],
    "cli": [
        {"options", "once", "settling"},
        {"prompting", "documents"},
        {"subjects", "answering", "scoring"},
        {"looking"},
        {"train", "sample", "predict", "evaluate", "info", "inspect_cells"},
        {"app"},
    ],
}
# What a folder does not know, though it lies lower or on the same level.
STRANGERS = {"model": {"text", "features"}, "inspection": {"training", "sampling"}, "training": {"sampling"}}
ONLY_IN = {"rich": {"display"}, "tqdm": {"display"}, "typer": {"cli"}, "time": {"runs", "cli"}, "datetime": {"runs", "cli"}}
PURE = {
    "config",
    "errors",
    "files",
    "machine",
    "recipe",
    "tensorfile",
    "text",
    "features",
    "model",
    "document_recipe",
    "evaluation",
    "document_scores",
    "labelling",
    "training",
    "tasks",
    "sampling",
    "inspection",
    "checkpoint",
}
DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"}
FILLS = {"normal_", "uniform_", "bernoulli_", "random_", "exponential_", "cauchy_", "log_normal_", "geometric_"}
FILLS |= {"orthogonal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "trunc_normal_"}


def name_of(path: Path) -> tuple[str, ...]:
    """The module's name below `charlm`, in parts; a package is named as itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, anywhere in `tree`, also inside functions and for types only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> set[tuple[str, ...]]:
    """The modules of charlm that `path` imports, as parts; what is imported from a module counts as that module."""
    known = {name_of(module) for module in MODULES}
    found = {tuple(name.split(".")[1:]) for name in imports(parsed(path)) if name.split(".")[0] == "charlm"}
    return {name for name in found if name in known and name}


def level(part: str) -> int:
    return next(number for number, names in enumerate(LEVELS) if part in names)


def dotted(node: ast.AST) -> str:
    """`torch.cuda.seed` for the expression that reads so; empty where a call or a subscript is in between."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))


each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: ".".join(name_of(path)) or "charlm")
each_pure = pytest.mark.parametrize(
    "path",
    [path for path in MODULES if name_of(path)[:1] and name_of(path)[0] in PURE],
    ids=lambda path: ".".join(name_of(path)),
)


def test_the_source_is_found():
    """The walk below sees every folder of the design, and the imports that are known to be there."""
    assert {name_of(path)[0] for path in MODULES if name_of(path)} >= set().union(*LEVELS)
    assert ("training", "loop") in own_imports(PACKAGE / "runs" / "drive.py")
    assert ("checkpoint", "card") in own_imports(PACKAGE / "cli" / "info.py")  # though for types only


@each_module
def test_imports_go_one_way(path: Path):
    """A module imports from lower levels and from its own folder only; model knows neither text nor features, nor they it."""
    name = name_of(path)
    for other in own_imports(path) if name else []:
        is_own_folder = other[0] == name[0] or (level(name[0]) == level(other[0]) == 0)
        assert is_own_folder or level(other[0]) < level(name[0]), f"{name} imports {other}"
        assert other[0] not in STRANGERS.get(name[0], ()), f"{name} imports {other}"


@each_module
def test_imports_go_one_way_inside_a_folder(path: Path):
    """Inside a folder a module imports from those that the design lists above it."""
    name = name_of(path)
    folder = name[0] if len(name) > 1 else ""
    order = ORDERS.get(folder, [])
    places = {module: number for number, modules in enumerate(order) for module in modules}
    if len(name) > 1:
        assert name[1] in places, f"{path} is not in the order of its folder: add it to ORDERS"
    for other in own_imports(path):
        if (other[0] if len(other) > 1 else "") == folder and other[-1] in places and name and name[-1] in places:
            assert places[other[-1]] < places[name[-1]], f"{name} imports {other}"


@each_module
def test_libraries_stay_where_they_belong(path: Path):
    """Screens are known to display only, the command line's library to cli, and clocks to runs and cli."""
    place = name_of(path)[:1]
    for name in imports(parsed(path)):
        library = name.split(".")[0]
        assert library not in ONLY_IN or set(place) & ONLY_IN[library], f"{path} imports {name}"


@each_module
def test_only_the_boundary_exits(path: Path):
    """Nothing but the command line's boundary ends the process, but for a second signal."""
    allowed = {("cli", "app"): {"sys.exit"}, ("runs", "signals"): {"os._exit"}}.get(name_of(path), set())
    exits = {"exit", "quit", "sys.exit", "os._exit", "os.abort"}
    assert {dotted(call.func) for call in calls(path)} & exits <= allowed


@each_pure
def test_the_core_never_prints(path: Path):
    """Below display nothing writes to a screen or asks where it is."""
    assert not {dotted(call.func) for call in calls(path)} & {"print", "input", "warnings.warn"}
    used = {dotted(node) for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}
    assert not used & {"sys.stdout", "sys.stderr", "sys.argv", "os.environ"}
    if name_of(path) != ("text", "source"):
        assert "sys.stdin" not in used
    assert not {"logging", "warnings"} & {name.split(".")[0] for name in imports(parsed(path))}


@each_module
def test_no_clock_that_can_be_set_back_is_asked(path: Path):
    """Seconds are counted by a monotonic clock; the time of day is written down in run.json, and decides nothing."""
    used = {dotted(node) for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}
    assert not used & {"time.time", "time.time_ns", "datetime.today"}
    assert "datetime.now" not in used or name_of(path) == ("runs", "make")
    assert not any(name.endswith((".st_mtime", ".st_ctime", ".st_mtime_ns")) for name in used)


@each_module
def test_nothing_is_unpickled_or_evaluated(path: Path):
    """No file and no text ever becomes code."""
    assert not {name.split(".")[0] for name in imports(parsed(path))} & {"pickle", "marshal", "shelve", "dill", "joblib"}
    banned = {"torch.load", "torch.save", "np.load", "np.save", "eval", "exec", "compile", "__import__", "os.system"}
    assert not {dotted(call.func) for call in calls(path)} & banned


@each_module
def test_randomness_has_a_generator(path: Path):
    """No draw, in torch or numpy, comes from a global random state, and none is seeded."""
    assert "random" not in {name.split(".")[0] for name in imports(parsed(path))}
    for call in calls(path):
        name = dotted(call.func)
        last = call.func.attr if isinstance(call.func, ast.Attribute) else name
        has_generator = any(keyword.arg == "generator" for keyword in call.keywords)
        assert name not in {"torch.manual_seed", "torch.seed", "torch.cuda.manual_seed", "torch.random.manual_seed"}
        assert not name.startswith(("np.random.", "numpy.random.")) or (name.endswith(".default_rng") and call.args), name
        assert not (name.startswith("torch.") and last in DRAWS) or has_generator, f"{name} at line {call.lineno}"
        assert last not in FILLS or has_generator, f"{name or last} at line {call.lineno}"
        assert last not in {"rand_like", "randn_like"}, f"{name} at line {call.lineno}"
        assert name not in {"F.dropout", "nn.Dropout", "torch.dropout", "nn.functional.dropout"}, f"line {call.lineno}"


def public_definitions(tree: ast.Module) -> Iterator[ast.AST]:
    """The module, and its public functions, classes and methods."""
    yield tree
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (part for part in node.body if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"))


@each_module
def test_everything_public_says_what_it_is(path: Path):
    """Every module, public function, class and method has a docstring."""
    for node in public_definitions(parsed(path)):
        assert ast.get_docstring(node), f"{path}: {getattr(node, 'name', 'the module')}"


@each_module
def test_files_stay_short(path: Path):
    """A file is under about 250 lines, and a function under about 40 of code."""
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= 280
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef) and node.body:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert lines <= 45, f"{path}: {node.name} has {lines} lines"
