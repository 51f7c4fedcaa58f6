"""Which files arguments and folders stand for: what people wrote, each once, and what is left out is said."""

import os
from pathlib import Path

import pytest

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError
from charlm.text.finding import find_files

LEFT_OUT = {
    ".git/HEAD.txt": "hidden",
    ".venv/lib/a.txt": "hidden",
    ".notes.txt": "hidden",
    "deep/.cache/b.txt": "hidden",
    "node_modules/c.txt": "of programs",
    "deep/node_modules/d/e.txt": "of programs",
    "env/lib/f.txt": "of programs",
    "deep/__pycache__/g.txt": "of programs",
    "picture.txt": "binary",
    "packed.txt": "binary",
}
CONTENTS = {"picture.txt": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "packed.txt": b"\x1f\x8b\x08\0text"}


def write(name: str, contents: bytes = b"text\n") -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(contents)


@pytest.fixture
def folder() -> str:
    """A folder with two texts, in a project that keeps other things too."""
    for name in LEFT_OUT:
        write(f"in/{name}", CONTENTS.get(name, b"text\n"))
    write("in/env/pyvenv.cfg")
    write("in/a.txt")
    write("in/deep/z.txt")
    return "in"


def test_a_folder_leaves_out_what_nobody_wrote_for_it(folder):
    """Hidden files, what programs keep, and binary files; one line counts each kind, one says how much is read."""
    notices: list[str] = []
    assert find_files([folder], CorpusConfig(), notices) == ["in/a.txt", "in/deep/z.txt"]
    assert notices == [
        "in: left out 2 binary, 4 hidden, 4 of programs; name a file itself to read it",
        "in: 2 files, 10 bytes",
    ]


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_named_itself_is_read(folder, name):
    """Whoever names a file, or a folder that is hidden, wants it."""
    notices: list[str] = []
    assert find_files([f"in/{name}"], CorpusConfig(), notices) == [f"in/{name}"]
    assert notices == []


def test_of_a_hidden_folder_that_is_named_the_texts_are_read(folder):
    """Only what lies below it can be hidden from it."""
    assert find_files(["in/.git", "in/node_modules"], CorpusConfig()) == ["in/.git/HEAD.txt", "in/node_modules/c.txt"]


def test_bytes_and_wide_encodings_are_not_binary(folder):
    """Where any file is a text, and where every text has zero bytes, none is left out for having them."""
    for config in (CorpusConfig(symbols="byte"), CorpusConfig(encoding="UTF-16")):
        found = find_files([folder], config)
        assert set(found) == {"in/a.txt", "in/deep/z.txt", "in/picture.txt", "in/packed.txt"}


def test_a_folder_of_nothing_else_says_what_was_left_out(folder):
    """The error counts it, and what it advises works."""
    Path("in/deep/z.txt").unlink()
    with pytest.raises(TextError, match=r"'\*\.t\?t' but what is left out \(1 hidden, 2 of programs\)$") as error:
        find_files(["in/deep"], CorpusConfig(glob="*.t?t"))
    assert "--glob" in error.value.hint


@pytest.mark.parametrize("globs", [("*.md", "*.rst"), ("*.rst", "*.md"), ("*.md", "*.rst", "*.m?", "b*")])
def test_several_patterns_find_what_any_finds(globs):
    """Each file once, in the order of the paths, whatever the order of the patterns."""
    for name in ("in/b.rst", "in/a.md", "in/c.txt", "in/d/a.rst"):
        write(name)
    config = CorpusConfig(glob=globs[0], more_globs=globs[1:])
    assert find_files(["in"], config) == ["in/a.md", "in/b.rst", "in/d/a.rst"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (CorpusConfig(glob="**/*.txt"), "--glob .*has \\*\\*"),
        (CorpusConfig(glob="*", more_globs=("**/" * 9 + "*",)), "--glob .*has \\*\\*"),
        (CorpusConfig(more_globs=("*",) * 100), "--glob was given 101 times"),
    ],
)
def test_patterns_that_take_long_are_refused(config, says, folder):
    """They may come from a stranger's model; a folder is searched with all below it in any case."""
    with pytest.raises(UsageError, match=says):
        find_files([folder], config)


AGAIN = [
    ("a.txt", "a.txt", "a.txt is named twice, and read once"),
    ("a.txt", "./a.txt", "./a.txt is the file a.txt, and read once"),
    ("a.txt", "soft.txt", "soft.txt is the file a.txt, and read once"),
    ("a.txt", "hard.txt", "hard.txt is the file a.txt, and read once"),
    (".", "a.txt", "soft.txt is the file a.txt, and read once"),
    ("-", "-", "- is named twice, and read once"),
]


@pytest.mark.parametrize(("first", "second", "said"), AGAIN)
def test_a_file_that_is_named_twice_is_read_once(first, second, said):
    """By the same name, by another, by a link, or in a folder; and it is said."""
    write("a.txt")
    Path("soft.txt").symlink_to("a.txt")
    Path("hard.txt").hardlink_to("a.txt")
    notices: list[str] = []
    assert len(find_files([first, second], CorpusConfig(), notices)) == 1
    assert said in notices


def test_of_many_names_that_come_again_one_line_is_said():
    """The first of them, and how many others."""
    write("in/a.txt")
    for number in range(9):
        Path(f"in/b{number}.txt").hardlink_to("in/a.txt")
    notices: list[str] = []
    assert find_files(["in"], CorpusConfig(), notices) == ["in/a.txt"]
    assert notices == ["in/b0.txt is the file in/a.txt, and read once; so are 8 other names"]


def test_what_is_no_file_is_counted_too():
    """A link to nothing, and a pipe, which would never end; a link to a folder is not followed."""
    write("in/a.txt")
    Path("in/dead.txt").symlink_to("nothing")
    Path("in/loop").symlink_to("..")
    os.mkfifo("in/pipe.txt")
    notices: list[str] = []
    assert find_files(["in"], CorpusConfig(), notices) == ["in/a.txt"]
    assert notices == ["in: left out 2 that are no files; name a file itself to read it"]


@pytest.mark.parametrize(("size", "words"), [(1, "2 files, 2 bytes"), (1500, "3.0 kB"), (8000, "16 kB"), (600_000, "1.2 MB")])
def test_sizes_are_in_words(size, words):
    """As people read them."""
    for name in "ab":
        write(f"in/{name}.txt", b"x" * size)
    notices: list[str] = []
    find_files(["in"], CorpusConfig(), notices)
    assert notices[0].endswith(words)
