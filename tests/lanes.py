"""Which tests are quick: a few cases of each that reaches no whole command, run, examination or process, read off its code.

Knows nothing of what a test is about, nor of how long it takes.
"""

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from charlm.cli import app
from charlm.inspection import examine
from charlm.training import loop

FEW = 6  # cases of a test with many, spread over all of them
WHOLE = (app.main, loop.train, examine.examine)  # a command, a run, an examination
PROCESSES = {"subprocess", "multiprocessing", "pty", "fork"}  # modules, and a function of os, that a process is started with
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}  # what Python tells of it
OURS = ("tests.", "benchmarks.")  # helpers are looked through; the package is what is tested

quick: list[pytest.Item] = []  # the quick test that is running, if one is


def mark(items: list[pytest.Item]) -> None:
    """Mark as `whole` and as `further` what is not quick. Nobody keeps a list."""
    cases: dict[str, list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
            if is_whole(item):
                item.add_marker("whole")
    for many in cases.values():
        for number in set(range(len(many))) - few_of(len(many)):
            many[number].add_marker("further")


def few_of(many: int) -> set[int]:
    """The numbers, from zero, of the quick ones among so many cases."""
    return {number * many // FEW for number in range(FEW)} if many > FEW else set(range(many))


def is_whole(item: pytest.Function) -> bool:
    """Whether the test, a fixture it takes or a helper of either uses a whole command, run, examination or process."""
    fixtures = [fixture.func for same_name in item._fixtureinfo.name2fixturedefs.values() for fixture in same_name]
    seen: set[Any] = set()
    return any(reaches(function, seen) for function in (item.function, *fixtures))


def reaches(what: object, seen: set[Any]) -> bool:
    """Whether `what`, a function or a class, uses one of those, directly or by helpers; `seen` was looked at."""
    if isinstance(what, type):
        return any(reaches(getattr(part, "__func__", part), seen) for part in vars(what).values())
    what = getattr(what, "__wrapped__", what)
    if not isinstance(what, FunctionType) or what in seen:
        return False
    seen.add(what)
    names = set(names_in(what.__code__))
    used = [value for name, value in what.__globals__.items() if name in names]
    used += [vars(value)[name] for value in used if isinstance(value, ModuleType) for name in names & vars(value).keys()]
    return bool(names & PROCESSES) or any(is_one(value) or (is_ours(value) and reaches(value, seen)) for value in used)


def names_in(code: CodeType) -> Iterator[str]:
    """The global names and the attributes that `code`, and what is defined in it, uses."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def is_one(value: object) -> bool:
    """Whether `value` is one of `WHOLE`; arrays, which tests have too, have an equality of their own."""
    return any(value is each for each in WHOLE)


def is_ours(value: object) -> bool:
    """Whether `value` is a helper of the tests or the benchmarks."""
    return callable(value) and str(getattr(value, "__module__", "")).startswith(OURS)


def refuse(event: str, _arguments: object) -> None:
    """Let no quick test start a process: it was taken for quick by mistake."""
    if quick and event in STARTS:
        raise RuntimeError(f"{quick[0].nodeid} starts a process, and tests/lanes.py takes it for quick")


sys.addaudithook(refuse)
