"""How a run folder comes to be: whole or not at all, whoever else is at it, and never in the place of another."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.machine import last_of_each
from charlm.errors import RunError
from charlm.files import folder_lock
from charlm.runs import data, make
from charlm.runs.find import find_model
from charlm.runs.record import number_of
from charlm.text import corpus as corpus_module
from tests.commands import SHORT, SIGNALS, TEXT, is_error, running


@pytest.fixture(autouse=True)
def text(tmp_path: Path) -> Path:
    path = tmp_path / "t.txt"
    path.write_text(TEXT)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def someone_quicker(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Another process makes `folder` after its name was found to be free."""
    real = make._encode

    def encode(*arguments):
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("theirs")
        return real(*arguments)

    monkeypatch.setattr(make, "_encode", encode)


def test_two_that_choose_the_same_name_get_two_runs(charlm, monkeypatch):
    """Who comes second takes the next name, and leaves the first alone."""
    someone_quicker(monkeypatch, Path("checkpoints/t"))
    result = charlm("train", "t.txt", *SHORT)
    assert result.status == 0, result.err
    assert contents(Path("checkpoints/t")) == {"run.json": b"theirs"}
    assert Path("checkpoints/t-2/model.safetensors").exists()


def test_a_folder_that_was_made_meanwhile_is_not_replaced(charlm, monkeypatch):
    """A name given with --out that someone was quicker to take is an error, and nothing of ours is left."""
    someone_quicker(monkeypatch, Path("mine"))
    is_error(charlm("train", "t.txt", *SHORT, "--out", "mine", "--quiet"), 1, "--out mine", "just now")
    assert contents(Path("mine")) == {"run.json": b"theirs"}
    assert sorted(path.name for path in Path().iterdir()) == ["mine", "t.txt"]


def test_an_empty_folder_is_filled(charlm, tmp_path):
    """--out may name a folder that is there and empty."""
    Path("mine").mkdir()
    assert charlm("train", "t.txt", *SHORT, "--out", "mine").status == 0


def test_a_run_that_is_trained_is_not_overwritten(charlm):
    """--overwrite waits for no one and takes nothing from a trainer at work."""
    assert charlm("train", "t.txt", *SHORT, "--out", "mine").status == 0
    before = contents(Path("mine"))
    with folder_lock(Path("mine")):
        is_error(charlm("train", "t.txt", *SHORT, "--out", "mine", "--overwrite", "--quiet"), 1, "another process")
    assert contents(Path("mine")) == before
    assert sorted(path.name for path in Path().iterdir()) == ["mine", "t.txt"]


def test_what_was_left_half_made_is_swept(charlm):
    """The next run of the name removes what a killed process left, and not what one at work is making."""
    for name in (".t.01234567.making", ".t.89abcdef.making", ".u.01234567.making", ".t.my.making-of"):
        folder = Path("checkpoints", name)
        folder.mkdir(parents=True)
        (folder / "corpus.bin").write_bytes(b"half")
    with folder_lock(Path("checkpoints/.t.89abcdef.making")):
        assert charlm("train", "t.txt", *SHORT).status == 0
    assert sorted(path.name for path in Path("checkpoints").iterdir()) == [
        ".t.89abcdef.making",
        ".t.my.making-of",
        ".u.01234567.making",
        "t",
    ]


def test_a_run_that_was_to_be_overwritten_is_put_back(charlm):
    """A process that is killed between two renames, or whose second one fails, costs no run: it comes back by its name."""
    assert charlm("train", "t.txt", *SHORT, "--out", "mine").status == 0
    before = contents(Path("mine"))
    Path("mine").rename(".mine.01234567.making.old")
    is_error(charlm("train", "t.txt", *SHORT, "--out", "mine", "--quiet"), 1, "--out mine", "just now")
    assert contents(Path("mine")) == before


def test_overwriting_that_fails_leaves_the_run_as_it_was(charlm, monkeypatch):
    """When the new folder cannot take its name, the old one has it back."""
    assert charlm("train", "t.txt", *SHORT, "--out", "mine").status == 0
    before, real = contents(Path("mine")), Path.rename

    def rename(self, target):
        if self.name.endswith(".making"):
            raise OSError(errno.EIO, "Input/output error", str(self))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    is_error(charlm("train", "t.txt", *SHORT, "--out", "mine", "--overwrite", "--quiet"), 1, "Input/output error")
    assert contents(Path("mine")) == before
    assert sorted(path.name for path in Path().iterdir()) == ["mine", "t.txt"]


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(charlm, monkeypatch):
    """Two that start at once under one name are never in each other's way."""
    real, swept = make.folder_lock, []

    def lock(folder):
        if not swept:
            swept.append(folder)
            folder.rmdir()
        return real(folder)

    monkeypatch.setattr(make, "folder_lock", lock)
    assert charlm("train", "t.txt", *SHORT).status == 0
    assert swept


