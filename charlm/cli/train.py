"""`charlm train`: a text or labelled texts in, a trained model out."""

import contextlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from charlm.cli import options
from charlm.cli.options import lower, upper
from charlm.cli.settling import MIN_COUNT, POOLING, TEST_FRACTION, run_to_resume, settle_symbols, settle_task
from charlm.config import CorpusConfig, End, ModelConfig, TrainConfig
from charlm.errors import UsageError
from charlm.label_recipe import PATIENCE
from charlm.recipe import Wish

MODEL, TRAINING, TEXT = ModelConfig(), TrainConfig(), options.DEFAULT_TEXT
CHOSEN = "by the recipe"


def train(
    ctx: typer.Context,
    corpus: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CORPUS...",
            help="Text files, files of labelled texts (.tsv, .csv, .jsonl, .conllu), a folder, or - for standard input.",
            show_default=False,
        ),
    ] = None,
    cell: Annotated[str, typer.Option(help="The recurrent cell, such as lstm, gru or rnn.", callback=lower)] = MODEL.cell,
    task: Annotated[
        str,
        typer.Option(
            help="What to learn: language (the next character), classify (a label for a text) or tag (one for each character).",
            callback=lower,
        ),
    ] = TRAINING.task,
    restore: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="Take spaces, case or punctuation out of a text, and learn to put them back; a kind of --task tag.",
            show_default=False,
            callback=lower,
        ),
    ] = TEXT.restore,
    columns: Annotated[
        str,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Columns of a row's text and label, and of a group whose rows share a part; numbers, or names in row 1.",
            show_default="text=1,label=2",
        ),
    ] = TEXT.columns,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Begin with what a language model has learned; the cell and the sizes are that model's."
        ),
    ] = None,
    pooling: Annotated[
        str,
        typer.Option(
            help="Which states the label of a text is read from: last, mean or max.", show_default=POOLING, callback=lower
        ),
    ] = MODEL.pooling,
    bidirectional: Annotated[
        bool, typer.Option(help="Read the text from its end as well.", show_default="for --task tag")
    ] = MODEL.bidirectional,
    preset: Annotated[
        str,
        typer.Option(metavar="SIZE", help="small, medium or large; auto chooses by the time and the machine.", callback=lower),
    ] = "auto",
    hidden_size: Annotated[int, typer.Option(help="Units in each layer.", show_default=CHOSEN)] = MODEL.hidden_size,
    num_layers: Annotated[int, typer.Option(help="Layers.", show_default=CHOSEN)] = MODEL.num_layers,
    embedding_size: Annotated[
        int, typer.Option(help="Numbers that represent a character.", show_default=CHOSEN)
    ] = MODEL.embedding_size,
    dropout: Annotated[float, typer.Option(help="Share of each layer's input to drop.", show_default=CHOSEN)] = MODEL.dropout,
    batch_size: Annotated[
        int, typer.Option(help="Streams, documents or labelled texts, read side by side.", show_default=CHOSEN)
    ] = TRAINING.batch_size,
    seq_len: Annotated[
        int,
        typer.Option(
            help="Characters that gradients flow back over; of a labelled text, as many are read at a time.",
            show_default=CHOSEN,
        ),
    ] = TRAINING.seq_len,
    optimiser: Annotated[
        str,
        typer.Option(
            "--optimiser", "--optimizer", help="Such as muon (cells' matrices; AdamW for the rest) or adamw.", callback=lower
        ),
    ] = TRAINING.optimiser,
    learning_rate: Annotated[
        float, typer.Option(help="Highest rate of the schedule.", show_default=CHOSEN)
    ] = TRAINING.learning_rate,
    clip_norm: Annotated[float, typer.Option(help="Largest norm of the gradient; 0 never clips.")] = TRAINING.clip_norm,
    max_steps: Annotated[
        int | None, typer.Option(help="End after this many steps.", show_default="what takes about five minutes here")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="End after this many passes over the text.")] = None,
    max_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End after this much training: 60s, 5m, 2h (scoring and saving do not count)."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="CHARS_PER_SECOND", help="Choose as for this speed, and measure nothing.", hidden=True),
    ] = None,
    symbols: Annotated[
        str,
        typer.Option(help="char: Unicode code points; byte: any file at all; word: words, marks and spaces.", callback=lower),
    ] = TEXT.symbols,
    min_count: Annotated[
        int | None,
        typer.Option(
            help="Spell a character that is rarer in bytes, and a word in characters.",
            show_default=f"{TEXT.min_count}, or {MIN_COUNT} with --symbols word",
        ),
    ] = None,
    encoding: Annotated[str, typer.Option(help=options.ENCODING)] = TEXT.encoding,
    normalize: Annotated[
        str,
        typer.Option(
            "--normalize",
            "--normalise",
            metavar="FORM",
            help="Bring the text into the normal form NFC, NFD or NFKC of Unicode, and every text that the model will read.",
            show_default=False,
            callback=upper,
        ),
    ] = TEXT.normalize,
    glob: Annotated[list[str] | None, typer.Option(help=options.WHICH_FILES, show_default=TEXT.glob)] = None,
    separator: Annotated[
        str | None,
        typer.Option(
            help=r"What stands between files that are joined; knows \n, \t, \r and \\.",
            show_default="a newline where a file does not end in one",
        ),
    ] = TEXT.separator,
    documents: Annotated[
        str,
        typer.Option(
            metavar="file|line|STRING",
            help=r"Tell texts apart: each file, each line, or what is between STRING, which knows \n, \t, \r and \\.",
            show_default=False,
        ),
    ] = TEXT.documents,
    validation_fraction: Annotated[
        float, typer.Option(help="Share that picks the best model; of a text, the part before the test part.")
    ] = TEXT.validation_fraction,
    test_fraction: Annotated[
        float,
        typer.Option(
            help="Share that training never sees; of a text, its end.",
            show_default=f"{TEST_FRACTION} where labels are learned, else 0",
        ),
    ] = TEXT.test_fraction,
    seed: Annotated[int, typer.Option(help="Makes a run repeatable.")] = TRAINING.seed,
    device: options.Device = TRAINING.device,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, or fp16 (CUDA only).", callback=lower)] = TRAINING.precision,
    threads: options.Threads = TRAINING.threads,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The run's folder.", show_default="checkpoints/NAME-OF-CORPUS")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")] = False,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run; only its end may be moved.")] = None,
    patience: Annotated[
        int,
        typer.Option(
            help="End once this many evaluations in a row found nothing better; 0: never.",
            show_default=f"{PATIENCE} where labels are learned or documents told apart, else 0",
        ),
    ] = TRAINING.patience,
    eval_every: Annotated[
        int | None, typer.Option(help="Steps between evaluations.", show_default="at most 20 in a run")
    ] = None,
    sample_every: Annotated[
        int | None, typer.Option(help="Steps between samples, or predictions.", show_default="a 5th of the run")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")] = False,
    json: options.Json = False,
    version: options.Version = False,
) -> None:
    """Train a model that reads character by character: on a text, to continue it, or on labelled texts, to label others.

    Example: charlm train novel.txt --max-time 5m

    With labels: charlm train reviews.tsv --task classify

    Ctrl-C saves the run and prints the command that continues it.
    """
    values = {**locals()}  # not the context's values, which some versions of Typer leave as typed
    end = End.of(steps=max_steps, epochs=epochs, seconds=None if max_time is None else options.parse_duration(max_time))
    sources = {name: ctx.get_parameter_source(name) for name, value in values.items() if value not in (None, [])}
    typed = {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}
    if resume is None:
        folder, notices = _start(corpus or [], values, end, typed)
    else:
        folder, notices = run_to_resume(resume, typed), []
    from charlm.display import progress
    from charlm.display.terminal import visible_line
    from charlm.runs.drive import drive
    from charlm.runs.folder import open_run

    run = open_run(
        folder, end=end if resume else None, **{name: values[name] for name in ("device", "threads") if name in typed}
    )
    run.notices[:0] = notices
    asked = progress.Asked(json=json, quiet=quiet, is_terminal=sys.stderr.isatty())
    unit = progress.LABELS if run.labels else progress.CHARACTERS
    with progress.in_touch(*progress.suiting(asked, unit)) as reporter:
        done = drive(run, reporter, report_seconds=reporter.seconds)
    if not quiet and done.judgement is not None:
        from charlm.display.labels import show_labels

        show_labels(sys.stderr, done.labels, done.judgement.model, done.judgement.baselines)
    if not quiet:
        print(f"done: {progress.describe_end(done, unit)}\nmodel: {visible_line(done.checkpoint)}", file=sys.stderr)
        named = visible_line(shlex.quote(str(folder)))
        how = f"ask it: charlm predict FILE -c {named}" if run.labels else f"sample from it: charlm sample -c {named}"
        print(how, file=sys.stderr)


