"""How well labels are predicted, on a terminal and as JSON: scores beside the baselines', label by label, and what is confused.

Knows no models. Names of labels come from files, and count as hostile.
"""

import string
from collections.abc import Sequence
from typing import TextIO

import numpy as np
import numpy.typing as npt
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from charlm.display.terminal import console_on, visible_line
from charlm.errors import counted
from charlm.labelling.judge import Scored
from charlm.labelling.metrics import Interval, LabelReport

PIPED_WIDTH = 80
WIDEST_NAME = 24  # cells
MOST_LETTERS = 100  # of a name that are looked at: it may be of any length
MOST_CONFUSIONS = 20  # that are listed where the matrix is too wide
RIGHT, NEVER = "*", "·"  # what marks the diagonal, and what stands for 0


def show_labels(file: TextIO, labels: Sequence[str], model: LabelReport, baselines: Sequence[Scored]) -> None:
    """Write everything: the scores beside the baselines', those of each label, and what is taken for what."""
    show_scores(file, model, baselines)
    file.write("\n")
    show_each(file, labels, model)
    file.write("\n")
    show_confusion(file, labels, model)


def show_scores(file: TextIO, model: LabelReport, baselines: Sequence[Scored]) -> None:
    """Write a headline, and a table of the model and the baselines with their intervals; each row fits 80 columns."""
    console = _console(file)
    console.print(Text(headline(model), style="bold"), soft_wrap=not console.is_terminal)
    rows = [Scored(name="this model", report=model), *baselines]
    by_word = any(each.report.word_accuracy for each in rows)
    table = _table("", *(["accuracy", "macro-F1"] + ["by word"] * by_word))
    for column in table.columns:
        column.justify = "left"
    for each in rows:
        report = each.report
        intervals = [report.accuracy, report.macro_f1] + [report.word_accuracy] * by_word
        style = "bold" if report is model else ""
        table.add_row(Text(visible_line(each.name)), *(Text(_interval(interval)) for interval in intervals), style=style)
    console.print(table)
    notes = [f"{visible_line(each.name)}: {visible_line(each.about)}" for each in baselines if each.about]
    notes.append(f"after each score: 95 % of the scores of {counted(model.num_texts, 'text')} drawn with replacement")
    for note in notes:
        console.print(Text(note, style="dim"))


def headline(report: LabelReport) -> str:
    """The scores in one line, and of how much."""
    scores = [f"accuracy {report.accuracy.value:.3f}", f"macro-F1 {report.macro_f1.value:.3f}"]
    parts = [counted(report.num_labelled, "character" if report.by_character else "text")]
    if report.word_accuracy:
        scores.insert(1, f"by word {report.word_accuracy.value:.3f}")
        parts.append(counted(report.num_words, "word"))
    return ", ".join(scores) + f"; {', '.join(parts)}"


def show_each(file: TextIO, labels: Sequence[str], report: LabelReport) -> None:
    """Write a table of the labels that occur or are predicted: precision, recall, F1, support."""
    table = _table("label", "precision", "recall", "F1", "support")
    predicted = report.confusion.sum(axis=0)
    for name, score, count in zip(labels, report.labels, predicted, strict=True):
        if score.support or count:
            shares = (f"{share:.3f}" for share in (score.precision, score.recall, score.f1))
            table.add_row(*map(Text, (_name(name), *shares, f"{score.support:,}")))
    console = _console(file)
    console.print(table)
    absent = sum(not score.support and not count for score, count in zip(report.labels, predicted, strict=True))
    if absent:
        console.print(Text(f"{counted(absent, 'label')} not shown: neither true nor predicted here", style="dim"))


def show_confusion(file: TextIO, labels: Sequence[str], report: LabelReport) -> None:
    """Write the confusion matrix, or, where it is too wide for the screen, the most frequent confusions."""
    console = _console(file)
    lines = _matrix(labels, report.confusion, console.width)
    if lines:
        for line in lines:
            console.print(Text(line), soft_wrap=True)
    else:
        _show_most_frequent(console, labels, report)


def _matrix(labels: Sequence[str], confusion: npt.NDArray[np.int64], width: int) -> list[str]:
    """The matrix in lines, a letter for each column where names are too long; none where it is wider than `width` even so."""
    shown = [number for number in range(len(labels)) if confusion[number].any() or confusion[:, number].any()]
    names = [_name(labels[number]) for number in shown]
    longest, digits = max(map(cell_len, names)), len(str(confusion.max()))
    cell = max(digits + 3, longest + 2)
    heads, fronts = names, names
    if longest + cell * len(shown) > width:
        heads = list(string.ascii_letters[: len(shown)])
        fronts = [f"{letter} {name}" for letter, name in zip(heads, names, strict=False)]
        longest += 2
        cell = max(digits + 1, min(digits + 3, (width - longest) // len(shown)))
    if len(heads) < len(shown) or longest + cell * len(shown) > width:
        return []
    lines = [f"a row for each true label, a column for each predicted one; {RIGHT} right, {NEVER} never"]
    lines.append(" " * longest + "".join(_to_the_right(head, cell) for head in heads))
    for front, row in zip(fronts, shown, strict=True):
        counts = (_count(int(confusion[row, column]), is_right=row == column) for column in shown)
        lines.append(set_cell_size(front, longest) + "".join(_to_the_right(count, cell) for count in counts))
    return lines


def _to_the_right(text: str, cells: int) -> str:
    return " " * (cells - cell_len(text)) + text


def _count(count: int, *, is_right: bool) -> str:
    return (RIGHT if is_right else "") + (str(count) if count else NEVER)


def _show_most_frequent(console: Console, labels: Sequence[str], report: LabelReport) -> None:
    wrong = report.confusion * (1 - np.eye(len(labels), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    table = _table("true", "predicted", "times", "of the true")
    table.columns[1].justify = "left"
    for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if times := int(wrong[true, predicted]):
            share = f"{times / report.labels[true].support:.1%}"
            table.add_row(*map(Text, (_name(labels[true]), _name(labels[predicted]), f"{times:,}", share)))
    number = int(np.count_nonzero(wrong))
    shown = f"the {MOST_CONFUSIONS} most frequent of {number:,}" if number > MOST_CONFUSIONS else "all"
    console.print(Text(f"labels taken for others, {shown}:" if number else "no label is taken for another"))
    if number:
        console.print(table)


def _console(file: TextIO) -> Console:
    console = console_on(file)
    if not console.is_terminal:
        console.width = PIPED_WIDTH  # so that a pipe gets whole rows
    return console


def _table(first: str, *others: str) -> Table:
    """An empty table whose first column is for names and whose others are for numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, collapse_padding=True)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _interval(interval: Interval | None) -> str:
    return f"{interval.value:.3f}  {interval.low:.3f}–{interval.high:.3f}" if interval else ""


def _name(label: str) -> str:
    """A label as it is shown: on one line, and cut where it is long."""
    name = visible_line(label[:MOST_LETTERS])
    return name if cell_len(name) <= WIDEST_NAME and len(label) <= MOST_LETTERS else set_cell_size(name, WIDEST_NAME - 1) + "…"
