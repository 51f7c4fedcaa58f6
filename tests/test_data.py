"""What is under data/: each file is the one described, and has what the task it is for asks of it."""

import hashlib
import io
import re
import runpy
import tarfile
import unicodedata
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "data"
README = (DATA / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| .+ \| (.+) \| `([0-9a-f]{64})` \|$", README, re.MULTILINE)
TREEBANK = ("turkish.conllu", "turkish-test.conllu")
PROSE = ("austen.txt", "twain.txt")
SCRIPTS = sorted(path.name for path in DATA.glob("*.py") if path.name != "packages.py")
MOST_BYTES = 1_500_000  # of all that is there beside austen.txt


def fields(name: str) -> list[list[str]]:
    """The fields of each line of a file; an empty line has one, which is empty."""
    return [line.split("\t") for line in (DATA / name).read_text(encoding="utf-8").removesuffix("\n").split("\n")]


def test_each_file_is_described_with_its_licence_and_its_hash():
    """And nothing is described that is not there."""
    files = [path for path in DATA.iterdir() if path.suffix not in {".md", ".py"} and path.is_file()]
    assert sorted(name for name, _, _ in ROWS) == sorted(path.name for path in files)
    assert {name: hashlib.sha256((DATA / name).read_bytes()).hexdigest() for name, _, _ in ROWS} == {n: h for n, _, h in ROWS}
    assert {licence.split(",")[0] for _, licence, _ in ROWS} == {"public domain", "MIT", "Apache-2.0"}
    assert sum(path.stat().st_size for path in files if path.name != "austen.txt") <= MOST_BYTES


def test_all_of_it_is_plain_text():
    """UTF-8 in composed letters, lines that end in one way, and no symbol that controls anything."""
    for name, _, _ in ROWS:
        text = (DATA / name).read_bytes().decode("utf-8")
        assert text.endswith("\n")
        assert unicodedata.is_normalized("NFC", text)
        assert {symbol for symbol in set(text) if unicodedata.category(symbol) in {"Cc", "Zl", "Zp", "Co", "Cn"}} <= set("\n\t")
        assert name not in PROSE or "\t" not in text


def test_films_are_texts_with_one_of_two_labels():
    """No text is empty or occurs again, and neither label is rare."""
    rows = fields("films.tsv")
    assert {len(row) for row in rows} == {2}
    texts = [text for text, _ in rows]
    assert len(set(texts)) == len(texts) == 6_000
    assert all(text and text == " ".join(text.split()) for text in texts)
    labels = Counter(label for _, label in rows)
    assert labels.keys() == {"positive", "negative"}
    assert min(labels.values()) > len(texts) * 0.45


def test_languages_are_thirty_characters_of_an_article():
    """Each language has pieces of each article, so that any articles may be held out; a text with two labels is rare."""
    rows = fields("languages.tsv")
    assert {len(row) for row in rows} == {3}
    assert {len(text) for text, _, _ in rows} == {30}
    articles, labels = defaultdict(set), defaultdict(set)
    for text, label, article in rows:
        articles[label].add(article)
        labels[text].add(label)
    assert len(articles) == 20
    assert {frozenset(each) for each in articles.values()} == {frozenset(["p", *(f"a{number}" for number in range(1, 31))])}
    assert sum(len(each) > 1 for each in labels.values()) == 8


def test_the_treebank_is_conllu_and_shares_no_sentence_with_its_test():
    """Ten columns, words that count from 1, sentences with names of their own, and labels that occur more than once."""
    names, labels = Counter(), Counter()
    for file in TREEBANK:
        for block in (DATA / file).read_text(encoding="utf-8").removesuffix("\n").split("\n\n"):
            name, *lines = block.removesuffix("\n").split("\n")
            words = [line.split("\t") for line in lines]
            names[name.removeprefix("# sent_id = ")] += 1
            labels.update(word[3] for word in words)
            assert [word[0] for word in words] == [str(number) for number in range(1, len(words) + 1)]
            assert {len(word) for word in words} == {10}
            assert all(word[1] and word[9] in {"_", "SpaceAfter=No"} for word in words)
            assert {word[at] for word in words for at in (2, 4, 5, 6, 7, 8)} == {"_"}
    assert len(names) == names.total() == 920
    assert min(labels.values()) > 1


def test_twain_writes_with_the_letters_of_austen():
    """A model of one can go on with the other."""
    austen, twain = (set((DATA / name).read_text(encoding="utf-8")) for name in PROSE)
    assert twain <= austen


# The scripts, on small packages of the same make.


def tar(**files: str | bytes) -> bytes:
    """A .tar.gz: each file's content by its name."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, given in files.items():
            content = given.encode() if isinstance(given, str) else given
            head = tarfile.TarInfo(name)
            head.size = len(content)
            archive.addfile(head, io.BytesIO(content))
    return target.getvalue()


@pytest.fixture
def texts_of(monkeypatch):
    """What a script makes of a package: called with the script's name and the package."""
    monkeypatch.syspath_prepend(DATA)
    return lambda script, package: runpy.run_path(str(DATA / script))["texts"](package, everything=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_takes_no_other_package(script, tmp_path, monkeypatch, capsys):
    """It says what it found, and writes nothing; the data's description says how to call it."""
    package = tmp_path / "other"
    package.write_bytes(b"something else")
    monkeypatch.syspath_prepend(DATA)
    monkeypatch.setattr("sys.argv", [script, str(package), "--all", str(tmp_path)])
    with pytest.raises(SystemExit):
        runpy.run_path(str(DATA / script), run_name="__main__")
    assert hashlib.sha256(b"something else").hexdigest() in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [package]
    assert f"`python data/{script} " in README


def test_films_leave_out_the_middle_fifth(texts_of):
    """Of ten snippets the two nearest 0, and the one at the limit; a text that occurs again stays once."""
    ratings = (-3, 0.1, -0.2, 0.3, 0.4, 1, -1, 2, -2, 2.5)
    rated = "".join(f"{at}\t{rating}\tNo.  {min(at, 8)} &amp; more\r\n" for at, rating in enumerate(ratings))
    script = runpy.run_path(str(DATA / "films.py"))
    found = texts_of("films.py", tar(**{script["INNER"]: tar(**{script["RATED"]: rated})}))["films.tsv"]
    signs = {0: "negative", 4: "positive", 5: "positive", 6: "negative", 7: "positive", 8: "negative"}
    assert found == "".join(f"No. {at} & more\t{label}\n" for at, label in signs.items())


def test_languages_cut_articles_into_pieces(texts_of):
    """From an article's beginning, over its paragraphs, without its heading; the end is dropped."""
    preamble = f"<header><h2>Before</h2><p>cafe\u0301 {'x' * 26}</p></header>"
    items = f"<li>\n <p>a &amp;\n {'y' * 20}</p></li><li><p>{'z' * 40}</p></li>"
    page = f'<h1>Title</h1>{preamble}<article data-number="7"><h2>Article 7</h2><ol>{items}</ol></article>'
    script = runpy.run_path(str(DATA / "languages.py"))
    package = tar(**{f"package/declaration/{file}.html": page for file in script["FILES"].values()})
    rows = [line.split("\t") for line in texts_of("languages.py", package)["languages.tsv"].splitlines()]
    assert [row[0] for row in rows[:3]] == ["café " + "x" * 25, "a & " + "y" * 20 + " zzzzz", "z" * 30]
    assert [row[2] for row in rows[:3]] == ["p", "a7", "a7"]
    assert [row[1] for row in rows] == sorted(3 * list(script["FILES"]))


def test_the_treebank_is_split_by_place(texts_of):
    """The tenth sentence of ten is of the test; of the columns what is needed stays."""
    word = "1\tevde\tev\tNOUN\tNN\tCase=Loc\t0\troot\t_\tX=1|SpaceAfter=No\n2\t.\t.\tPUNCT\t.\t_\t1\tp\t_\t_\n"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("data/web.conllu", "\n".join(f"# sent_id = s{at}\n# text = evde.\n{word}" for at in range(13)))
    found = texts_of("turkish.py", target.getvalue())
    kept = "1\tevde\t_\tNOUN\t_\t_\t_\t_\t_\tSpaceAfter=No\n2\t.\t_\tPUNCT\t_\t_\t_\t_\t_\t_\n"
    assert found["turkish-test.conllu"] == f"# sent_id = s9\n{kept}\n"
    assert found["turkish.conllu"] == "".join(f"# sent_id = s{at}\n{kept}\n" for at in range(13) if at != 9)


def test_twain_is_the_novel_alone(texts_of):
    """From the first chapter on, without what the edition says about itself."""
    script = runpy.run_path(str(DATA / "twain.py"))
    novel = 'Produced by\n\nPREFACE\n\nCHAPTER I\n\n"TOM!"\n\nCHAPTER II\n\nEnd.\n\n\nEnd of the Project Gutenberg EBook\n'
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": tar(**{script["NOVEL"]: novel})}
    heads = {name: f"{name:16}{0:<12}{0:<6}{0:<6}{0:<8}{len(part):<10}`\n".encode() for name, part in parts.items()}
    package = b"!<arch>\n" + b"".join(heads[name] + part + b"\n" * (len(part) % 2) for name, part in parts.items())
    assert texts_of("twain.py", package)["twain.txt"] == 'CHAPTER I\n\n"TOM!"\n\nCHAPTER II\n\nEnd.\n'
