"""`charlm sample`: prompts, choices, stops, seeds, held units, and which model is taken."""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.machine import last_of_each
from tests.commands import COMMAND, SHORT, TEXT, is_error, latch_run, on_terminal, running, trained

SEPARATOR = "\n----------\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of TEXT."""
    return str(trained(tmp_path_factory.mktemp("text")))


@pytest.fixture(scope="module")
def byte_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of all bytes."""
    return str(trained(tmp_path_factory.mktemp("bytes"), bytes(range(256)) * 4, "--symbols", "byte"))


@pytest.fixture(scope="module")
def hostile_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of a text full of what terminals obey."""
    return str(trained(tmp_path_factory.mktemp("hostile"), "\x1b[31mred\x07\x9b2J\u202e[/nope]\x1b[0m\n" * 30))


@pytest.fixture
def sample(charlm, model):
    """Run `charlm sample` on the model of TEXT with a short length and a fixed seed."""

    def run(*arguments: str, stdin: bytes = b"", seed: str = "1"):
        return charlm("sample", "-c", model, *last_of_each("--length", "40", "--seed", seed, *arguments), stdin=stdin)

    return run


def test_the_prompt_and_its_continuation_are_all_there_is(sample):
    """Standard output has the prompt and as many characters as asked for, and nothing else."""
    result = sample("--prompt", "the cat")
    assert result.status == 0
    assert result.text.startswith("the cat")
    assert len(result.text) == 7 + 40
    assert result.err == ""


def test_a_length_of_nothing_is_the_prompt(sample):
    """--length 0 draws nothing."""
    assert sample("--prompt", "the", "--length", "0").text == "the"
    assert sample("--length", "0", "--num-samples", "2").text == SEPARATOR


def test_the_same_seed_gives_the_same_text(sample):
    """A sample is a function of the model, the options and the seed."""
    assert sample(seed="5").out == sample(seed="5").out
    assert len({sample(seed=str(seed)).out for seed in range(5)}) == 5


def test_argmax_is_temperature_zero(sample):
    """--argmax and --temperature 0 are one thing, whatever the seed."""
    texts = {sample(option, *value, seed=seed).out for option, *value in (["--argmax"], ["-t", "0"]) for seed in ("1", "2")}
    assert len(texts) == 1


@pytest.mark.parametrize("options", [("--top-k", "1"), ("--top-p", "1e-9"), ("--temperature", "1e-9")])
def test_the_narrowest_choice_is_argmax(sample, options):
    """One symbol to choose from is the most probable one."""
    assert sample(*options).out == sample("--argmax").out


def test_no_prompt_starts_after_a_newline(sample):
    """Without a prompt a sample is what follows a newline that is not printed."""
    alone = sample()
    assert len(alone.text) == 40
    assert sample("--prompt", "\n").text == "\n" + alone.text
    assert sample("--prompt", "").out == alone.out


def test_every_way_to_give_a_prompt_is_the_same(sample, tmp_path: Path):
    """An option, its alias, a file and standard input give the same prompt."""
    (tmp_path / "p.txt").write_text("the mat")
    expected = sample("--prompt", "the mat").out
    assert sample("--prime", "the mat").out == expected
    assert sample("-p", "the mat").out == expected
    assert sample("--prompt-file", "p.txt").out == expected
    assert sample("--prompt", "-", stdin=b"the mat").out == expected
    assert sample("--prompt-file", "-", stdin=b"the mat").out == expected


def test_a_missing_prompt_file_is_an_error(sample):
    """A prompt file that cannot be read is named."""
    is_error(sample("--prompt-file", "nope.txt"), 1, "nope.txt")
    is_error(sample("--prompt-file", "."), 1, "--prompt-file .")


def test_a_prompt_longer_than_a_window_is_read_whole(sample, tmp_path: Path):
    """A long prompt is echoed and gone on from."""
    (tmp_path / "p.txt").write_text(TEXT * 5)
    result = sample("--prompt-file", "p.txt")
    assert result.text[: 5 * len(TEXT)] == TEXT * 5
    assert len(result.text) == 5 * len(TEXT) + 40


def test_the_stop_text_ends_a_sample_and_is_not_printed(sample):
    """With --stop a sample is what came before that text."""
    whole = sample().text
    for stop in (whole[3], whole[5:7], whole[10:14], whole[-3:]):
        assert sample("--stop", stop).text == whole[: whole.index(stop)]
    assert "zz" not in whole
    assert sample("--stop", "tttttt").text == whole


