"""The papers for people are true: what they show can be typed, and what they name is there."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer

from charlm.cli.app import app
from tests.commands import TEXT, TINY, latch_run, trained

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "charlm"
README = ROOT / "README.md"
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("[!.]*/README.md")))
JSON = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")


def commands(page: Path) -> list[str]:
    """What a page shows to be typed: lines of its blocks, and what stands in backticks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    typed = re.findall(r"^(?:[^|\n]+ \| )?(charlm .*?)(?:  +#.*)?$", "".join(blocks), re.MULTILINE)
    return sorted({*typed, *re.findall(r"`(charlm [^`]+)`", text)})


def links(page: Path) -> list[str]:
    """Where a page points to, but for other places than this repository."""
    return sorted(set(re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8"))))


def each(found) -> pytest.MarkDecorator:
    """One case for each page and thing that is found on it."""
    cases = [pytest.param(page, thing, id=f"{page.relative_to(ROOT)}: {thing}") for page in PAGES for thing in found(page)]
    return pytest.mark.parametrize(("page", "thing"), cases)


@pytest.mark.parametrize("command", commands(ROOT / "examples" / "README.md"))
def test_the_examples_can_be_typed(command):
    """Each command of an example is one that charlm takes, and the data that it names are there."""
    _, name, *rest = shlex.split(command)
    known = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    known.make_context(name, list(rest))
    assert [word for word in rest if word.startswith("data/") and not (ROOT / word).is_file()] == []


@each(commands)
def test_every_option_on_a_page_exists(charlm, page, thing):
    """Each option that a command on a page uses is in that command's help."""
    name = thing.split()[1]
    options = re.findall(r"(?<= )--?[a-z][a-z-]*", thing)
    help_text = charlm(*([] if name.startswith("-") else [name]), "--help").text
    assert [option for option in options if not re.search(rf"{option}\b", help_text)] == []


def test_the_readme_shows_every_command(charlm):
    """Whoever reads the README has seen every command there is."""
    listed = re.findall(r"^  ([\w-]+) +\S", charlm("--help").text.split("Commands:")[1], re.MULTILINE)
    assert {command.split()[1] for command in commands(README)} == {name for name in listed if name != "Errors"}


@each(links)
def test_every_link_leads_somewhere(page, thing):
    """Each relative link names a file that is there, as seen from its page."""
    assert (page.parent / thing.partition("#")[0]).exists()


def test_the_readme_leads_to_every_page_of_docs():
    """Nothing in docs/ is found only by those who know of it."""
    named = {(ROOT / link).resolve() for link in links(README)}
    assert {page for page in PAGES if page.parent.name == "docs"} <= named


def fields(heading: str, table: int = 0) -> dict[str, list[str]]:
    """The fields in one of the tables that docs/json.md has below a heading, each with the other cells of its row."""
    section = re.split(rf"^## {heading}\n", JSON, flags=re.MULTILINE)[1].split("\n## ")[0]
    rows = re.findall(r"(?:^\|.*\n?)+", section, re.MULTILINE)[table].splitlines()[2:]
    cells = [re.split(r" *\| *", row.strip("| ")) for row in rows]
    return {name: rest for names, *rest in cells for name in re.findall(r"\w+", names)}


def test_the_rows_of_train_are_those_described(charlm, tmp_path):
    """Each kind of row has the fields that docs/json.md gives it, and no other."""
    (tmp_path / "t.txt").write_text(TEXT)
    rows = [
        json.loads(line)
        for line in charlm("train", "t.txt", *TINY, "--max-steps", "5", "--sample-every", "2", "--json").text.splitlines()
    ]
    described = fields("train")
    assert {row["event"] for row in rows} == set(re.findall(r"`(\w+)`", described["event"][1]))
    for row in rows:
        assert set(row) == {name for name, (where, _) in described.items() if where == "all" or f"`{row['event']}`" in where}


WORDS = [f"{word}{number}" for number, word in enumerate(TEXT.split()[:40])]
LABELLED = {
    "classify": ("r.tsv", "".join(f"{word}\t{('no', 'yes', 'may')[number % 3]}\n" for number, word in enumerate(WORDS))),
    "tag": ("t.tsv", "\n".join("".join(f"{c}\t{'ab'[c in 'aeiou']}\n" for c in word) for word in WORDS)),
    "restore": ("t.txt", TEXT * 12),
}


@pytest.mark.parametrize("kind", LABELLED)
def test_what_models_of_labels_say_is_as_described(charlm, kind):
    """The rows of a run, of what it predicts, its scores and what it says of itself have the fields that docs/json.md gives."""
    name, text = LABELLED[kind]
    Path(name).write_text(text)
    task = ("--restore", "spaces") if kind == "restore" else ("--task", kind)
    said = charlm("train", name, *task, *TINY, "--max-steps", "5", "--sample-every", "2", "--json").text
    described = {name: where for name, (where, _) in (fields("train") | fields("train", table=1)).items() if "bpc" not in name}
    for row in map(json.loads, said.splitlines()):
        where = (row["event"] if row["event"] != "predictions" else "sample", row["event"])
        want = {name for name, rows in described.items() if rows == "all" or any(f"`{each}`" in rows for each in where)}
        assert set(row) == want
    scores = set(fields("eval", table=1))
    assert set(row["test"]) == scores == set(json.loads(charlm("eval", "--json").text))
    place = list(LABELLED).index(kind)
    for row in map(json.loads, charlm("predict", name, "--json").text.splitlines()):
        assert set(row) == set(fields("predict", table=place)) - {"words"}  # which only a treebank has
    assert set(json.loads(charlm("info", "--json").text)) == set(fields("info")) | set(fields("info", table=1))


@pytest.mark.parametrize(
    ("name", "options"), [("sample", ["--length", "5"]), ("eval", ["t.txt"]), ("info", [])], ids=["sample", "eval", "info"]
)
def test_the_object_of_a_command_is_the_one_described(charlm, tmp_path, name, options):
    """It has the fields that docs/json.md gives it, and no other."""
    trained(tmp_path)
    assert set(json.loads(charlm(name, *options, "--json").text)) == set(fields(name))


def test_what_is_said_of_documents_is_what_is_described(charlm, tmp_path):
    """The score and the model have the fields that docs/json.md gives them where documents are told apart, and no other."""
    trained(tmp_path, "\n".join(WORDS), "--documents", "line")
    assert set(json.loads(charlm("eval", "t.txt", "--json").text)) == set(fields("eval")) | set(fields("eval", table=2))
    assert set(json.loads(charlm("info", "--json").text)) == set(fields("info")) | set(fields("info", table=2))
    assert set(json.loads(charlm("sample", "--json").text)) == set(fields("sample"))


FILMS = "".join(f"film {number}\t{'good' if number % 2 else 'bad'}\n" for number in range(40))


def test_what_is_said_of_labels_is_what_is_described(charlm, tmp_path):
    """The rows of a run, the scores, the model and the predictions have the fields that docs/json.md gives them."""
    (tmp_path / "t.tsv").write_text(FILMS)
    out = charlm("train", "t.tsv", "--task", "classify", *TINY, "--max-steps", "5", "--sample-every", "2", "--json").text
    described, added = fields("train"), fields("train", table=1)
    for row in map(json.loads, out.splitlines()):
        event = f"`{row['event']}`"
        names = {name for name, (where, _) in described.items() if where == "all" or event in where}
        names |= {name for name, (where, _) in added.items() if event in where}
        assert set(row) == {name for name in names if not name.endswith("bpc")}
    assert {json.loads(line)["event"] for line in out.splitlines()} == {"step", "eval", "predictions", "done"}
    score = json.loads(charlm("eval", "--json").text)
    assert set(score) == set(fields("eval", table=1))
    assert set(json.loads(charlm("info", "--json").text)) == set(fields("info")) | set(fields("info", table=1))
    assert set(json.loads(charlm("predict", "t.tsv", "--json").text.splitlines()[0])) == set(fields("predict"))


def test_what_is_said_of_characters_is_what_is_described(charlm, tmp_path):
    """The predictions of a model of words, and those of one that restores."""
    tree = "1\tOne\t_\tX\t_\t_\t_\t_\t_\t_\n2\tis\t_\tY\t_\t_\t_\t_\t_\t_\n\n"
    trained(tmp_path, tree * 40, name="t.conllu")
    assert set(json.loads(charlm("predict", "t.conllu", "--json").text.splitlines()[0])) == set(fields("predict", table=1))
    trained(tmp_path, TEXT, "--restore", "spaces", "--overwrite", "--out", "checkpoints/t")
    assert set(json.loads(charlm("predict", "t.txt", "--json").text.splitlines()[0])) == set(fields("predict", table=2))


def test_the_findings_are_those_described(charlm, tmp_path):
    """Each has the fields that docs/json.md gives it, and no other; a unit that was not clamped has no rise in loss."""
    latch_run(tmp_path)
    said = json.loads(charlm("inspect-cells", "t.txt", "--json").text)
    assert set(said) == set(fields("inspect-cells"))
    assert said["findings"]
    for finding in said["findings"]:
        assert set(finding) == set(fields("inspect-cells", table=1))
        assert set(finding["delta_nats"]) == {"present", "absent"}
        assert (finding["delta_nats"]["present"] is None) == (finding["verdict"] == "correlated")


def makes(page: Path) -> list[str]:
    """What a page says may be made."""
    return sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)))


