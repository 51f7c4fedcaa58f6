"""Everything that needs a graphics card, measured in one go, the cheapest and most important first.

    python -m benchmarks.gpu [--corpus path/to/tinyshakespeare.txt] [--minutes 6] [--to gpu.md]

A process of its own measures each row, and the table gets the row at once, so that a run that is cut off still has results. A
row says so when no time is left for it. `--device cpu --small` tries everything on a processor; its figures mean nothing.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import inspecting, quality, sampling, training
from benchmarks.machine import describe_machine, heed_signals
from benchmarks.reliability.figure import ending
from charlm.config import ModelConfig
from charlm.model.language_model import LanguageModel

NOVEL = Path("data/austen.txt")
SHIPPED = "checkpoints/austen"
COMMAND = (sys.executable, "-m", "charlm")
BATCHES = (64, 128, 256, 512, 1024)
STEPS = 2000  # of the runs that are compared byte by byte and are stopped some time after STOP
STOP = 500


def exactness(options: argparse.Namespace) -> str:
    """Train two runs with dropout, and one that is stopped and resumed; says how many bytes of their files differ."""
    steps, size = (40, 16) if options.small else (STEPS, 256)
    shape = ["--num-layers", "2", "--hidden-size", str(size), "--dropout", "0.2", "--batch-size", "64", "--seq-len", "64"]
    with tempfile.TemporaryDirectory() as place:
        text = Path(place) / "t.txt"
        text.write_text(NOVEL.read_text()[:300_000])
        train = ["train", str(text), *shape, "--max-steps", str(steps), "--sample-every", str(steps // 20)]
        train += ["--device", options.device, "--json", "--out"]
        runs = [Path(place) / name for name in ("one", "two", "stopped")]
        for run in runs[:2]:
            charlm(*train, str(run))
        at = stopped(*train, str(runs[2]), after=steps * STOP // STEPS)
        charlm("train", "--json", "--resume", str(runs[2]))
        ends = [ending(run) for run in runs]
        captured = "" if options.device == "cpu" else f"; {'not ' if 'launched one by one' in said(runs[0]) else ''}captured"
    same = ["the same bytes" if end == ends[0] else f"different: {', '.join(differing(ends[0], end))}" for end in ends[1:]]
    return f"two runs: {same[0]}; stopped at step {at} of {steps} and resumed: {same[1]}{captured}"


def differing(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Say how the ends of two runs differ."""
    return [name for name in one if one[name] != other[name]]


def said(run: Path) -> str:
    """Read what the command that trained `run` wrote to standard error."""
    return run.with_suffix(".err").read_text()


def charlm(*arguments: str) -> str:
    """Run a command; returns its standard output, and keeps its standard error beside the run it names last."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    with contextlib.suppress(OSError):
        Path(arguments[-1]).with_suffix(".err").write_text(done.stderr)
    if done.returncode != 0:
        raise RuntimeError(f"charlm {arguments[0]} ended with status {done.returncode}: {done.stderr.splitlines()[-1:]}")
    return done.stdout


def stopped(*arguments: str, after: int) -> int:
    """Train, and stop with Ctrl-C at the first row of a step beyond `after`; returns the step it was saved at."""
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("no pipes")
        for line in process.stdout:
            if json.loads(line)["step"] > after:
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        error = process.stderr.read()
    if process.returncode != 128 + signal.SIGINT:
        raise RuntimeError(f"the run was not stopped, but ended with status {process.returncode}")
    return int(error.rpartition("at step ")[2].split(".")[0])


def elsewhere(options: argparse.Namespace) -> str:
    """Stop a run on the device and go on with it on the processor; one line must say so."""
    with tempfile.TemporaryDirectory() as place:
        text = Path(place) / "t.txt"
        text.write_text(NOVEL.read_text()[:50_000])
        shape = ["--hidden-size", "16", "--batch-size", "8", "--seq-len", "32", "--dropout", "0.2", "--precision", "fp32"]
        run = str(Path(place) / "run")
        train = ["train", str(text), *shape, "--max-steps", "4000", "--sample-every", "20", "--device", options.device]
        at = stopped(*train, "--json", "--out", run, after=40)
        charlm("train", "--max-steps", str(at + 40), "--device", "cpu", "--quiet", "--json", "--resume", run)
        lines = [line for line in said(Path(run)).splitlines() if line.startswith("not bit-exact")]
    return f"it does, from step {at}; lines that say so: {len(lines)}{''.join('; ' + line for line in lines)}"


def tests(_options: argparse.Namespace) -> str:
    """Run the tests that need a card; returns pytest's last line and the tests that failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "tests/model", "tests/training"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "; ".join([done.stdout.strip().splitlines()[-1].strip("= "), *failed])


def speed(options: argparse.Namespace, batch_size: int, seq_len: int, hidden_size: int) -> str:
    """Measure characters a second of the plain loop with TF32, and of charlm with either optimiser."""
    if options.small:
        batch_size, seq_len, hidden_size = batch_size // 16, 8, 16
    shape = {"batch_size": batch_size, "seq_len": seq_len, "hidden_size": hidden_size, "num_layers": 2, "cell": "lstm"}
    wanted = argparse.Namespace(**shape, seconds=0.05 if options.small else 1.5, device=options.device)
    rates = {}
    for way in ("plain fp32", "charlm, adamw", "charlm, muon"):
        rates[way] = batch_size * seq_len / training.WAYS[way](wanted)
        torch.backends.cuda.matmul.allow_tf32 = False  # only the plain loop uses it
    plain = rates.pop("plain fp32")
    ours = ", ".join(f"{way.split()[1]} {rate / 1e6:.2f} M ({rate / plain:.2f} x)" for way, rate in rates.items())
    return f"plain {plain / 1e6:.2f} M; {ours} characters/s"


