"""Texts as people have them: in the encoding and the normal form that the model's text had, and prompts with a mark."""

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from charlm.checkpoint.card import read_card
from charlm.checkpoint.format import to_bytes
from charlm.config import NORMAL_FORMS
from charlm.tensorfile import TensorFile
from tests.commands import SHORT, TEXT, is_error, trained

BOM = b"\xef\xbb\xbf"
FRENCH = "Où est passée l’école ? « Là-bas », dit le garçon, « près du café fermé ».\n" * 30
KOREAN = "고양이가 창가에서 잠을 잔다. 비가 온다.\n" * 40
MARKED = unicodedata.normalize("NFD", FRENCH)
FILMS = "".join(f"{'déjà vu' if n % 2 else 'très bien'}, numéro {n}\t{'bad' if n % 2 else 'good'}\n" for n in range(60))


def alone(run: Path, folder: Path) -> str:
    """The model of a run, copied without anything else."""
    return str(shutil.copy(run / "model.safetensors", folder / "alone.safetensors"))


@pytest.fixture(scope="module")
def western(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of a text in cp1252, in a file by itself."""
    place = tmp_path_factory.mktemp("western")
    return alone(trained(place, FRENCH.encode("cp1252"), "--encoding", "cp1252"), place)


@pytest.fixture(scope="module")
def korean(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of a text in CP949."""
    place = tmp_path_factory.mktemp("korean")
    return alone(trained(place, KOREAN.encode("cp949"), "--encoding", "cp949"), place)


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a text of decomposed letters that was trained with --normalize NFC."""
    return trained(tmp_path_factory.mktemp("composed"), MARKED, "--normalize", "nfc")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of labelled texts in cp1252, in normal form."""
    place = tmp_path_factory.mktemp("films")
    how = ("--task", "classify", "--seq-len", "40", "--encoding", "cp1252", "--normalize", "NFC")
    return alone(trained(place, FILMS.encode("cp1252"), *how, name="t.tsv"), place)


def test_what_a_model_learned_in_is_what_it_reads_in(charlm, western, korean):
    """A text is scored as it was kept, without a word about its encoding, and another can be named."""
    for model, text, encoding in ((western, FRENCH, "cp1252"), (korean, KOREAN, "cp949")):
        assert f"encoding {encoding}" in " ".join(charlm("info", "-c", model).text.split())
        Path("kept.txt").write_bytes(text.encode(encoding))
        Path("utf8.txt").write_bytes(text.encode())
        expected = charlm("eval", "kept.txt", "-c", model, "--json")
        assert (expected.status, expected.err) == (0, "")
        assert charlm("eval", "utf8.txt", "-c", model, "--json", "--encoding", "utf-8").out == expected.out
        shown = charlm("inspect-cells", "kept.txt", "-c", model, "--show", "0:3", "-n", "30", "--max-characters", "99")
        again = ("inspect-cells", "utf8.txt", "-c", model, "--show", "0:3", "-n", "30", "--max-characters", "99")
        assert shown.status == 0
        assert shown.out == charlm(*again, "--encoding", "utf-8").out


def test_prompts_are_read_in_the_encoding_of_the_model_s_text(charlm, western):
    """A file and standard input are; what is typed is text already; another encoding can be named."""
    Path("kept.txt").write_bytes("l’école fermée".encode("cp1252"))
    Path("utf8.txt").write_bytes("l’école fermée".encode())
    options = ("sample", "-c", western, "--seed", "1", "-n", "5")
    expected = charlm(*options, "--prompt", "l’école fermée")
    assert (expected.status, expected.err) == (0, "")
    assert charlm(*options, "--prompt-file", "kept.txt").out == expected.out
    assert charlm(*options, "--prompt", "-", stdin=Path("kept.txt").read_bytes()).out == expected.out
    assert charlm(*options, "--prompt-file", "utf8.txt", "--encoding", "utf-8").out == expected.out


def test_predictions_are_read_in_it_too(charlm, films):
    """Of texts in the encoding and the form of training, or in others that are named or come to the same form."""
    lines = "déjà vu\ntrès bien, numéro 7\n"
    Path("kept.txt").write_bytes(lines.encode("cp1252"))
    Path("other.txt").write_bytes(unicodedata.normalize("NFD", lines).encode())
    Path("other.jsonl").write_text(
        "".join(json.dumps({"text": line}) + "\n" for line in unicodedata.normalize("NFD", lines).split("\n"))
    )
    Path("labelled.tsv").write_bytes(unicodedata.normalize("NFD", FILMS).encode())
    expected = charlm("predict", "kept.txt", "-c", films, "--json")
    assert (expected.status, expected.err) == (0, "")
    assert [json.loads(line)["text"] for line in expected.text.splitlines()] == lines.splitlines()
    for name in ("other.txt", "other.jsonl"):
        assert charlm("predict", name, "-c", films, "--json", "--encoding", "utf-8").out.startswith(expected.out)
    Path("kept.tsv").write_bytes(FILMS.encode("cp1252"))
    score = charlm("eval", "kept.tsv", "-c", films, "--json")
    assert score.status == 0
    assert charlm("eval", "labelled.tsv", "-c", films, "--json", "--encoding", "utf-8").out == score.out


def test_whoever_has_utf8_is_told_so(charlm, western, korean):
    """A text in UTF-8 for a model of another encoding leads to --encoding utf-8, whether it can be decoded or not."""
    Path("t.txt").write_bytes(KOREAN.encode())
    is_error(
        charlm("eval", "t.txt", "-c", korean), 1, "t.txt is not cp949", "ry --encoding utf-8, in which line 1 reads “고양이가"
    )
    Path("t.txt").write_bytes(FRENCH.encode())
    for command in (("eval", "t.txt"), ("sample", "--prompt-file", "t.txt"), ("inspect-cells", "t.txt")):
        notice, error, _ = charlm(*command, "-c", western).err.split("\n")
        assert "t.txt is read as cp1252, and could be utf-8: try --encoding utf-8" in notice
        assert error.startswith("charlm: error: the model has never seen 'Ã'")


def test_the_hint_of_a_command_that_reads_no_bytes_is_of_no_use_without_it(charlm, korean, films):
    """No command that has no --symbols advises it."""
    Path("t.bin").write_bytes(b"\x7fELF\0\0\x01\xff\xfe\xfd" * 40)
    for model, command in ((korean, "eval"), (korean, "inspect-cells"), (films, "eval"), (films, "predict")):
        result = charlm(command, "t.bin", "-c", model, "--encoding", "utf-8")
        is_error(result, 1, "it is no text in any other encoding that is known here")
        assert "--symbols" not in result.err
    is_error(charlm("train", "t.bin"), 1, "--symbols byte takes any file")


def test_what_is_shown_of_a_file_is_harmless(charlm):
    """The piece of a text that an error shows steers no terminal, and stays on its line."""
    Path("t.txt").write_bytes(b"\x1b[31mred caf\xe9 \x07\tfor\n\x1b]0;a title and two caf\xe9s, for all who come\n" * 3)
    result = charlm("train", "t.txt")
    is_error(result, 1, "--encoding cp1252", "␛[31mred café ␇ for")
    assert "\x1b" not in result.err


PROMPTS = [
    (BOM + b"The", "the", "The"),
    (BOM + b"the cat", "the cat", "the cat"),
    (BOM, "", ""),
    (BOM + BOM + b"the", None, "U+FEFF"),
    (b"the" + BOM, None, "U+FEFF"),
    (b"\xff\xfet\0h\0e\0", None, "begins with the byte order mark of UTF-16"),
    (b"t\0h\0e\0", None, "seems to be utf-16-le"),
    (b"\0t\0h\0e", None, "seems to be utf-16-be"),
    (b"the \x93cat\x94", None, "--encoding cp1252, in which line 1 reads “the “cat””"),
    (b"the cat\r\n", None, "U+000D"),
    (b"\x1f\x8b\x08\0", None, "gzip"),
    (b"", "", ""),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of TEXT, in small letters."""
    return str(trained(tmp_path_factory.mktemp("plain"), TEXT + "The"))


@pytest.mark.parametrize(("raw", "as_typed", "shown"), PROMPTS, ids=lambda each: repr(each)[:30])
def test_a_prompt_file_is_read_as_any_text(charlm, plain, raw, as_typed, shown):
    """A byte order mark is left out, which is said; what cannot be read is one line that says what it is."""
    Path("p.txt").write_bytes(raw)
    options = ("sample", "-c", plain, "--seed", "1", "-n", "9")
    by_file, by_pipe = charlm(*options, "--prompt-file", "p.txt"), charlm(*options, "--prompt", "-", stdin=raw)
    if as_typed is None:
        assert (by_file.status, by_pipe.status) == (1, 1)
        assert all(shown in each.err.splitlines()[-1] for each in (by_file, by_pipe))
        return
    assert by_file.out == by_pipe.out == charlm(*options, "--prompt", shown).out
    assert ("byte order mark" in by_file.err) == raw.startswith(BOM)


def test_bytes_are_prompts_as_they_are(charlm, tmp_path):
    """To a model of bytes a mark is three bytes like any."""
    run = trained(tmp_path, bytes(range(256)) * 4, "--symbols", "byte")
    Path("p.bin").write_bytes(BOM + b"\xff\xfe")
    result = charlm("sample", "-c", run, "--prompt-file", "p.bin", "-n", "3", "--seed", "1")
    assert (result.out[:-3], result.err) == (BOM + b"\xff\xfe", "")


def test_a_normal_form_is_remembered_and_given_to_every_text(charlm, composed):
    """What the model reads, as a prompt, a stop or a text, comes to the form that it learned in; its file says which."""
    model = alone(composed, Path())
    assert read_card(Path(model))[0].text.normalize == "NFC"
    assert json.loads((composed / "run.json").read_text())["text"]["normalize"] == "NFC"
    assert "in the normal form NFC" in charlm("info", "-c", model).text
    assert json.loads(charlm("info", "-c", model, "--json").text)["training"]["text"]["normalize"] == "NFC"
    for name, text in (("one", FRENCH), ("other", MARKED)):
        Path(f"{name}.txt").write_text(text)
        Path(f"{name}-prompt.txt").write_text(text[:90].strip())
    options = ("sample", "-c", model, "--seed", "1", "-n", "60", "-t", "0.3")
    expected = charlm(*options, "--prompt", "près du café")
    assert expected.status == 0
    assert expected.text.startswith("près du café")
    assert charlm(*options, "--prompt", unicodedata.normalize("NFD", "près du café")).out == expected.out
    prompts = [charlm(*options, "--prompt-file", f"{name}-prompt.txt").text[:60] for name in ("one", "other")]
    assert prompts[0][:60] == prompts[1][:60]
    stops = [charlm(*options, "--stop", unicodedata.normalize(form, "é")).out for form in NORMAL_FORMS]
    assert len(set(stops)) == 1
    scores = [charlm("eval", f"{name}.txt", "-c", model, "--json") for name in ("one", "other")]
    assert [score.status for score in scores] == [0, 0]
    assert scores[0].out == scores[1].out
    assert json.loads(scores[0].text)["characters"] == len(FRENCH) - 1


def test_a_run_with_a_normal_form_goes_on(charlm, composed, tmp_path):
    """It is resumed, its text has not changed, and the held-out part is found."""
    shutil.copytree(composed, "run")
    result = charlm("train", "--resume", "run", "--max-steps", "7")
    assert result.status == 0
    assert "has changed" not in result.err
    assert charlm("inspect-cells", "-c", "run", "--show", "0:1", "-n", "20").status == 0


def test_what_was_taken_out_is_restored_in_normal_form(charlm, tmp_path):
    """A model that restores reads and writes the form it learned in."""
    run = trained(tmp_path, MARKED, "--restore", "spaces", "--normalize", "NFC")
    Path("p.txt").write_text(MARKED[:200])
    Path("q.txt").write_text(FRENCH[: len(unicodedata.normalize("NFC", MARKED[:200]))])
    found = charlm("predict", "p.txt", "-c", run)
    assert found.status == 0
    assert unicodedata.is_normalized("NFC", found.text)
    assert found.out == charlm("predict", "q.txt", "-c", run).out


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (("--normalize", "NFC", "--symbols", "byte"), "--normalize NFC was given with --symbols byte"),
        (("--normalize", "NFX"), "--normalize is 'NFX', and must be one of NFC, NFD, NFKC"),
        (("--normalise", "NFC", "--task", "tag"), "--normalize NFC was given, and another form of a text"),
    ],
)
def test_a_form_that_does_not_fit_is_refused(charlm, options, fragment):
    """In one line, before anything is made."""
    Path("t.tsv").write_text("a\tx\nb\ty\n" * 9)
    is_error(charlm("train", "t.tsv", *SHORT, *options), 2, fragment)
    assert not Path("checkpoints").exists()


def test_files_without_a_form_have_no_field_for_one(charlm, plain):
    """By default a model and a run are the same bytes as they were before there were normal forms."""
    with TensorFile(Path(plain) / "model.safetensors", "model") as file:
        assert "normalize" not in file.head["text"]
    assert "normalize" not in json.loads((Path(plain) / "run.json").read_text())["text"]


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"normalize": "NFX"}, "--normalize is 'NFX'"),
        ({"normalize": "NFC", "symbols": "byte"}, "--symbols byte"),
        ({"encoding": "no\x1bsuch"}, "--encoding no␛such is not known"),
        ({"encoding": "hex"}, "--encoding hex is not known"),
        ({"encoding": "punycode"}, "--encoding punycode is not known"),
        ({"encoding": "x" * 9000}, "xxx... is not known"),
    ],
)
def test_a_model_that_says_nonsense_of_its_text_is_one_line(charlm, plain, changes, fragment):
    """Whatever a file claims of the encoding and the form is looked at before it is used."""
    import safetensors.torch

    path = Path(plain) / "model.safetensors"
    with TensorFile(path, "model") as file:
        head = file.head
    head["text"] |= changes
    Path("x.safetensors").write_bytes(to_bytes(safetensors.torch.load(path.read_bytes()), head))
    Path("t.txt").write_text(TEXT)
    result = charlm("eval", "t.txt", "-c", "x.safetensors")
    assert result.status in (1, 2)
    assert result.err.count("\n") == 1
    assert fragment in result.err
