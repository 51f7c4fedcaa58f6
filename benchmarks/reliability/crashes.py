"""What is left on disk when a process is killed, or the power fails, at any moment of saving?"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from benchmarks.reliability.faults import Op, Watch
from benchmarks.reliability.figure import (
    KINDS,
    Figure,
    check_lost_nothing,
    child,
    copy_of,
    ending,
    finished,
    go_on,
    new_run,
    workplace,
)
from benchmarks.reliability.power import Disk
from charlm.errors import CheckpointError
from charlm.tensorfile import TensorFile

CELLS = ("lstm", "gru", "rnn")
SYSTEM_CALLS = ("openat", "write", "fsync", "rename", "close", "lseek", "flock", "fstat")
MOST_CALLS = 20  # of each kind; a run of this length makes about that many
TRIES = 4  # for each kill


def kills(count: int) -> Figure:
    """Kill a run before, during and after every operation on its files, at random moments, and at system calls."""
    figure, chance, by = Figure(), random.Random(1), {"operation": 0, "moment": 0, "system call": 0}
    with workplace() as place:
        bases = [new_run(place, "--cell", cell, name=cell) for cell in CELLS]
        bases += [new_run(place, kind=kind, name=kind) for kind in KINDS if kind != "language"]
        wholes = [finished(base) for base in bases]
        operations = _operations(bases[0])
        seconds = _seconds(bases[0])
        has_strace = subprocess.run(["sh", "-c", "command -v strace"], capture_output=True, check=False).returncode == 0
        shares = {"operation": count // 2, "moment": count - count // 2, "system call": 0}
        if has_strace:
            shares |= {"system call": count // 10, "moment": shares["moment"] - count // 10}
        for kind, share in shares.items():
            for number in range(TRIES * share):  # some runs end before they are killed; those do not count
                if by[kind] == share:
                    break
                base, whole = bases[number % len(bases)], wholes[number % len(bases)]
                run = copy_of(base)
                if kind == "operation":
                    was_killed = _kill_at_operation(run, 37 * number % operations + 1, torn=chance.random() < 0.5)
                elif kind == "moment":
                    was_killed = _kill_at_moment(run, chance.uniform(0, seconds))
                else:
                    call = SYSTEM_CALLS[number % len(SYSTEM_CALLS)]
                    was_killed = _kill_at_system_call(run, call, 1 + number // len(SYSTEM_CALLS) % MOST_CALLS)
                figure.cases += was_killed
                by[kind] += was_killed
                check_lost_nothing(figure, run, whole, f"killed by {kind} {number}")
    figure.note = ", ".join(f"{number} by {kind}" for kind, number in by.items()) + ("" if has_strace else "; no strace here")
    return figure


def _operations(base: Path) -> int:
    run = copy_of(base)
    with Watch(run, lambda _number, _op: None).watching() as watch:
        go_on(run)
    return watch.count


def _seconds(base: Path) -> float:
    run, began = copy_of(base), time.perf_counter()
    go_on(run)
    return time.perf_counter() - began


def _kill_at_operation(run: Path, number: int, *, torn: bool) -> bool:
    def act(at: int, op: Op) -> int | None:
        if at == number and op.kind == "write" and torn:
            return len(op.data) // 2
        if at == number or (at == number + 1 and op.kind == "torn"):
            os.kill(os.getpid(), signal.SIGKILL)
        return None

    def work() -> None:
        with Watch(run, act).watching():
            go_on(run)

    return os.WIFSIGNALED(os.waitpid(child(work), 0)[1])


def _kill_at_moment(run: Path, seconds: float) -> bool:
    process = child(lambda: go_on(run))
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


def _kill_at_system_call(run: Path, call: str, number: int) -> bool:
    """Let the kernel kill the process at its `number`th `call`, by way of strace."""

    def work() -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        go_on(run)

    process = child(work)
    os.waitpid(process, os.WUNTRACED)
    options = ["-f", "-q", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    with subprocess.Popen(["strace", *options, "-p", str(process)], stderr=subprocess.DEVNULL) as tracer:
        status = Path("/proc", str(process), "status")
        while "TracerPid:\t0" in status.read_text() and tracer.poll() is None:
            time.sleep(0.001)
        os.kill(process, signal.SIGCONT)
        return os.WIFSIGNALED(os.waitpid(process, 0)[1])


def power_losses(resumed: int) -> Figure:
    """Let the power fail after every operation of a run of each kind; check each state of the disk, go on from `resumed`."""
    figure, chance, each = Figure(), random.Random(2), max(1, resumed // len(KINDS))
    count = 0
    for kind in KINDS:
        with workplace() as place:
            count += _power_losses(figure, place, new_run(place, kind=kind), chance, each)
    figure.note = f"{count} operations; {each} states of each of {len(KINDS)} kinds of run gone on with, to the same end"
    return figure


def _power_losses(figure: Figure, place: Path, base: Path, chance: random.Random, resumed: int) -> int:
    """Do so for the run `base`; returns how many operations it has."""
    seen: set[tuple[frozenset[tuple[str, bytes]], int]] = set()
    whole, run, operations = finished(base), copy_of(base), []
    with Watch(run, lambda _number, op: operations.append(op)).watching():
        go_on(run)
    versions = _versions(operations)
    disk, durable, states = Disk(), -1, []
    for op in operations:
        disk.do(op)
        if op.kind == "fsync" and op.path == str(run):
            last = disk.names.get(str(run / "last.safetensors"))
            step = None if last is None else _step(disk.written[last], place)
            durable = durable if step is None else max(step, durable)
        for state in disk.states():
            key = frozenset((Path(path).name, contents) for path, contents in state.items())
            if (key, durable) not in seen:
                seen.add((key, durable))
                states.append(state)
                _check_state(figure, state, durable, versions, place)
    figure.cases += len(seen)
    for state in chance.sample(states, min(resumed, len(states))):
        after = copy_of(base, "after")
        for path, contents in state.items():
            (after / Path(path).name).write_bytes(contents)
        go_on(after)
        figure.check(ending(after) == whole, "a run gone on with after a power loss had another end")
    return len(operations)


def _versions(operations: list[Op]) -> set[bytes]:
    """Collect every complete version a file ever had."""
    disk, found = Disk(), set()
    for op in operations:
        if op.kind == "rename":
            found.add(disk.written[disk.live[op.path]])
        disk.do(op)
    return found


_steps: dict[bytes, int | None] = {}


def _step(contents: bytes, place: Path) -> int | None:
    """Read the step of a training state from its bytes; None when it does not open."""
    if contents not in _steps:
        path = place / "looked-at"
        path.write_bytes(contents)
        try:
            with TensorFile(path, "training") as file:
                _steps[contents] = file.head["position"]["step"]
        except CheckpointError:
            _steps[contents] = None
    return _steps[contents]


def _opens(contents: bytes, place: Path) -> bool:
    path = place / "looked-at"
    path.write_bytes(contents)
    try:
        with TensorFile(path, "model"):
            return True
    except CheckpointError:
        return False


def _check_state(figure: Figure, state: dict[str, bytes], durable: int, versions: set[bytes], place: Path) -> None:
    files = {Path(path).name: contents for path, contents in state.items()}
    steps = [_step(files[name], place) for name in ("last.safetensors", "previous.safetensors") if name in files]
    best = max((step for step in steps if step is not None), default=-1)
    figure.check(best >= durable, f"a state of step {durable} was on the disk, and {best} is what is left")
    for name in ("last.safetensors", "previous.safetensors"):
        if name in files and _step(files[name], place) is not None:
            figure.check(files[name] in versions, f"{name} opens, and was never written")
    if durable >= 0:
        model = files.get("model.safetensors", b"")
        figure.check(model in versions and _opens(model, place), "the model is lost")
