"""`charlm sample`: draws characters from a model, and prints them as they come."""

import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from charlm.cli import options, prompting
from charlm.config import HeldUnit, SampleConfig, check_seed, check_unknown
from charlm.errors import UsageError, counted

if TYPE_CHECKING:
    from torch import Tensor

    from charlm.model.language_model import LanguageModel
    from charlm.model.stepper import LayerClamps
    from charlm.text.vocab import Vocab

DEFAULT = SampleConfig()
LONGEST = 10_000  # characters of a document that does not end
SEPARATOR = b"\n----------\n"
FLUSH_SECONDS = 0.05


def sample(
    temperature: Annotated[
        float, typer.Option("-t", "--temperature", help="Below 1 safer, above 1 wilder; 0 is argmax.")
    ] = DEFAULT.temperature,
    argmax: Annotated[bool, typer.Option("--argmax", help="Always take the most probable character.")] = False,
    top_k: Annotated[int, typer.Option(help="Draw only from the k most probable characters; 0 is all.")] = DEFAULT.top_k,
    top_p: Annotated[float, typer.Option(help="Draw from the fewest characters with this probability in all.")] = DEFAULT.top_p,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "-p", "--prompt", "--prime", help="The text to continue, as it is; - reads standard input. May be repeated."
        ),
    ] = None,
    prompt_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file with the text to continue; - is standard input.")
    ] = None,
    encoding: options.Encoding = None,
    length: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--length",
            help="Symbols to draw, at most: characters, or those of --symbols.",
            show_default=f"{DEFAULT.length}; of documents, which end by themselves, {LONGEST}",
        ),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            help=r"End before this text, which is not printed; knows \n, \t, \r and \\. May be repeated: the first that comes."
        ),
    ] = None,
    num_samples: Annotated[int, typer.Option(help="Samples to draw of each prompt, side by side.")] = DEFAULT.num_samples,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same text.", show_default="drawn at random and printed")
    ] = None,
    clamp: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER:UNIT[:h|c]=VALUE", help="Hold a unit, counted from zero; c where it has one, else h."),
    ] = None,
    unknown: options.Unknown = "error",
    json: options.Json = False,
    checkpoint: options.Checkpoint = None,
    last: options.Last = False,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    version: options.Version = False,
) -> None:
    """Draw text from a trained model: the prompt and its continuation, and nothing else, on standard output.

    Example: charlm sample --prompt "It was" --temperature 0.5 --seed 7
    """
    most, heat = DEFAULT.length if length is None else length, 0.0 if argmax else temperature
    config = SampleConfig(temperature=heat, top_k=top_k, top_p=top_p, length=most, num_samples=num_samples)
    check_unknown(unknown)
    held = [options.parse_clamp(each) for each in clamp or []]
    prompting.check_prompts(prompt or [], prompt_file)
    if seed is not None:
        check_seed(seed)
    # One stream is a chain of small products, and more threads only slow it down.
    model, card = options.open_model(checkpoint, device, threads or int(num_samples == 1), last=last)
    reading = options.reading_of(card, encoding)
    texts = prompting.read_prompts(prompt or [], prompt_file, reading)
    prompts = [prompting.encode_prompt(card.vocab, text, skip_unknown=unknown == "skip") for text in texts]
    stops = [prompting.encode_stop(card.vocab, each, reading.normalize) for each in stop or []]
    marks, is_line = card.vocab.marks, card.text.documents == "line"
    clamps = _clamps(model, held) if held else None
    seed = _named_seed(config) if seed is None else seed
    is_kept = num_samples > 1 or json  # a single sample is printed as it is drawn, and may be of any length
    if is_kept:
        _require_room(model, config, len(prompts) if json else 1)
    config = replace(config, length=LONGEST if marks and length is None else config.length)
    import torch

    from charlm.sampling import cut_at, generate
    from charlm.text.vocab import with_start

    decode = prompting.symbols_decoder(card.vocab)
    rows = []
    for number, ids in enumerate(prompts):  # each as if it were the only one
        steps = generate(model, with_start(card.vocab, ids), config, torch.Generator().manual_seed(seed), clamps, marks)
        if number and not json and not is_line:
            sys.stdout.buffer.write(SEPARATOR)
        if not is_kept:
            drawn = prompting.as_symbols(card.vocab, (int(each[0]) for each in steps))
            _stream(
                card.vocab, chain(prompting.as_symbols(card.vocab, iter(ids.tolist())), cut_at(drawn, stops)), is_line=is_line
            )
            continue
        kept = [list(cut_at(prompting.as_symbols(card.vocab, iter(row)), stops)) for row in _drawn(steps, config, marks)]
        if json:
            rows += [{"prompt": card.vocab.decode(ids), "text": decode(row, True)} for row in kept]
        else:
            before = list(prompting.as_symbols(card.vocab, iter(ids.tolist())))
            _print_each(card.vocab, [[*before, *row] for row in kept], is_line=is_line)
    if json:
        options.print_json({"samples": rows, "seed": seed})