def test_the_stop_text_cuts_every_sample_at_its_own_place(sample):
    """Each of several samples ends at its own stop."""
    whole = sample("--num-samples", "3").text.split(SEPARATOR)
    cut = sample("--num-samples", "3", "--stop", " ").text.split(SEPARATOR)
    assert cut == [text.split(" ")[0] for text in whole]


def test_several_samples_are_printed_whole_with_a_separator(sample):
    """--num-samples draws different texts, each with the prompt."""
    parts = sample("--num-samples", "3", "--prompt", "the").text.split(SEPARATOR)
    assert [len(part) for part in parts] == [43, 43, 43]
    assert all(part.startswith("the") for part in parts)
    assert len(set(parts)) == 3


@pytest.mark.parametrize("number", [1, 3])
def test_json_has_prompt_and_text_apart(sample, number):
    """sample --json is one object with the names that other programs rely on, and the same texts."""
    options = ("--prompt", "the", "--num-samples", str(number))
    result = sample(*options, "--json")
    assert result.text.count("\n") == 1
    samples = json.loads(result.text)["samples"]
    assert [set(entry) for entry in samples] == [{"prompt", "text"}] * number
    assert [entry["prompt"] + entry["text"] for entry in samples] == sample(*options).text.split(SEPARATOR)
    assert all(entry["prompt"] == "the" for entry in samples)


@pytest.mark.parametrize("option", ["--prompt", "--stop"])
def test_an_unseen_character_is_named_with_its_place(sample, option):
    """A character that the model does not know is an error with the character, its code point and its position."""
    is_error(sample(option, "caté"), 1, "'é'", "U+00E9", "position 3")


def test_unseen_characters_can_be_skipped(sample):
    """--unknown skip drops what the model has never seen."""
    assert sample("--prompt", "étQhe", "--unknown", "skip").text == sample("--prompt", "the").text
    is_error(sample("--prompt", "étQhe", "--unknown", "error"), 1, "position 0")
    assert sample("--prompt", "éQ", "--unknown", "skip").text == sample().text


def test_a_prompt_that_is_no_text_is_one_line_of_error(sample):
    """The first byte that is no UTF-8 is named, for a model of characters."""
    is_error(sample("--prompt", "-", stdin=b"the\xff"), 1, "standard input", "byte 0xFF at offset 3, line 1")
    is_error(sample("--prompt", "the\udcff"), 1, "the prompt", "byte 0xFF after 3 characters")


def test_a_stop_that_can_never_come_is_an_error_with_a_hint_that_helps(sample):
    """An unseen character in --stop is named, and --unknown skip, which would not help, is not suggested."""
    result = sample("--stop", "é")
    is_error(result, 1, "U+00E9", "--stop")
    assert "--unknown" not in result.err


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "-inf", "-0.001"])
def test_an_impossible_temperature_is_a_usage_error(sample, value):
    """Temperatures below 0, NaN and infinite cannot be meant."""
    is_error(sample("--temperature", value), 2, "--temperature")


BAD = [("--top-p", "0"), ("--top-p", "1.1"), ("--top-p", "nan"), ("--top-k", "-1"), ("--length", "-1"), ("--num-samples", "0")]


@pytest.mark.parametrize(("option", "value"), BAD)
def test_an_impossible_value_is_a_usage_error_that_names_its_option(sample, option, value):
    """A value out of bounds is exit status 2 and the option's name."""
    is_error(sample(option, value), 2, option)


def test_a_drawn_seed_is_named_and_repeats_the_sample(charlm, model):
    """Without --seed one is drawn and said on standard error, and it gives the same text again."""
    first = charlm("sample", "-c", model, "--length", "40")
    name, seed = first.err.split()
    assert name == "seed:"
    again = charlm("sample", "-c", model, "--length", "40", "--seed", seed)
    assert again.out == first.out
    assert again.err == ""


@pytest.mark.parametrize("value", ["1e-30", "1e30"])
def test_extreme_temperatures_draw_all_the_same(sample, value):
    """No temperature above 0 overflows."""
    assert len(sample("--temperature", value).text) == 40


def test_the_run_started_last_is_taken_and_named(charlm, tmp_path: Path):
    """Without -c the newest run under checkpoints/ is sampled, and said on standard error."""
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(TEXT.replace("cat", name))
        assert charlm("train", f"{name}.txt", *SHORT, "--quiet").status == 0
    result = charlm("sample", "--seed", "1", "--length", "5")
    assert result.err == "model: checkpoints/a/model.safetensors\n"
    assert result.out == charlm("sample", "--seed", "1", "--length", "5", "-c", "a").out


