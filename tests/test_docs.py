"""The README is true: what it shows can be typed."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^(?:\S+ \S+ \| )?(charlm .*?)(?:  +#.*)?$", README, re.MULTILINE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_in_the_readme_exists(charlm, command):
    """Each option that a README line uses is in that command's help."""
    name = command.split()[1]
    options = re.findall(r"(?<= )--?[a-z][a-z-]*", command)
    help_text = charlm(name, "--help").text
    assert [option for option in options if not re.search(rf"{option}\b", help_text)] == []


def test_the_readme_shows_every_command(charlm):
    """Whoever reads the README has seen every command there is."""
    listed = re.findall(r"^  ([\w-]+) +\S", charlm("--help").text.split("Commands:")[1], re.MULTILINE)
    assert {command.split()[1] for command in COMMANDS} == {name for name in listed if name != "Errors"}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_every_link_in_the_readme_leads_somewhere(link):
    """Each relative link names a file that is there."""
    assert (ROOT / link).exists()


def test_the_lowest_versions_that_are_tested_are_those_that_are_promised():
    """But for torch, of which one build is tested, each bound in pyproject.toml is pinned in constraints-lowest.txt."""
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = re.findall(r"^[^#\n]+", (ROOT / "constraints-lowest.txt").read_text(), re.MULTILINE)
    bounds, pins = dict(each.split(">=") for each in promised), dict(each.split("==") for each in pinned)
    assert pins.keys() == bounds.keys()
    assert {name: pin for name, pin in pins.items() if pin != bounds[name]}.keys() == {"torch"}


def test_the_corpus_that_ships_is_the_one_described():
    """The SHA-256 in data/README.md is that of data/austen.txt."""
    import hashlib

    digest = hashlib.sha256((ROOT / "data" / "austen.txt").read_bytes()).hexdigest()
    assert digest in (ROOT / "data" / "README.md").read_text(encoding="utf-8")
