"""`charlm train`: any text is taken or refused in one line, options have bounds, and a run folder is as designed."""

import json
import math
import os
import re
from pathlib import Path

import pytest
import torch

from benchmarks.machine import last_of_each
from charlm.files import folder_lock
from charlm.recipe import MOST_PASSES, PRESETS
from charlm.runs.speed import Speed
from charlm.tasks import language
from tests.commands import SHORT, TEXT, TINY, is_error
from tests.conftest import CELLS

KOREAN = "옛날 옛적에 호랑이가 담배를 피우던 시절, 산골에 할머니가 살았다.\n"


@pytest.fixture(autouse=True)
def text(in_an_empty_folder: Path) -> Path:
    """A small corpus, t.txt, in the test's folder."""
    path = in_an_empty_folder / "t.txt"
    path.write_text(TEXT)
    return path


def lines(out: bytes) -> list[dict]:
    return [json.loads(line) for line in out.decode().splitlines()]


def sampled(charlm, length: int = 30) -> bytes:
    result = charlm("sample", "--seed", "3", "--length", str(length))
    assert result.status == 0, result.err
    return result.out


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_trains_and_samples(charlm, cell):
    """Any cell leads from a text to a sample in two commands."""
    assert charlm("train", "t.txt", *SHORT, "--cell", cell, "--num-layers", "2", "--dropout", "0.1").status == 0
    assert len(sampled(charlm)) == 30
    assert json.loads(charlm("info", "--json").text)["model"]["cell"] == cell


def test_files_folders_and_standard_input_are_one_corpus(charlm, tmp_path: Path):
    """The same characters give the same corpus, whether from one file, from several, from a folder or from a pipe.

    Where nothing stands between files, that is, and nothing is held back, for which each file would give its own end.
    """
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    (tmp_path / "parts" / "a.py").write_text(TEXT[:100])
    (tmp_path / "parts" / "deep" / "b.py").write_text(TEXT[100:])
    (tmp_path / "parts" / "z.txt").write_text("not this one")
    ways = {
        "file": ["t.txt"],
        "files": ["parts/a.py", "parts/deep/b.py"],
        "folder": ["parts", "--glob", "*.py"],
        "pipe": ["-"],
    }
    for out, arguments in ways.items():
        whole = ("--separator", "", "--validation-fraction", "0", "--out", out)
        assert charlm("train", *arguments, *SHORT, *whole, stdin=TEXT.encode()).status == 0
    corpora = {(tmp_path / out / "corpus.bin").read_bytes() for out in ways}
    hashes = {json.loads((tmp_path / out / "run.json").read_text())["corpus_sha256"] for out in ways}
    assert len(corpora) == 1
    assert len(hashes) == 1


TEXTS = {
    "korean": KOREAN * 20,
    "emoji": "👩‍👩‍👧 said 🎉, then 🦜!\n" * 20,
    "nul": "a\0b\0\0c\n" * 40,
    "cr": "one line\rand another\r" * 20,
    "crlf": "one line\r\nand another\r\n" * 20,
    "huge-line": "no end in sight " * 100,
    "combining": "e\u0301a\u0300 \u1112\u1161\u11ab\n" * 40,
}


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_a_good_run(charlm, name, text: Path):
    """Whatever characters a text is made of, it trains, and samples are made of the same."""
    text.write_bytes(TEXTS[name].encode())
    result = charlm("train", "t.txt", *SHORT)
    assert result.status == 0, result.err
    symbols = json.loads(charlm("info", "--json").text)["vocab"]["symbols"]
    assert set(symbols) == set(TEXTS[name])
    drawn = sampled(charlm).decode()
    assert len(drawn) == 30
    assert set(drawn) <= set(TEXTS[name])


def test_a_text_that_begins_like_a_compressed_one_is_a_text(charlm):
    """Only what no text begins with is taken for a compressed file."""
    Path("t.txt").write_text("BZhukov was a general.\n" * 40)
    assert charlm("train", "t.txt", *SHORT).status == 0