def test_a_model_is_found_by_file_by_folder_and_by_name(charlm, model, tmp_path: Path):
    """-c takes a model file, a run folder, or the name of a run under checkpoints/."""
    shutil.copytree(model, tmp_path / "checkpoints" / "mine")
    shutil.copy(Path(model) / "model.safetensors", tmp_path / "alone.safetensors")
    names = ("mine", "checkpoints/mine", "checkpoints/mine/model.safetensors", "alone.safetensors", model)
    results = [charlm("sample", "-c", name, "--seed", "1", "--length", "9") for name in names]
    assert len({result.out for result in results}) == 1
    assert all(result.status == 0 and result.err == "" for result in results)


def test_without_any_model_the_error_says_how_to_make_one(charlm, monkeypatch):
    """No run yet, and nothing that ships, is a one-line error with a hint."""
    monkeypatch.setattr("charlm.runs.find.SHIPPED", ())
    is_error(charlm("sample"), 1, "checkpoints", "charlm train")
    is_error(charlm("sample", "-c", "nope"), 1, "nope")


@pytest.mark.parametrize("kind", ["text", "empty", "pickle", "old pickle", "training state", "flipped"])
def test_what_is_no_model_is_refused(charlm, model, tmp_path: Path, kind):
    """A file that is not one of ours, or damaged, is a one-line error that names it; none is unpickled."""
    path = tmp_path / "x.safetensors"
    whole = (Path(model) / "model.safetensors").read_bytes()
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=kind == "pickle")
    contents = {
        "text": TEXT.encode(),
        "empty": b"",
        "pickle": buffer.getvalue(),
        "old pickle": buffer.getvalue(),
        "training state": (Path(model) / "last.safetensors").read_bytes(),
        "flipped": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
    }
    path.write_bytes(contents[kind])
    is_error(charlm("sample", "-c", str(path)), 1, "x.safetensors", *(["pickle"] if "pickle" in kind else []))