def drawing(options: argparse.Namespace) -> str:
    """Measure characters a second of sampling, in one stream and in 64."""
    config = ModelConfig(hidden_size=16 if options.small else 512, num_layers=2)
    model = LanguageModel.initialised(config, sampling.VOCAB_SIZE, generator=torch.Generator().manual_seed(0)).to(
        options.device
    )
    seconds = 0.1 if options.small else 2.0
    rates = {streams: sampling.charlm_speed(model, streams, 1, seconds) for streams in (1, 64)}
    return ", ".join(f"{streams} at once: {rate:,.0f}" for streams, rate in rates.items()) + " characters/s"


def loss(options: argparse.Namespace, seconds: int) -> str:
    """Measure the exact validation loss after this many seconds of training."""
    corpus = options.corpus or (str(NOVEL) if options.small else "")
    if not Path(corpus).is_file():
        return f"skipped: there is no {corpus or '--corpus, which is not this project’s to ship'}"
    further = ["--seed", "1", "--device", options.device, *(["--hidden-size", "16"] if options.small else [])]
    with tempfile.TemporaryDirectory() as place:
        limit = f"{seconds / 100 if options.small else seconds}s"
        nats, trained, whole = quality.run(corpus, ["--max-time", limit, *further], Path(place) / "run")
        record = json.loads((Path(place) / "run" / "run.json").read_text())
    model, how = record["model"], record["training"]
    batch = f"batch {how['batch_size']} x {how['seq_len']}"
    what = f"{model['num_layers']} x {model['hidden_size']}, dropout {model['dropout']:g}, {batch}"
    return f"{nats:.4f} nats; {trained:.1f} s of training, {whole:.1f} s in all; {what}"


def looking(options: argparse.Namespace) -> str:
    """Measure how long `inspect-cells` takes with the shipped model."""
    characters = "2500" if options.small else "200000"
    seconds, processor, memory = inspecting.measured(
        "inspect-cells", "-c", SHIPPED, "--max-characters", characters, "--device", options.device, "--json"
    )
    return f"{seconds:.0f} s, {processor:.0f} s of processor time, {memory:.1f} GB"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the target, the seconds it may take, and the function that measures it."""

    name: str
    target: str
    seconds: float
    take: Callable[[argparse.Namespace], str]


def speed_row(name: str, target: str, *shape: int) -> Row:
    """Make the row for a network of one shape."""
    return Row(name, target, 40, lambda options: speed(options, *shape))


def loss_row(seconds: int, target: str) -> Row:
    """Make the row for a time limit."""
    return Row(f"loss after {seconds} s", target, 40 + 1.2 * seconds, lambda options: loss(options, seconds))


ROWS = (
    Row("resumed on the device", "the same bytes", 60, exactness),
    Row("CUDA tests", "all pass", 90, tests),
    speed_row("training, 2 x 512, 128 x 128", "report", 128, 128, 512),
    speed_row("training, 2 x 256, 32 x 64", "report", 32, 64, 256),
    loss_row(5, "1.43"),
    loss_row(20, "1.40"),
    *(speed_row(f"training, 2 x 512, {batch} x 128", "report", batch, 128, 512) for batch in BATCHES if batch != 128),
    loss_row(3, "report"),
    Row("sampling, 2 x 512", "report", 30, drawing),
    Row("begun on the device, gone on with on the processor", "one line", 40, elsewhere),
    loss_row(60, "report"),
    Row("inspect-cells, 2 x 256, the held-out part", "report", 60, looking),
)


def measured(row: Row, options: argparse.Namespace, left: float) -> str:
    """Measure a row in a process of its own; returns the result, or the reason why there is none."""
    if left < min(row.seconds / 2, 15):
        return f"not measured: {left:.0f} s were left"
    command = [sys.executable, "-m", "benchmarks.gpu", "--row", row.name, "--device", options.device]
    command += ["--corpus", options.corpus] * bool(options.corpus) + ["--small"] * options.small
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, error = process.communicate(timeout=min(left, 2 * row.seconds))
        except subprocess.TimeoutExpired as late:
            return f"not measured: not done after {late.timeout:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and its children
    if process.returncode != 0:
        return f"failed: {(error.strip().splitlines() or ['no word'])[-1]}"
    return out.strip()


def main() -> None:
    """Measure, and write the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", help="tinyshakespeare.txt, which is not this project's to ship")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--to", type=Path, default=Path("gpu.md"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--row", choices=[row.name for row in ROWS], help="take this one alone, and print the bare figure")
    options = parser.parse_args()
    if options.row:
        print(next(row for row in ROWS if row.name == options.row).take(options))
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no CUDA here; --device cpu --small tries everything on a processor")
    heed_signals()
    began = time.monotonic()
    card = torch.cuda.get_device_name() if options.device == "cuda" else "a processor, small: the figures mean nothing"
    with options.to.open("w") as table:
        table.write(f"{card}; {describe_machine()}\n\n| figure | to reach | measured |\n|---|---|---|\n")
        for row in ROWS:
            found = measured(row, options, 60 * options.minutes - (time.monotonic() - began))
            line = f"| {row.name} | {row.target} | {found.replace('|', '/')} |"
            table.write(line + "\n")
            table.flush()
            print(line, flush=True)
        took = f"{time.monotonic() - began:.0f} s in all"
        table.write(f"\n{took}\n")
    print(f"{took}; the table is in {options.to}")


if __name__ == "__main__":
    main()
