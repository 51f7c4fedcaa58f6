"""`charlm predict`: what a model that was trained on labels makes of new texts."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from charlm.cli import options


def predict(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file with a text a line, or - for standard input.")],
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="text=COLUMN", help="Which column of a table has the text: a number, or a name.", show_default="as trained"
        ),
    ] = None,
    encoding: options.Encoding = None,
    json: options.Json = False,
    checkpoint: options.Checkpoint = None,
    last: options.Last = False,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    version: options.Version = False,
) -> None:
    """Ask a model that was trained with --task classify, --task tag or --restore for labels of texts.

    Each line of FILE is a text, and gets a line with its label, a tab and the label's probability; an empty one gets an empty
    line. Texts of a .tsv or .csv file are in its first column, those of a .jsonl file in the field `text`, or where they were
    in training.

    Where each character has a label, each gets a line of its own, and an empty line ends a text. A .conllu file has sentences,
    whose words get the lines.

    A model that restores takes spaces, case or punctuation out of FILE, if there are any, and writes the restored text.

    Example: charlm predict reviews.txt
    """
    model, card = options.open_labeller(checkpoint, device, threads, last=last)
    from charlm.cli.answering import answers_of
    from charlm.display.terminal import visible, visible_line
    from charlm.display.waiting import waiting
    from charlm.text.asking import questions

    answers, notices = answers_of(model, card), list[str]()
    on_terminal = sys.stdout.isatty()
    is_file = file != "-" and Path(file).is_file()
    with waiting() if is_file and not on_terminal else contextlib.nullcontext(lambda *_: None) as tell:
        groups = questions(
            file,
            options.reading_of(card, encoding),
            columns=columns,
            by_character=model.by_character,
            line_by_line=file == "-" and sys.stdin.isatty(),
            notices=notices,
            tell=lambda share: tell("asking", share),
        )
        for group in groups:
            for text in answers.of(group, as_json=json):
                sys.stdout.buffer.write((visible(text) if on_terminal else text).encode())
            sys.stdout.buffer.flush()
    for notice in (*notices, *answers.notices()):
        print(visible_line(notice), file=sys.stderr)