@pytest.mark.parametrize("kind", ["link", "dot", "link to a run"])
def test_a_run_may_be_named_by_a_link_or_by_dots(charlm, tmp_path, kind):
    """--out is where the name leads to, and the name stays."""
    Path("real").mkdir()
    if kind == "dot":
        with contextlib.chdir("real"):
            assert charlm("train", "../t.txt", *SHORT, "--out", ".").status == 0
    else:
        Path("link").symlink_to("real")
        for options in [()] if kind == "link" else [(), ("--overwrite",)]:
            assert charlm("train", "t.txt", *SHORT, "--out", "link", *options).status == 0
        assert Path("link").is_symlink()
    assert Path("real/model.safetensors").exists()
    assert not list(Path().glob(".*"))


def test_a_place_where_a_disk_is_mounted_is_refused_with_a_way_out(charlm, monkeypatch):
    """A run cannot take the place of a mount point, and says where it could be."""
    Path("mine").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda self: self.name == "mine")
    is_error(charlm("train", "t.txt", *SHORT, "--out", "mine", "--quiet"), 1, "mounted", "mine/run")


def test_a_text_with_the_longest_name_there_is_makes_a_run(charlm):
    """A name that leaves no room for what is added to it is cut, between characters."""
    path = Path("가" * 83 + ".txt")
    path.write_text(TEXT)
    for _ in range(2):
        assert charlm("train", str(path), *SHORT, "--quiet").status == 0
    assert charlm("train", "t.txt", *SHORT, "--quiet", "--out", "가" * 85).status == 0
    assert len(list(Path("checkpoints").iterdir())) == 2


def test_a_disk_that_is_full_while_the_run_is_made_leaves_nothing(charlm, monkeypatch):
    """One line of error, and no folder."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "corpus.bin")

    monkeypatch.setattr(os, "fsync", full)
    is_error(charlm("train", "t.txt", *SHORT, "--quiet"), 1, "No space left on device")
    assert [path.name for path in Path().iterdir()] == ["t.txt"]


def test_the_run_started_last_is_found_though_the_clock_was_set_back(charlm, monkeypatch):
    """Runs are counted, not dated."""
    for number in (1, 2, 3):
        assert charlm("train", "t.txt", *SHORT, "--quiet").status == 0
        path = Path("checkpoints", "t" if number == 1 else f"t-{number}", "run.json")
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"started": f"20{30 - number}-01-01T00:00:00+00:00"}))
        assert number_of(path.parent) == number
    assert find_model(None) == Path("checkpoints/t-3/model.safetensors")


def test_sizes_that_need_more_memory_than_there_is_are_refused(charlm):
    """The estimate and what is free are said before anything is allocated, and no run is made."""
    sizes = ("--hidden-size", "65536", "--num-layers", "64")
    result = charlm("train", "t.txt", *last_of_each(*SHORT, *sizes), "--quiet")
    is_error(result, 2, "64 x 65536", "GB", "are free", "--hidden-size")
    assert [path.name for path in Path().iterdir()] == ["t.txt"]


def test_a_run_that_needs_more_memory_than_there_is_now_is_refused(charlm, monkeypatch):
    """A run that was made on a larger machine says what it would need."""
    assert charlm("train", "t.txt", *SHORT).status == 0
    before = contents(Path("checkpoints/t"))
    monkeypatch.setattr("charlm.model.devices.free_memory", lambda _device: 1000.0)
    is_error(charlm("train", "--resume", "t", "--max-steps", "9", "--quiet"), 2, "0.0 GB are free")
    assert contents(Path("checkpoints/t")) == before


def test_a_run_that_fills_the_memory_is_first_of_all_being_trained(charlm, monkeypatch):
    """Who starts it twice is told that, and not to end other programs."""
    assert charlm("train", "t.txt", *SHORT).status == 0
    monkeypatch.setattr("charlm.model.devices.free_memory", lambda _device: 1000.0)
    with folder_lock(Path("checkpoints/t")):
        is_error(charlm("train", "--resume", "t"), 1, "is being trained by another process")


WAITING = """
import sys, time
from charlm.cli.app import main
from charlm.text import corpus
real = corpus.Vocab.from_counts
def slow(*arguments):
    print("reading", flush=True)
    time.sleep(60)
