"""What a sample begins with and what it ends before, as typed and as ids."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from operator import ne
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.cli import options
from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError, counted

if TYPE_CHECKING:
    from charlm.text.vocab import Ids, Vocab


def check_prompts(prompts: Sequence[str], file: str | None) -> None:
    """Raise `UsageError` for prompts that do not go together, and `TextError` for a file that cannot be read."""
    if prompts and file is not None:
        raise UsageError("--prompt and --prompt-file were given together", "give one of them")
    if prompts.count("-") > 1:
        raise UsageError("--prompt - was given twice, and standard input can be read once", "leave one of them out")
    if file is None or file == "-":
        return
    from charlm.text.source import refuse_device

    refuse_device(Path(file), f"--prompt-file {file}", "a file")
    if Path(file).is_dir() or not Path(file).exists():
        why = "it is a folder" if Path(file).is_dir() else "there is no such file"
        raise TextError(f"--prompt-file {file} cannot be read: {why}", "check the path")


def read_prompts(prompts: Sequence[str], file: str | None, reading: CorpusConfig) -> list[str]:
    """The texts of all prompts, one at least, read as `reading` says; what people should know goes to standard error."""
    from charlm.display.terminal import visible_line
    from charlm.text.normalising import normalised
    from charlm.text.source import read_text

    notices: list[str] = []

    def read(name: str, called: str) -> str:
        return read_text(name, reading, notices=notices, called=called, may_be_bytes=False)

    if file is not None:
        texts = [read(file, "standard input" if file == "-" else f"--prompt-file {file}")]
    else:
        texts = [
            read("-", "standard input") if each == "-" else normalised(each, reading.normalize, "the prompt")
            for each in prompts or [""]
        ]
    for notice in notices:
        print(visible_line(notice), file=sys.stderr)
    return texts


def encode_prompt(vocab: "Vocab", text: str, *, skip_unknown: bool) -> "Ids":
    """Ids of a prompt. Raises `TextError` for what the model does not know; `skip_unknown` leaves it out."""
    # Bytes of an argument that are not UTF-8 pass as escapes: a byte vocabulary turns them back, any other reports the first.
    broken = re.search("[\udc80-\udcff]", text) if vocab.kind != "byte" else None
    if broken and not skip_unknown:
        byte = ord(broken.group()) - 0xDC00
        where = counted(broken.start(), "character")
        raise TextError(f"the prompt is not UTF-8: byte 0x{byte:02X} after {where}", "convert it first")
    return vocab.encode(text, skip_unknown=skip_unknown, of="prompt")


def encode_stop(vocab: "Vocab", stop: str, form: str) -> list[int]:
    """A text to end before, with its escapes undone, in a normal form, as `as_symbols` gives texts.

    Raises `TextError` for one that cannot come.
    """
    from charlm.text.normalising import normalised

    try:
        text = normalised(options.unescaped(stop), form, "the --stop text")
        return list(as_symbols(vocab, map(int, vocab.encode(text, of="--stop text"))))
    except TextError as error:
        raise TextError(error.message, "it could never be drawn, so leave that --stop out") from error


def as_symbols(vocab: "Vocab", ids: Iterator[int]) -> Iterator[int]:
    """What is looked through for a text to end before: the ids as they come, or, of a vocabulary that spells, the code points
    of what they say. There the same text may be drawn in several ways, as a word or letter by letter.

    A document is over at its END.
    """
    if vocab.marks:
        ids = takewhile(partial(ne, vocab.marks[1]), ids)
    if not vocab.is_spelt:
        yield from ids
        return
    decode = vocab.decoder()
    for number in ids:
        yield from map(ord, decode([number], False))
    yield from map(ord, decode([], True))


def symbols_decoder(vocab: "Vocab") -> Callable[[Sequence[int], bool], str]:
    """A decoder, as `Vocab.decoder` gives, of what `as_symbols` yields."""
    return (lambda points, _final: "".join(map(chr, points))) if vocab.is_spelt else vocab.decoder()