def test_a_run_that_has_no_model_yet_is_one_line_of_error(charlm, model, tmp_path: Path):
    """A run folder without a model file is named."""
    shutil.copytree(model, tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    is_error(charlm("sample", "-c", "run"), 1, "run")


def test_a_pipe_gets_the_exact_characters(charlm, hostile_model):
    """Control characters that the model draws go into a pipe as they are."""
    result = charlm("sample", "-c", hostile_model, "--length", "300", "-t", "5", "--seed", "1", "--prompt", "\x1b")
    assert result.out.count(b"\x1b") > 1
    assert len(result.out.decode()) == 301


def test_a_terminal_gets_harmless_characters(hostile_model):
    """Control characters that the model draws, or is prompted with, are shown to a terminal, not sent."""
    screen = on_terminal("sample", "-c", hostile_model, "-n", "300", "-t", "5", "--seed", "1", "--prompt", "\x1b[31m")
    assert screen.startswith("␛[31m")
    assert screen.endswith("\n")
    assert not {character for character in screen if not character.isprintable()} - {"\n"}
    assert "<U+202E>" in screen
    assert "<U+009B>" in screen


def test_a_reader_that_has_gone_ends_a_sample_silently(model):
    """`charlm sample | head -1` is exit status 141 and no word of it."""
    command = [*COMMAND, "sample", "-c", model, "--length", "1000000", "--seed", "1"]
    with running(*command) as process:
        process.stdout.read(10)
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (141, "")


def test_bytes_go_into_a_pipe_as_they_are(charlm, byte_model, tmp_path: Path):
    """A model of bytes writes as many bytes as asked for, and takes any byte as a prompt."""
    (tmp_path / "p.bin").write_bytes(b"\xff\x00\xfe")
    result = charlm("sample", "-c", byte_model, "-n", "400", "-t", "9", "--seed", "1", "--prompt-file", "p.bin")
    assert result.status == 0, result.err
    assert result.out.startswith(b"\xff\x00\xfe")
    assert len(result.out) == 403
    assert len(set(result.out)) > 50


def test_a_byte_model_takes_any_prompt_as_utf_8(charlm, byte_model):
    """A model of bytes knows every character, by the bytes of its UTF-8 form."""
    result = charlm("sample", "-c", byte_model, "-n", "1", "--seed", "1", "--prompt", "é🎉")
    assert result.out[:-1] == "é🎉".encode()


def test_json_of_a_byte_model_is_valid(charlm, byte_model):
    """Bytes that are no UTF-8 do not break JSON."""
    result = charlm("sample", "-c", byte_model, "-n", "50", "-t", "9", "--seed", "1", "--json")
    assert isinstance(json.loads(result.text)["samples"][0]["text"], str)


@pytest.fixture(scope="module")
def latch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of modes: unit 0:3 is 1 from a [ on, -1 from a ] on."""
    return str(latch_run(tmp_path_factory.mktemp("latch")))


@pytest.mark.parametrize(("value", "ends", "common"), [("1", "]", "a"), ("-1", "[", "b")])
@pytest.mark.parametrize("number", [1, 3])
def test_a_clamp_holds_a_mode_open(charlm, latch, number, value, ends, common):
    """With the unit that holds a mode held, every sample goes on as that mode does, whatever the prompt said."""
    for prompt in "[]":
        options = ("-p", prompt, "-n", "1500", "--seed", "3", "--num-samples", str(number), "--clamp", f"0:3={value}")
        texts = charlm("sample", "-c", latch, *options).text.split(SEPARATOR)
        assert len(texts) == number
        for text in texts:
            assert text[1:].count(ends) > 2 + 2 * text[1:].count("[]".replace(ends, ""))
            assert text.count(common) > 1.4 * text.count("ab".replace(common, ""))


def test_a_clamp_is_of_the_state_and_from_zero(sample):
    """c is held by default, spaces do not matter, another unit or part gives another text, and -0 is 0."""
    held = sample("--clamp", "0:7=2.5")
    assert held.out != sample().out
    assert held.out == sample("--clamp", "0:7:c=2.5").out == sample("--clamp", " 0:7 = 25e-1 ").out
    assert len({sample("--length", "500", "--clamp", f"{name}=9").out for name in ("0:7", "0:6", "0:0", "0:7:h")}) == 4
    assert sample("--clamp", "0:7=0").out == sample("--clamp", "0:7=-0").out


def test_with_all_of_h_held_nothing_is_remembered(sample):
    """With every unit of h held, each character is drawn from one distribution, so that argmax draws one character."""
    clamps = [word for unit in range(8) for word in ("--clamp", f"0:{unit}:h=0.5")]
    assert len(set(sample(*clamps, "--argmax").text)) == 1
    assert len(set(sample(*clamps).text)) > 1


BAD_CLAMPS = [
    *(
        (text, "LAYER:UNIT")
        for text in ("", "0:1", "0:1=", "0:1=x", "0:1=nan", "0:1=-inf", "0=1", "0:1:I=1", "-1:0=1", "0:1:=1")
    ),
    ("0:1:i=1", "has no i"),
    ("1:0=1", "the layer"),
    ("0:8=1", "the unit"),
]


@pytest.mark.parametrize(("text", "fragment"), BAD_CLAMPS)
def test_a_clamp_of_nothing_is_a_usage_error(sample, text, fragment):
    """A layer, unit or part that there is not, and a value that is no number, are one line and status 2."""
    is_error(sample("--clamp", text), 2, "--clamp", fragment)


@pytest.mark.parametrize("second", ["0:1=2", "0:1:c=1"])
def test_a_unit_is_held_once(sample, second):
    """Two values for one unit are a usage error; its c and its h are two things."""
    is_error(sample("--clamp", "0:1=1", "--clamp", second), 2, "0:1:c twice")
    assert sample("--clamp", "0:1=1", "--clamp", "0:1:h=1").status == 0


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_what_has_no_c_is_held_by_h(charlm, tmp_path: Path, cell):
    """Of a GRU and an RNN h is held by default, and c is an error that says so."""
    options = ("-c", str(trained(tmp_path, TEXT, "--cell", cell)), "--seed", "1", "-n", "40", "--clamp")
    assert charlm("sample", *options, "0:1=1").out == charlm("sample", *options, "0:1:h=1").out
    is_error(charlm("sample", *options, "0:1:c=1"), 2, "0:1:c", cell.upper())


@pytest.mark.parametrize("options", [("--num-samples", "60000"), ("--json",)])
def test_more_than_memory_can_hold_is_refused(charlm, tmp_path, options):
    """Samples that are kept until they are whole are counted first."""
    run = str(trained(tmp_path))
    is_error(charlm("sample", *options, "--length", "900000000000", "--seed", "1", "-c", run), 2, "GB", "are free")