corpus.Vocab.from_counts = slow
main(sys.argv[1:])
"""


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_while_the_run_is_made_leaves_nothing(tmp_path, name):
    """Whatever ends the reading of a text, half a run is not left behind, and one line says what happened."""
    number = getattr(signal, name)
    command = [sys.executable, "-c", WAITING, "train", "t.txt"]
    with running(*command) as process:
        assert process.stdout.readline() == "reading\n"
        process.send_signal(number)
        said = process.stderr.read()
    assert process.returncode == 128 + number
    assert said.count("\n") == 1
    assert said.startswith("charlm: ")
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]


def test_a_lock_is_of_the_folder_that_is_there(tmp_path, monkeypatch):
    """A folder that is replaced while it is being locked is locked anew; its successor, if held, is refused."""
    folder, real, replaced = tmp_path / "run", os.open, []
    folder.mkdir()

    def open_then_replace(path, *arguments, **options):
        descriptor = real(path, *arguments, **options)
        if path == folder and not replaced:
            replaced.append(descriptor)
            folder.rename(tmp_path / "old")
            folder.mkdir()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_replace)
    with folder_lock(folder) as is_held:
        assert is_held
        assert replaced
        with pytest.raises(RunError), folder_lock(folder):
            pass


def test_limits_of_memory_are_seen():
    """A process that may not have more is told so before it asks."""
    script = (
        "import resource, torch; from pathlib import Path; from charlm.model.devices import free_memory\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "before = free_memory(torch.device('cpu'))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 10**8, resource.RLIM_INFINITY))\n"
        "print(before > 10**8, free_memory(torch.device('cpu')) < 1.01e8)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "True True\n", done.stderr


def test_memory_that_runs_short_is_one_line(tmp_path):
    """Under a limit too tight for the estimate to see, running out is an error like any other."""
    line = f"ulimit -v 1200000; exec {sys.executable} -m charlm train t.txt --hidden-size 2048 --num-layers 4 --quiet"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert "memory" in done.stderr


@pytest.mark.parametrize("name", ["notes.txt", "sub", ".hidden", "model.safetensors.bak"])
def test_overwriting_removes_nothing_that_is_not_charlms(charlm, name):
    """A folder that holds anything but a run's own files is left as it is, and what is in the way is named."""
    assert charlm("train", "t.txt", *SHORT, "--out", "mine").status == 0
    Path("mine", name).mkdir() if name == "sub" else Path("mine", name).write_text("precious")
    before = sorted(Path("mine").iterdir())
    is_error(charlm("train", "t.txt", *SHORT, "--out", "mine", "--overwrite", "--quiet"), 1, name, "not charlm's")
    assert sorted(Path("mine").iterdir()) == before


def test_a_run_that_is_in_the_way_is_named_as_a_shell_takes_it(charlm):
    """The command that is suggested can be pasted."""
    assert charlm("train", "t.txt", *SHORT, "--out", "my run").status == 0
    is_error(charlm("train", "t.txt", *SHORT, "--out", "my run", "--quiet"), 1, "charlm train --resume 'my run' goes on")


def test_a_device_that_never_ends_is_no_text(charlm):
    """What would fill the disk, or the memory, is refused by its name."""
    is_error(charlm("train", "/dev/zero", "--quiet"), 1, "/dev/zero is a device")
    is_error(charlm("sample", "--prompt-file", "/dev/zero"), 1, "/dev/zero is a device")
    is_error(charlm("train", "/dev/null", "--quiet"), 1, "is empty")


def test_a_text_that_changes_between_its_two_readings_is_refused(charlm, monkeypatch):
    """Also when it is made of the same characters."""
    real = data.encode_corpus

    def encode(files, config, path, tell):
        counted = corpus_module._check_counts
        monkeypatch.setattr(corpus_module, "_check_counts", lambda *a: (counted(*a), Path("t.txt").write_text(TEXT[::-1])))
        return real(files, config, path, tell)

    monkeypatch.setattr(data, "encode_corpus", encode)
    is_error(charlm("train", "t.txt", *SHORT, "--quiet"), 1, "changed while it was being read")


def test_standard_input_is_called_so(charlm):
    """No path of ours is named for what was piped in."""
    is_error(
        charlm("train", "-", *SHORT, "--quiet", stdin=b"\x1f\x8b\x08" + b"a" * 99), 1, "standard input is in gzip", "FILE |"
    )
    is_error(charlm("train", "-", *SHORT, "--quiet", stdin=b""), 1, "standard input is empty")
    is_error(charlm("train", "-", *SHORT, "--quiet", stdin=b"ab\xff"), 1, "standard input is not utf-8")