@each(makes)
def test_what_a_page_makes_can_be_made(page, thing):
    """Each `make NAME` on a page is a target of the Makefile."""
    assert re.search(rf"^{thing}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_architecture_lists_what_is_there():
    """Every path in the listing exists; every room, and every module of the folders that are listed in full, is in it."""
    tree = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]
    listed, folder = set(), PACKAGE
    for indent, name in re.findall(r"^( +)(\w+(?:\.py|/))", tree, re.MULTILINE):
        folder = PACKAGE if len(indent) == 2 else folder
        listed.add(folder / name)
        folder = folder / name if name.endswith("/") else folder
    assert [path for path in listed if not path.exists()] == []
    full = [PACKAGE, *(PACKAGE / name for name in ("text", "model", "training", "tasks"))]
    there = {path for place in full for path in place.glob("[!_]*") if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there <= listed


def test_the_picture_of_the_house_has_every_room():
    """The bold names in docs/house.svg are the modules and folders of the package."""
    picture = ElementTree.parse(ROOT / "docs" / "house.svg")
    bold = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text") if text.get("font-weight") == "700"}
    rooms = {path.stem for path in PACKAGE.glob("[!_]*") if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert bold == rooms | {"charlm"}


def test_the_lowest_versions_that_are_tested_are_those_that_are_promised():
    """But for torch, of which one build is tested, each bound in pyproject.toml is pinned in constraints-lowest.txt."""
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = re.findall(r"^[^#\n]+", (ROOT / "constraints-lowest.txt").read_text(), re.MULTILINE)
    bounds, pins = dict(each.split(">=") for each in promised), dict(each.split("==") for each in pinned)
    assert pins.keys() == bounds.keys()
    assert {name: pin for name, pin in pins.items() if pin != bounds[name]}.keys() == {"torch"}
