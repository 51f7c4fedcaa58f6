"""`charlm train`: a text in, a trained model out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from charlm.cli import options
from charlm.config import CorpusConfig, End, ModelConfig, TrainConfig, parse_duration
from charlm.errors import UsageError

MODEL, TRAINING, TEXT = ModelConfig(), TrainConfig(), options.DEFAULT_TEXT
# What may stand beside --resume: where the run ends, and how and where it is shown and computed.
WITH_RESUME = {"resume", "max_steps", "epochs", "max_time", "device", "threads", "quiet", "json"}


def train(
    ctx: typer.Context,
    corpus: Annotated[
        list[str] | None, typer.Argument(help="Text files, a folder, or - for standard input.", show_default=False)
    ] = None,
    cell: Annotated[str | None, typer.Option(help="lstm, gru or rnn.", show_default=MODEL.cell)] = None,
    hidden_size: Annotated[int | None, typer.Option(help="Units in a layer.", show_default=str(MODEL.hidden_size))] = None,
    num_layers: Annotated[int | None, typer.Option(help="Layers.", show_default=str(MODEL.num_layers))] = None,
    embedding_size: Annotated[
        int | None, typer.Option(help="Numbers that stand for a character.", show_default=str(MODEL.embedding_size))
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Share of each layer's input dropped.", show_default=str(MODEL.dropout))
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Streams side by side.", show_default=str(TRAINING.batch_size))] = None,
    seq_len: Annotated[
        int | None, typer.Option(help="Characters that gradients flow back over.", show_default=str(TRAINING.seq_len))
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest rate of the schedule.", show_default=str(TRAINING.learning_rate))
    ] = None,
    clip_norm: Annotated[
        float | None, typer.Option(help="Longest gradient; 0 clips none.", show_default=str(TRAINING.clip_norm))
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(help="End after so many steps.", show_default="from the corpus's size")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="End after so many passes over the text.", show_default=False)] = None,
    max_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End after 60s, 5m, 2h of training (scoring and saving do not count)."),
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(help="char: Unicode code points; byte: any file at all.", show_default=TEXT.symbols)
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="utf-8, latin-1, utf-16, ...", show_default=TEXT.encoding)] = None,
    glob: Annotated[str | None, typer.Option(help="Which files of a folder are read.", show_default=TEXT.glob)] = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(
            help="Share of the text, before the test part, that picks the best model.",
            show_default=str(TEXT.validation_fraction),
        ),
    ] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Share at the text's end, never looked at.", show_default=str(TEXT.test_fraction))
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Makes a run repeatable.", show_default=str(TRAINING.seed))] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", show_default="auto")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16, or fp16 (CUDA only).", show_default="auto")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads.", show_default="one a core")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The run's folder.", show_default="checkpoints/NAME-OF-CORPUS")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run; only its end may be moved.", show_default=False)
    ] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations.", show_default="a 20th of the run")] = None,
    sample_every: Annotated[int | None, typer.Option(help="Steps between samples.", show_default="a 5th of the run")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per report on standard output.")] = False,
    version: options.Version = False,
) -> None:
    """Train a character-level language model on a text.

    Example: charlm train novel.txt --max-time 5m

    Ctrl-C saves the run and prints the command that goes on with it.
    """
    # Not "falsy": 0 is a value that someone gave.
    given = {name: value for name, value in ctx.params.items() if value is not None and value is not False and value != ()}
    end = End(max_steps=max_steps, epochs=epochs, max_seconds=None if max_time is None else parse_duration(max_time))
    if resume is None:
        folder, notices = _start(given, end)
    else:
        folder, notices = _find(resume, given), []
    from charlm.display import progress
    from charlm.display.terminal import visible
    from charlm.runs.drive import drive
    from charlm.runs.folder import open_run

    show = "json" if json else "quiet" if quiet else "bar" if sys.stderr.isatty() else "log"
    run = open_run(folder, end=end if resume else None, device=device, threads=threads)
    run.notices[:0] = notices
    reporter = progress.REPORTERS[show]()
    try:
        done = drive(run, reporter, report_seconds=0.5 if show == "bar" else 1.0 if json else 5.0)
    finally:
        reporter.close()
    if not quiet:
        print(f"done: {progress.describe_end(done)}\nmodel: {visible(done.checkpoint)}", file=sys.stderr)
        print(f"sample from it: charlm sample -c {visible(shlex.quote(str(folder)))}", file=sys.stderr)


def _find(resume: str, given: dict[str, object]) -> Path:
    extra = sorted(set(given) - WITH_RESUME)
    if extra:
        name = "CORPUS" if "corpus" in extra else "--" + extra[0].replace("_", "-")
        raise UsageError(
            f"{name} was given with --resume, which goes on with everything the run was started with",
            "only --max-steps, --epochs, --max-time, --device, --threads, --quiet and --json may be given beside it",
        )
    from charlm.runs.folder import find_run

    return find_run(resume)


def _start(given: dict[str, object], end: End) -> tuple[Path, list[str]]:
    model = options.from_given(ModelConfig, given)
    training = options.from_given(TrainConfig, given)
    text = options.from_given(CorpusConfig, given)
    corpus, out = given.get("corpus"), given.get("out")
    if not isinstance(corpus, list | tuple) or not corpus:
        raise UsageError("no CORPUS was given", "name a text file, as in: charlm train novel.txt")
    from charlm.runs.folder import make_run

    return make_run(
        corpus,
        model=model,
        training=training,
        text=text,
        end=end,
        out=out if isinstance(out, Path) else None,
        overwrite="overwrite" in given,
        argv=[Path(sys.argv[0]).name, *sys.argv[1:]],
    )