def test_nul_characters_are_kept_and_said(charlm):
    """A text with NULs is trained on as it is, and one line asks whether it is one."""
    Path("t.txt").write_bytes(b"a\0b\0\0c\n" * 40)
    said = [line for line in charlm("train", "t.txt", *SHORT).err.splitlines() if "NUL" in line]
    assert said == ["t.txt has 120 NUL characters, which are kept: is it text? --symbols byte takes any file"]


def test_bytes_take_any_file(charlm, text: Path):
    """With --symbols byte, a file that is no text trains, and is sampled byte by byte."""
    text.write_bytes(bytes(range(256)) * 4)
    assert charlm("train", "t.txt", *SHORT, "--symbols", "byte").status == 0
    assert len(sampled(charlm, 70)) == 70


def test_other_encodings_are_read_when_named(charlm, text: Path):
    """--encoding says how bytes stand for characters."""
    text.write_bytes(("¡café!\n" * 60).encode("utf-16"))
    assert charlm("train", "t.txt", *SHORT, "--encoding", "utf-16").status == 0
    assert json.loads(charlm("info", "--json").text)["vocab"]["symbols"] == "".join(sorted(set("¡café!\n")))


BAD_TEXTS = {
    "empty": (b"", "is empty"),
    "one symbol": (b"a" * 900, "one symbol only", "'a'"),
    "shorter than a window": (b"abab", "--seq-len 8"),
    "invalid UTF-8": (
        b"good\nba\xffd" * 90,
        "0xFF",
        "offset 7",
        "line 2",
        "--encoding cp1252, in which line 2 reads “baÿdgood”",
    ),
    "cut short": ("é".encode() * 90 + b"\xc3", "offset 180"),
    "gzip": (b"\x1f\x8b\x08" + b"a" * 900, "is in gzip format", "zcat t.txt | charlm train -"),
    "zip": (b"PK\x03\x04" + b"a" * 900, "is in zip format", "unzip -p t.txt | charlm train -"),
    "UTF-16": (("é" * 90).encode("utf-16"), "--encoding utf-16"),
    "surrogates": (b"\xed\xa0\x80" * 90, "offset 0"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_bad_text_is_one_line_of_error(charlm, name, text: Path, tmp_path: Path):
    """A text that cannot be trained on is an error that says why, and leaves nothing behind."""
    contents, *fragments = BAD_TEXTS[name]
    text.write_bytes(contents)
    is_error(charlm("train", "t.txt", *SHORT), 1, "t.txt" if name != "shorter than a window" else "", *fragments)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["t.txt"]
    assert not list(tmp_path.rglob(".*"))


def test_an_invalid_byte_is_found_in_any_chunk(charlm, text: Path, monkeypatch):
    """Offset and line of an invalid byte are right wherever chunks end."""
    for size in (1, 2, 3, 7, 64):
        monkeypatch.setattr("charlm.text.decoding.CHUNK_BYTES", size)
        text.write_bytes("één\ntwee\nd".encode() + b"\xe2\x82 rie")
        is_error(charlm("train", "t.txt", *SHORT), 1, "offset 12", "line 3")


BAD_PLACES = {
    "missing": (["nope.txt"], 1, "nope.txt"),
    "folder without files": (["empty"], 1, "empty", "--glob"),
    "folder without such files": (["full", "--glob", "*.py"], 1, "*.py"),
    "out is a file": (["t.txt", "--out", "t.txt"], 1, "t.txt"),
    "out under a file": (["t.txt", "--out", "t.txt/run"], 1, "t.txt/run"),
    "out cannot be written": (["t.txt", "--out", "/proc/nope"], 1, "/proc/nope"),
    "out is not empty": (["t.txt", "--out", "full"], 1, "full", "not empty", "new folder"),
    "overwriting what is no run": (["t.txt", "--out", "full", "--overwrite"], 1, "full", "no run"),
    "resuming what is no run": (["--resume", "full"], 1, "full"),
    "resuming nothing": (["--resume", "nope"], 1, "nope"),
}


@pytest.mark.parametrize("name", BAD_PLACES)
def test_a_bad_place_is_one_line_of_error(charlm, name, tmp_path: Path):
    """A path that cannot be used is an error that names it, and leaves everything as it was."""
    arguments, status, *fragments = BAD_PLACES[name]
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("precious")
    before = {path for path in tmp_path.rglob("*") if path.name != "checkpoints"}
    is_error(charlm("train", *arguments, *([] if "--resume" in arguments else SHORT)), status, *fragments)
    assert {path for path in tmp_path.rglob("*") if path.name != "checkpoints"} == before


BAD_OPTIONS = [
    ("--hidden-size", "0"),
    ("--hidden-size", "-1"),
    ("--hidden-size", "many"),
    ("--embedding-size", "0"),
    ("--num-layers", "0"),
    ("--dropout", "1"),
    ("--dropout", "-0.1"),
    ("--dropout", "nan"),
    ("--batch-size", "0"),
    ("--seq-len", "0"),
    ("--learning-rate", "nan"),
    ("--learning-rate", "inf"),
    ("--learning-rate", "0"),
    ("--clip-norm", "-1"),
    ("--clip-norm", "inf"),
    ("--clip-norm", "nan"),
    ("--seed", "-1"),
    ("--cell", "foo"),
    ("--precision", "fp8"),
    ("--precision", "fp16"),
    ("--device", "tpu"),
    ("--threads", "-1"),
    ("--symbols", "syllable"),
    ("--encoding", "klingon"),
    ("--encoding", "rot13"),
    ("--validation-fraction", "1"),
    ("--validation-fraction", "nan"),
    ("--test-fraction", "-1"),
    ("--eval-every", "0"),
    ("--sample-every", "0"),
    ("--max-steps", "0"),
    ("--max-steps", "-3"),
    ("--epochs", "0"),
    ("--epochs", "nan"),
    ("--epochs", "inf"),
    ("--max-time", "5x"),
    ("--max-time", "0"),
    ("--max-time", ""),
    ("--max-time", "-5"),
    ("--nonsense", "1"),
]


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_a_bad_value_is_a_usage_error_that_names_its_option(charlm, option, value, tmp_path: Path):
    """An option that cannot be meant is exit status 2 and one line with its name, before anything is made."""
    ends = {"--max-steps", "--epochs", "--max-time"}
    rest = [TINY[i : i + 2] for i in range(0, len(TINY), 2) if TINY[i] != option]
    end = () if option in ends else ("--max-steps", "2")
    words = (*(word for pair in rest for word in pair), *end, "--device", "cpu", option, value)
    result = charlm("train", "t.txt", *last_of_each(*words))
    is_error(result, 2, option)
    assert not list(tmp_path.rglob(".*"))
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_device_that_is_not_there_is_a_usage_error(charlm, device):
    """--device for a device this machine lacks names the option and another to try."""
    is_error(charlm("train", "t.txt", *SHORT, "--device", device), 2, f"--device {device}", "Try --device cpu")


def test_two_ends_together_are_a_usage_error(charlm):
    """A run has one end."""
    is_error(charlm("train", "t.txt", *TINY, "--max-steps", "5", "--epochs", "1"), 2, "--max-steps", "--epochs")


def test_no_corpus_is_a_usage_error(charlm):
    """A run needs a text."""
    is_error(charlm("train"), 2, "CORPUS")


def test_both_fractions_must_leave_something_to_train_on(charlm):
    """Validation and test parts cannot be the whole text."""
    is_error(charlm("train", "t.txt", *SHORT, "--validation-fraction", "0.6", "--test-fraction", "0.4"), 2, "-fraction")


@pytest.mark.parametrize(("option", "value"), [("seed", 0), ("validation_fraction", 0), ("dropout", 0), ("clip_norm", 0)])
def test_zeros_are_values_like_any_other(charlm, tmp_path: Path, option, value):
    """A value given is the value used, though it may be falsy."""
    assert charlm("train", "t.txt", *SHORT, "--out", "run", "--" + option.replace("_", "-"), str(value)).status == 0
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (recorded["training"] | recorded["text"] | recorded["model"])[option] == value


def test_a_byte_order_mark_is_left_out_and_said(charlm, text: Path):
    """A UTF-8 byte order mark is no character of the text."""
    text.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    result = charlm("train", "t.txt", *SHORT)
    assert result.status == 0
    assert result.err.count("byte order mark") == 1
    assert "\ufeff" not in json.loads(charlm("info", "--json").text)["vocab"]["symbols"]


def test_lanes_shrink_to_fit_a_short_text_and_that_is_said(charlm):
    """Where B*T does not fit, B shrinks with a notice."""
    result = charlm("train", "t.txt", "--hidden-size", "8", "--seq-len", "64", "--max-steps", "2")
    assert result.status == 0
    assert "--batch-size 16 shrinks to 5" in result.err


def test_json_lines_are_all_that_is_on_standard_output(charlm, tmp_path: Path):
    """train --json writes one object a line, with the names that other programs rely on."""
    result = charlm("train", "t.txt", *TINY, "--max-steps", "20", "--eval-every", "5", "--json")
    assert result.status == 0
    events = lines(result.out)
    assert {event["event"] for event in events} == {"step", "eval", "sample", "done"}
    for event in events:
        assert isinstance(event["step"], int)
        assert event["seconds"] >= 0
        if event["event"] == "step":
            assert event["train_nats"] > 0
            assert event["chars_per_second"] > 0
        if event["event"] in ("eval", "done"):
            assert event["validation_bpc"] == pytest.approx(event["validation_nats"] / math.log(2), rel=1e-12)
        if event["event"] == "sample":
            assert isinstance(event["text"], str)
    done = events[-1]
    assert [event["event"] for event in events].count("done") == 1
    assert done["event"] == "done"
    assert done["step"] == 20
    assert (tmp_path / done["checkpoint"]).samefile(tmp_path / "checkpoints" / "t" / "model.safetensors")
    assert [event["step"] for event in events if event["event"] == "eval"] == [5, 10, 15, 20]


def test_the_final_score_is_the_exact_one_of_the_model_saved(charlm, tmp_path: Path):
    """What `train` says of its model is what `eval` finds on the validation part, and what the model says of itself."""
    result = charlm("train", "t.txt", *SHORT, "--test-fraction", "0.2", "--validation-fraction", "0.3", "--json")
    done = lines(result.out)[-1]
    training = json.loads(charlm("info", "--json").text)
    splits = training["training"]["splits"]
    assert splits == {"train": 240, "validation": 384, "test": 480}
    (tmp_path / "validation.txt").write_text(TEXT[240:384])
    score = json.loads(charlm("eval", "validation.txt", "--json").text)
    assert score["characters"] == 143
    assert score["nats_per_char"] == pytest.approx(done["validation_nats"], abs=1e-6)
    assert training["scores"]["validation_nats"] == done["validation_nats"]
    assert training["scores"]["exact"] is True


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_gives_the_same_model_to_the_byte(charlm, tmp_path: Path, cell):
    """Equal runs leave equal files, and another seed another one."""
    for out, seed in (("one", "7"), ("two", "7"), ("three", "8")):
        assert charlm("train", "t.txt", *SHORT, "--cell", cell, "--dropout", "0.2", "--seed", seed, "--out", out).status == 0
    one, two, three = ((tmp_path / out / "model.safetensors").read_bytes() for out in ("one", "two", "three"))
    assert one == two
    assert one != three


def test_reports_and_samples_leave_the_run_as_it_was(charlm, tmp_path: Path):
    """However often a run is looked at, it ends with the same weights."""
    from charlm.checkpoint.model import load_model

    for out, every in (("seldom", "6"), ("often", "1")):
        options = ("--max-steps", "6", "--dropout", "0.2", "--validation-fraction", "0", "--out", out)
        assert charlm("train", "t.txt", *TINY, *options, "--eval-every", every, "--sample-every", every).status == 0
    seldom, often = (load_model(tmp_path / out / "model.safetensors", torch.device("cpu"))[0] for out in ("seldom", "often"))
    for mine, other in zip(seldom.parameters(), often.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_quiet_says_nothing(charlm):
    """With --quiet a run that goes well is silent."""
    result = charlm("train", "t.txt", *SHORT, "--quiet")
    assert (result.status, result.out, result.err) == (0, b"", "")


def test_a_run_folder_holds_what_the_design_says(charlm, tmp_path: Path):
    """A run's files are those of the design and no others, and run.json says how it was made."""
    assert charlm("train", "t.txt", *TINY, "--max-steps", "4", "--eval-every", "2").status == 0
    folder = tmp_path / "checkpoints" / "t"
    names = {"run.json", "corpus.bin", "metrics.jsonl", "model.safetensors", "last.safetensors", "previous.safetensors"}
    assert {path.name for path in folder.iterdir()} == names
    assert list((tmp_path / "checkpoints").iterdir()) == [folder]
    run = json.loads((folder / "run.json").read_text())
    assert run["argv"]
    assert run["training"]["seed"] == 1
    assert run["end"] == {"unit": "steps", "amount": 4}
    assert {"torch", "device", "charlm"} <= set(run["machine"])
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["event"] == "done"


def test_the_end_says_what_was_reached_and_how_to_sample(charlm):
    """The last lines name the score, the model and the command that samples from it."""
    result = charlm("train", "t.txt", *SHORT)
    assert result.out == b""
    assert "nats/char" in result.err
    assert "checkpoints/t/model.safetensors" in result.err
    assert "charlm sample -c checkpoints/t" in result.err


def test_a_second_run_takes_a_name_of_its_own(charlm, tmp_path: Path):
    """Without --out no run is ever in the way of another."""
    for _ in range(2):
        assert charlm("train", "t.txt", *SHORT).status == 0
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"t", "t-2"}


def test_overwrite_replaces_a_run_whole(charlm, tmp_path: Path):
    """--overwrite starts a run anew where one was, and leaves nothing of the old one."""
    assert charlm("train", "t.txt", *SHORT, "--out", "run").status == 0
    (tmp_path / "run" / ".last.safetensors.01234567.tmp").touch()
    assert charlm("train", "t.txt", *SHORT, "--out", "run", "--seed", "5", "--overwrite").status == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["training"]["seed"] == 5
    assert {path.name for path in tmp_path.iterdir()} == {"run", "t.txt"}
    assert not list((tmp_path / "run").glob(".*"))


def test_a_failed_overwrite_keeps_the_old_run(charlm, tmp_path: Path):
    """A run is replaced only by a run."""
    assert charlm("train", "t.txt", *SHORT, "--out", "run").status == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    (tmp_path / "t.txt").write_text("")
    is_error(charlm("train", "t.txt", *SHORT, "--out", "run", "--overwrite"), 1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    (tmp_path / "t.txt").write_text(TEXT)
    with folder_lock(tmp_path / "run"):
        is_error(charlm("train", "t.txt", *SHORT, "--out", "run", "--overwrite"), 1, "another process")


def test_an_empty_out_folder_is_taken(charlm, tmp_path: Path):
    """--out may name an empty folder that is there already."""
    (tmp_path / "run").mkdir()
    assert charlm("train", "t.txt", *SHORT, "--out", "run").status == 0
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_loss_that_is_no_number_ends_the_run_with_the_last_good_state(charlm, tmp_path: Path, monkeypatch):
    """NaN stops a run with exit status 3, and what was saved before stays."""
    real, calls = language.next_symbol_nats, []

    def spoiled(logits, targets):
        calls.append(1)
        return real(logits, targets) * (math.nan if len(calls) > 7 else 1.0)

    monkeypatch.setattr(language, "next_symbol_nats", spoiled)
    result = charlm("train", "t.txt", *TINY, "--max-steps", "40", "--eval-every", "5", "--quiet")
    is_error(result, 3, "diverged", "--learning-rate")
    monkeypatch.undo()
    os.chdir(tmp_path)
    assert len(sampled(charlm)) == 30
    assert json.loads(charlm("info", "--json").text)["training"]["step"] == 5
    resumed = charlm("train", "--resume", "t")
    assert resumed.status == 0
    assert "at step 5" in resumed.err


@pytest.mark.parametrize("every", ["1", "100"])
@pytest.mark.parametrize("rate", ["1e10", "1e30"])
def test_a_learning_rate_that_is_far_too_large_diverges(charlm, tmp_path: Path, every, rate):
    """Weights that overflow end the run with exit status 3, nothing that is not a number is saved or logged."""
    result = charlm("train", "t.txt", *TINY, "--max-steps", "60", "--eval-every", every, "--learning-rate", rate, "--quiet")
    is_error(result, 3, "diverged")
    folder = tmp_path / "checkpoints" / "t"
    assert "NaN" not in (folder / "metrics.jsonl").read_text()
    assert "Infinity" not in (folder / "metrics.jsonl").read_text()
    for path in folder.glob("*.safetensors"):
        from safetensors.torch import load

        assert all(tensor.isfinite().all() for tensor in load(path.read_bytes()).values()), path.name


def test_without_a_validation_part_there_is_no_score(charlm):
    """With --validation-fraction 0 everything is trained on, and scores are null."""
    result = charlm("train", "t.txt", *SHORT, "--validation-fraction", "0", "--json")
    assert result.status == 0
    scores = [event for event in lines(result.out) if event["event"] in ("eval", "done")]
    assert len(scores) >= 2
    assert all(event["validation_nats"] is None and event["validation_bpc"] is None for event in scores)
    assert json.loads(charlm("info", "--json").text)["scores"]["validation_nats"] is None
    assert len(sampled(charlm)) == 30


def test_a_validation_part_too_short_to_score_is_said(charlm, text: Path):
    """A part of one character has no prediction to score; the run is good all the same."""
    text.write_text("abcdefgh" * 5)
    result = charlm("train", "t.txt", *SHORT, "--validation-fraction", "0.02")
    assert result.status == 0
    assert "too short for a validation part" in result.err


def test_an_epoch_is_a_pass_over_the_text(charlm):
    """--epochs counts windows: floor((N - T) / (B T)) of them are an epoch."""
    done = lines(charlm("train", "t.txt", *TINY, "--epochs", "2", "--json").out)[-1]
    assert done["step"] == 2 * ((432 - 8) // (4 * 8))


def test_a_run_may_end_by_the_clock(charlm):
    """--max-time ends a run after so much training."""
    done = lines(charlm("train", "t.txt", *TINY, "--max-time", "1s", "--eval-every", "100000", "--json").out)[-1]
    assert done["seconds"] >= 1
    assert done["progress"] == 1


def test_a_run_without_an_end_gets_one_from_its_text(charlm):
    """With no end given, a small text is read a bounded number of times."""
    done = lines(charlm("train", "t.txt", "--hidden-size", "8", "--seq-len", "32", "--json").out)[-1]
    assert done["step"] == MOST_PASSES  # one window of 12 lanes is all of the text


def test_file_names_are_harmless_on_a_terminal(charlm, tmp_path: Path):
    """Control characters in a path are shown, not sent, in errors and notices."""
    result = charlm("train", "\x1b[31mnope")
    is_error(result, 1, "␛[31mnope")
    assert "\x1b" not in result.err
    (tmp_path / "\x1b[31m.txt").write_text(TEXT)
    result = charlm("train", "\x1b[31m.txt", *SHORT, "--out", "\x1b[32mrun")
    assert result.status == 0
    assert "\x1b" not in result.err


def test_a_text_longer_than_a_chunk_is_encoded_whole(charlm, tmp_path: Path, monkeypatch):
    """Where chunks end changes nothing, not even within a character."""
    (tmp_path / "t.txt").write_text(KOREAN * 20)
    assert charlm("train", "t.txt", *SHORT, "--out", "whole").status == 0
    monkeypatch.setattr("charlm.text.source.CHUNK_BYTES", 7)
    assert charlm("train", "t.txt", *SHORT, "--out", "chunks").status == 0
    assert (tmp_path / "whole" / "corpus.bin").read_bytes() == (tmp_path / "chunks" / "corpus.bin").read_bytes()


def test_what_the_recipe_chose_is_said_and_written_down(charlm):
    """One line on standard error; in run.json what was set by hand, and why the rest is as it is; the model has both."""
    result = charlm("train", "t.txt", "--hidden-size", "8", "--preset", "large", "--max-steps", "2")
    assert result.status == 0
    assert result.err.count("recipe: ") == 1
    run = json.loads(Path("checkpoints/t/run.json").read_text())
    assert run["recipe"]["by_hand"] == ["hidden_size"]
    assert run["recipe"]["preset"] == "large"
    assert run["recipe"]["why"] in result.err
    assert (run["model"]["hidden_size"], run["model"]["num_layers"]) == (8, PRESETS["large"].num_layers)


def test_a_timed_run_is_told_how_fast_the_machine_is(charlm, monkeypatch):
    """What is measured is said, written down, and kept for the next run while it is not clearly wrong; --speed is neither."""
    speeds = iter([13e3, 14.5e3, 7e3, 15.5e3])  # the second would be another by itself, and the third
    monkeypatch.setattr("charlm.runs.speed.measured_speed", lambda *_: Speed(next(speeds), is_rough=False))
    found = []
    for options in ((), (), (), ("--speed", "13500"), ()):
        result = charlm("train", "t.txt", *TINY, "--max-time", "2s", *options)
        assert result.status == 0
        newest = max(Path("checkpoints").iterdir(), key=lambda path: json.loads((path / "run.json").read_text())["number"])
        found.append(json.loads((newest / "run.json").read_text())["recipe"]["speed"])
        assert f" {found[-1]:.0f} characters/s" in result.err
    assert found == [11500, 11500, 11500, 13500, 16200]


@pytest.mark.parametrize("end", [("--max-steps", "2"), ("--epochs", "0.5"), ("--max-time", "0.5s")])
def test_a_counted_or_a_very_short_run_measures_nothing(end, charlm, monkeypatch):
    """Its recipe names no machine."""
    monkeypatch.setattr("charlm.runs.speed.measured_speed", lambda *_: pytest.fail("it was measured"))
    result = charlm("train", "t.txt", *TINY, *end)
    assert result.status == 0
    assert "recipe: about" in result.err


def test_a_text_of_many_kinds_is_read_more_slowly(charlm, tmp_path):
    """The recipe is told how many symbols there are: of as much time, less is read."""
    (tmp_path / "few.txt").write_text("".join(chr(97 + i % 26) for i in range(20_000)))
    (tmp_path / "many.txt").write_text("".join(chr(0x4E00 + i % 5000) for i in range(20_000)))
    planned = []
    for name in ("few.txt", "many.txt"):
        result = charlm("train", name, "--max-time", "1s", "--hidden-size", "8", "--speed", "65000")
        planned.append(int(re.search(r"about ([\d,]+) characters to read", result.err)[1].replace(",", "")))
    assert planned[1] < planned[0] / 2


def test_the_same_command_makes_the_same_model(charlm):
    """What the recipe chooses for a counted end depends on the command and the text alone."""
    for out in ("a", "b"):
        assert charlm("train", "t.txt", "--max-steps", "3", "--out", out).status == 0
    assert Path("a/model.safetensors").read_bytes() == Path("b/model.safetensors").read_bytes()
