"""Does a run that is stopped, disturbed or raced go on to the same end?"""

import contextlib
import errno
import itertools
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.reliability.faults import Op, Watch
from benchmarks.reliability.figure import (
    KINDS,
    STEPS,
    Figure,
    check_lost_nothing,
    child,
    command,
    copy_of,
    ending,
    finished,
    go_on,
    invalid_files,
    new_run,
    to_train,
    workplace,
)
from charlm.errors import Interrupted
from charlm.training.events import Event, StepsDone

STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
NEW_RUNS = 1  # the racing pair in which neither command gets in the other's way
ERRORS = {errno.ENOSPC: "No space left on device", errno.EIO: "Input/output error"}


def exactness(cuts: int) -> Figure:
    """Cut 3 cells x 1 to 3 layers x with and without dropout at `cuts` random steps each; compare all files of both runs.

    So runs of language; those of other kinds have one layer.
    """
    figure, chance = Figure(), random.Random(3)
    sizes = [(kind, layers) for kind in KINDS for layers in ("1", "2", "3") if kind == "language" or layers == "1"]
    with workplace() as place:
        for (kind, layers), cell, dropout in itertools.product(sizes, ("lstm", "gru", "rnn"), ("0", "0.3")):
            base = new_run(place, "--cell", cell, "--num-layers", layers, "--dropout", dropout, kind=kind)
            whole = finished(base)
            for _ in range(cuts):
                run, step = copy_of(base), chance.randrange(1, STEPS - 1)
                with contextlib.suppress(Interrupted):
                    go_on(run, _signal_at(step))
                go_on(run)
                figure.cases += 1
                figure.check(ending(run) == whole, f"{kind}, {cell}, {layers} layers, dropout {dropout}, cut after step {step}")
    return figure


def _signal_at(step: int) -> Callable[[Event], None]:
    def act(event: Event) -> None:
        if isinstance(event, StepsDone) and event.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return act


def signals(count: int) -> Figure:
    """Send SIGINT, SIGTERM and SIGHUP at random moments of `charlm train --resume`; check exit statuses and steps lost."""
    figure, chance, lost, ended = Figure(), random.Random(4), [], 0
    with workplace() as place:
        longer = ("--max-steps", "150", "--eval-every", "30")
        bases = [new_run(place, *longer, kind=each, name=each) for each in KINDS]
        wholes = [finished(base) for base in bases]
        began = time.perf_counter()
        _, steps, _ = _signalled(copy_of(bases[0]), signal.SIGINT, None)
        seconds = time.perf_counter() - began
        while figure.cases < count and ended < count:
            which = figure.cases % len(bases)
            run, kind = copy_of(bases[which]), list(STOPPED)[figure.cases % 3]
            status, steps, said = _signalled(run, kind, chance.uniform(0, seconds))
            figure.cases += status != 0
            ended += status == 0  # before the signal came
            figure.check(status in (0, STOPPED[kind]), f"{kind.name}: status {status}: {said}")
            figure.check("Traceback" not in said, f"{kind.name}: {said}")
            saved = _saved_step(run)
            lost.append(steps - saved)
            figure.check(steps - saved <= 1, f"{kind.name}: {steps} steps taken, {saved} saved")
            if figure.cases % 3 == 0:
                check_lost_nothing(figure, run, wholes[which], f"{kind.name} at a random moment")
    figure.note = f"at most {max(lost)} steps lost; {ended} more had ended before their signal"
    return figure


