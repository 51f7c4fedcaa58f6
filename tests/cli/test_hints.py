"""What an error advises can be typed: every command and option that a message of charlm's can contain is one that there is."""

import ast
import re
from pathlib import Path

import pytest
import typer

import charlm as package
from charlm.cli.app import COMMANDS, app
from charlm.cli.options import SYNONYMS, meant_by
from tests.commands import is_error

SOURCES = sorted(Path(package.__file__).parent.rglob("*.py"))
KNOWN = {name: typer.main.get_command(app).commands[name] for name in sorted(COMMANDS)}  # type: ignore[attr-defined]
OPTIONS = {name: [option for parameter in command.params for option in parameter.opts] for name, command in KNOWN.items()}
EVERYWHERE = {"--help", "--version", "--debug"}
COMMAND = re.compile(rf"charlm ((?:COMMAND|{'|'.join(KNOWN)})(?: (?!and |or )[^\s,;:)]+)*)")


def texts(source: Path) -> list[str]:
    """Every string of a module but its docstrings, where X stands for whatever is put in."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | docstrings:
            found.append(node.value)
    return found


ALL = [(f"{path.stem}: {text}", text) for path in SOURCES for text in texts(path)]
TYPED = {words: where for where, text in ALL for words in COMMAND.findall(text) if words != "COMMAND"}  # a word to be replaced
MENTIONED = {option: where for where, text in ALL for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}


def typed(words: str) -> list[str]:
    """The words that belong to the command: those before the sentence goes on, in small letters and without a stop."""
    name, *rest = words.split()
    kept: list[str] = []
    for word in rest:
        if re.fullmatch("[a-z]+", word):
            break
        kept.append(word.rstrip("."))
    return [name, *kept]


@pytest.mark.parametrize("words", sorted(TYPED), ids=str)
def test_every_command_that_is_advised_can_be_parsed(words):
    """With something in the place of what is put in, it is a command with options that it has."""
    name, *rest = typed(words)
    assert rest, f"{TYPED[words]} names a command and nothing for it to do"
    for command in KNOWN if name == "COMMAND" else (name,):
        if rest == ["--help"]:
            assert "--help" in KNOWN[command].get_help_option_names(typer.Context(KNOWN[command]))
        elif rest != ["-"] or any(parameter.param_type_name == "argument" for parameter in KNOWN[command].params):
            KNOWN[command].make_context(command, list(rest))


def test_there_is_much_to_parse():
    """The search finds what the messages are known to have."""
    assert {"train CORPUS makes one", "COMMAND --help", "train --resume X"} <= TYPED.keys()
    assert {"--learning-rate", "--hidden-size", "--unknown"} <= MENTIONED.keys()


def test_every_option_that_is_mentioned_exists():
    """In one command at least."""
    known = EVERYWHERE.union(*OPTIONS.values())
    assert {option: where for option, where in MENTIONED.items() if option not in known | SYNONYMS.keys()} == {}


def test_what_stands_for_a_habit_exists():
    """Each synonym is no option, and leads to one."""
    assert set(SYNONYMS.values()) <= set().union(*OPTIONS.values())
    assert not set(SYNONYMS) & set().union(*OPTIONS.values())


GUESSES = [
    ("sample", "--model", "--checkpoint"),
    ("sample", "--modle", "--checkpoint"),
    ("train", "--batch_size", "--batch-size"),
    ("train", "--CELL", "--cell"),
    ("train", "--lr", "--learning-rate"),
    ("train", "--hiden-size", "--hidden-size"),
    ("train", "--model", None),
    ("eval", "--zzz", None),
]


@pytest.mark.parametrize(("command", "wrong", "right"), GUESSES)
def test_the_option_that_was_meant_is_named(charlm, command, wrong, right):
    """A slip of the finger, an underscore or another program's name leads to ours; what comes near nothing leads nowhere."""
    assert meant_by(wrong, OPTIONS[command]) == right
    result = charlm(command, wrong, "x")
    is_error(result, 2, f"there is no option {wrong}.", f"charlm {command} --help")
    assert ("id you mean" in result.err) == (right is not None)
    assert right is None or f"Did you mean {right}?" in result.err


@pytest.mark.parametrize("command", sorted(KNOWN))
def test_a_hint_names_the_command_that_was_typed(charlm, command):
    """Whoever typed a command is told how to ask that very command for help."""
    result = charlm(command, "--threads", "-1", *(["t.txt"] if command in ("train", "eval") else []))
    is_error(result, 2, f"ee charlm {command} --help")
    assert "COMMAND" not in result.err


def test_a_wrong_command_is_told_of_them_all(charlm):
    """Where no command was typed, the help is that of all of them."""
    is_error(charlm("nonsense"), 2, "See charlm --help")