def _clamps(model: "LanguageModel", held: Sequence[HeldUnit]) -> "LayerClamps":
    """Make the clamps that hold the units. Raises `UsageError` for one held twice."""
    from charlm.model.stepper import layer_clamps

    clamps = layer_clamps(model, held)
    places = [(layer, int(clamp.units), clamp.part) for layer, own in enumerate(clamps) for clamp in own]
    if twice := [place for place in places if places.count(place) > 1]:
        raise UsageError("--clamp holds {}:{}:{} twice".format(*twice[0]), "hold it at one value")
    return clamps


def _named_seed(config: SampleConfig) -> int:
    """Draw a seed, and print it on standard error when the sample depends on it."""
    seed = secrets.randbelow(2**31)
    if config.temperature > 0:
        print(f"seed: {seed}", file=sys.stderr)
    return seed


def _require_room(model: "LanguageModel", config: SampleConfig, num_prompts: int) -> None:
    """Raise `UsageError` when the memory cannot hold all samples."""
    from charlm.model.devices import require_memory

    what = f"to keep {counted(config.num_samples * num_prompts, 'sample')} of {counted(config.length, 'character')}"
    needed = config.num_samples * num_prompts * (16 * config.length + 8 * model.vocab_size)
    require_memory(needed, what, model.device, "draw fewer, or shorter ones")


def _drawn(steps: Iterator["Tensor"], config: SampleConfig, marks: tuple[int, int] | None) -> list[list[int]]:
    """Draw all ids of each sample, up to the second of `marks`, where a document ends, and show the progress."""
    from charlm.display.waiting import waiting

    rows: list[list[int]] = [[] for _ in range(config.num_samples)]
    with waiting() as tell:
        for number, ids in enumerate(steps, 1):
            for row, symbol in zip(rows, ids.tolist(), strict=True):
                if marks is None or row[-1:] != [marks[1]]:
                    row.append(symbol)
            tell("drawing", number / config.length)
    return rows


def _print_each(vocab: "Vocab", rows: Sequence[Sequence[int]], *, is_line: bool) -> None:
    for number, row in enumerate(rows):
        if number and not is_line:
            sys.stdout.buffer.write(SEPARATOR)
        _stream(vocab, iter(row), is_line=is_line)


def _stream(vocab: "Vocab", symbols: Iterator[int], *, is_line: bool) -> None:
    """Write symbols, as `as_symbols` gives them, as they come: made harmless on a terminal, as exact bytes into a pipe.

    What is a line of its own ends as one.
    """
    on_terminal = sys.stdout.isatty()
    last_flush, ended = 0.0, True
    for piece in as_written(vocab, symbols, on_terminal):
        sys.stdout.buffer.write(piece)
        ended = piece.endswith(b"\n") or (ended and not piece)
        if (now := time.monotonic()) - last_flush > FLUSH_SECONDS:
            sys.stdout.buffer.flush()
            last_flush = now
    if is_line or (on_terminal and not ended):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def as_written(vocab: "Vocab", symbols: Iterator[int], on_terminal: bool) -> Iterator[bytes]:
    """What each symbol adds to standard output: to a pipe the exact bytes, to a terminal only text that it cannot obey."""
    if vocab.kind == "byte" and not on_terminal:
        yield from (bytes([symbol]) for symbol in symbols)
        return
    from charlm.display.terminal import visible

    decode = prompting.symbols_decoder(vocab)
    for symbol in symbols:
        text = decode([symbol], False)
        yield (visible(text) if on_terminal else text).encode()
    yield decode([], True).encode()