def _signalled(run: Path, kind: signal.Signals, after: float | None) -> tuple[int, int, str]:
    """Resume a run and signal it `after` some seconds; returns its exit status, the steps taken and its standard error."""
    dots, dot = os.pipe()
    error = run.with_name("stderr")

    def work() -> None:
        from charlm.cli import train
        from charlm.runs import drive as module

        find, step = train.run_to_resume, module.training_step

        def found(*arguments: Any) -> Any:
            os.write(dot, b"s")  # from here on the command handles signals itself
            return find(*arguments)

        def counted(*arguments: Any) -> Any:
            result = step(*arguments)
            os.write(dot, b".")
            return result

        os.dup2(os.open(error, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        with mock.patch.object(train, "run_to_resume", found), mock.patch.object(module, "training_step", counted):
            os._exit(_status_of("train", "--resume", str(run)))

    process = child(work)
    os.close(dot)
    os.read(dots, 1)
    if after is not None:
        time.sleep(after)
        os.kill(process, kind)
    taken = 0
    while piece := os.read(dots, 65536):
        taken += piece.count(b".")
    os.close(dots)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), taken, error.read_text()


def _status_of(*arguments: str) -> int:
    from charlm.cli.app import main

    try:
        main(arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0


def _saved_step(run: Path) -> int:
    path = run / "last.safetensors"
    if not path.exists():
        return 0
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    step: int = json.loads(header["__metadata__"]["charlm"])["position"]["step"]
    return step


def errors(every: int) -> Figure:
    """Let each operation on files fail, once or from then on, while a run is made and trained, and while one is resumed.

    With `every` above 1, only every so many operations are tried; for other runs than those of language, a third of them. At
    most one line may be said, and nothing may be lost.
    """
    figure, kinds = Figure(), {}
    for kind in KINDS:
        with workplace() as place:
            _errors(figure, place, kind, every if kind == "language" else 3 * every, kinds)
    figure.note = "each of these failed: " + ", ".join(f"{name} {number // 4}" for name, number in sorted(kinds.items()))
    return figure


def _errors(figure: Figure, place: Path, kind: str, every: int, kinds: dict[str, int]) -> None:
    begun = new_run(place, kind=kind)
    whole = finished(begun)
    with contextlib.suppress(Interrupted):
        go_on(begun, _signal_at(5))
    resume, make = ("train", "--resume", "copy", "--quiet"), (*to_train(place, kind), "--out", "new", "--quiet")
    for arguments, run in ((resume, place / "copy"), (make, place / "new")):
        _afresh(begun, place)
        with Watch(place, lambda _number, _op: None).watching() as watch:
            command(*arguments)
        for at in range(1, watch.count + 1, every):
            for number, once in itertools.product(ERRORS, (True, False)):
                _afresh(begun, place)
                with Watch(place, _failing(at, number, kinds, once=once)).watching():
                    done = command(*arguments)
                figure.cases += 1
                what = f"{kind}, {arguments[1]}: {ERRORS[number]} at operation {at}{'' if once else ' and from then on'}"
                figure.check(done.status in (0, 1), f"{what}: status {done.status}")
                figure.check(done.err.count("\n") == (done.status != 0), f"{what}: {done.err}")
                figure.check("Traceback" not in done.err and "bug in charlm" not in done.err, f"{what}: {done.err}")
                figure.check(not once or not list(place.glob(".*")), f"{what}: half a run is left")
                if run.exists():
                    check_lost_nothing(figure, run, whole, what)


def _afresh(begun: Path, place: Path) -> None:
    """Copy the begun run anew, and remove what earlier tries left."""
    copy_of(begun)
    for path in place.iterdir():
        if path.is_dir() and path.name not in ("base", "whole", "copy"):
            shutil.rmtree(path)


def _failing(first: int, number: int, kinds: dict[str, int], *, once: bool) -> Callable[[int, Op], int | None]:
    def act(at: int, op: Op) -> int | None:
        if at == first or (at > first and not once):
            if at == first:
                kinds[op.kind] = kinds.get(op.kind, 0) + 1
            raise OSError(number, ERRORS[number], op.path)
        return None

    return act


def races(count: int) -> Figure:
    """Start two commands at once on one folder: they resume it, overwrite it, or choose the same name for a new run."""
    figure, ends = Figure(), {}
    with workplace() as place:
        bases = {kind: new_run(place, kind=kind, name=kind) for kind in KINDS}
        wholes = {kind: finished(base) for kind, base in bases.items()}
        for number in range(count):
            kind = list(KINDS)[number % len(KINDS)]
            copy_of(bases[kind])
            for name in ("new", "checkpoints"):
                shutil.rmtree(place / name, ignore_errors=True)
            pairs = _pairs(to_train(place, kind))
            pair = pairs[number % len(pairs)]
            statuses = list(_raced(place, pair))
            figure.cases += 1
            codes = tuple(sorted(status for status, _ in statuses))
            ends[codes] = ends.get(codes, 0) + 1
            what = " | ".join(" ".join(each) for each in pair)
            allowed = ((0, 0),) if number % len(pairs) == NEW_RUNS else ((0, 0), (0, 1))
            figure.check(codes in allowed, f"{what}: {statuses}")
            for status, said in statuses:
                figure.check(status == 0 or (said.count("\n") >= 1 and "Traceback" not in said), f"{what}: {said}")
                figure.check("bug in charlm" not in said, f"{what}: {said}")
            runs = [path.parent for path in place.rglob("run.json") if path.parent.name not in (*KINDS, "whole")]
            figure.check(not [run for run in runs if run.name.startswith(".")], f"{what}: half a run is left")
            for run in runs:
                figure.check(not invalid_files(run), f"{what}: {invalid_files(run)}")
                go_on(run)
                figure.check(ending(run) == wholes[kind], f"{what}: {run.name} has another end")
    figure.note = ", ".join(f"{number} ended {codes}" for codes, number in sorted(ends.items()))
    return figure


def _pairs(train: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """The commands that race, where `train` begins a run."""
    resume, over = ("train", "--resume", "copy"), (*train, "--out", "copy", "--overwrite")
    return ((resume, resume), (train, train), (over, resume), (over, over), ((*train, "--out", "new"),) * 2)


def _raced(place: Path, pair: tuple[tuple[str, ...], ...]) -> Iterator[tuple[int, str]]:
    go, start = os.pipe()
    processes = []
    for number, words in enumerate(pair):
        error = place / f"stderr-{number}"

        def work(words: tuple[str, ...] = words, error: Path = error) -> None:
            os.close(start)
            os.dup2(os.open(error, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.read(go, 1)
            os._exit(_status_of(*words))

        processes.append((child(work), error))
    os.close(start)
    os.close(go)
    for process, error in processes:
        yield os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), error.read_text()