def _start(corpus: Sequence[str], values: dict[str, Any], end: End | None, typed: set[str]) -> tuple[Path, list[str]]:
    settle_task(corpus, values, typed)
    settle_symbols(values, typed)
    wish = Wish(
        model=options.config_from(ModelConfig, values),
        training=options.config_from(TrainConfig, values),
        end=end,
        by_hand=frozenset(typed & {field.name for field in (*fields(ModelConfig), *fields(TrainConfig))}),
        preset=values["preset"],
        speed=values["speed"],
    )
    separator = None if values["separator"] is None else options.unescaped(values["separator"])
    unescaped = {"separator": separator, "documents": options.unescaped(values["documents"])}
    text = options.config_from(CorpusConfig, values | options.globs(values["glob"]) | unescaped)
    if not corpus and values["init_from"]:
        what = "--init-from was given without CORPUS, the text to learn from now"
        raise UsageError(what, f"name one; on its own text a run goes on with --resume {shlex.quote(values['init_from'])}")
    if not corpus:
        raise UsageError("no CORPUS was given", "name a text file, as in: charlm train novel.txt")
    if values["overwrite"] and values["out"] is None:
        raise UsageError("--overwrite was given without --out", "name the run to replace, as in --out checkpoints/novel")
    from charlm.display.waiting import waiting
    from charlm.runs.find import find_model
    from charlm.runs.make import make_run

    argv = [Path(sys.argv[0]).name, *sys.argv[1:]]
    with contextlib.nullcontext(lambda _stage, _fraction: None) if values["quiet"] else waiting() as tell:
        return make_run(
            corpus,
            wish,
            text=text,
            out=values["out"],
            overwrite=values["overwrite"],
            argv=argv,
            init_from=find_model(values["init_from"]) if values["init_from"] else None,
            tell=tell,
        )
