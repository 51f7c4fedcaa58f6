"""Files are replaced whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.reliability.faults import Watch
from benchmarks.reliability.power import Disk
from charlm.errors import RunError
from charlm.files import folder_lock, write_atomically


def failing(*_arguments: object, **_options: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_is_replaced_whole(tmp_path: Path):
    """The new bytes are there, and nothing else is."""
    path = tmp_path / "f"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("what", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open"])
def test_when_writing_fails_the_old_file_stays(tmp_path: Path, monkeypatch, what):
    """An error while writing, flushing or renaming leaves the old bytes, and no temporary file."""
    path = tmp_path / "f"
    write_atomically(path, b"old")
    monkeypatch.setattr(what, failing)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot flush a folder")
def test_contents_are_flushed_before_the_rename_and_the_folder_after(tmp_path: Path, monkeypatch):
    """What a loss of power may tear is on the disk before it has the name, and the name is there before we go on."""
    seen, fsync, replace = [], os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def spy_replace(self: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    write_atomically(tmp_path / "f", b"new")
    assert seen == ["file", "rename", "folder"]


@pytest.mark.parametrize("number", [22, 95])
def test_a_folder_that_has_no_flush_is_no_error(tmp_path: Path, monkeypatch, number):
    """Some file systems have no flush for folders, and say so."""
    refuse_to_flush_folders(monkeypatch, number)
    write_atomically(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"


@pytest.mark.parametrize("number", [5, 28])
def test_a_folder_that_was_not_flushed_is_an_error(tmp_path: Path, monkeypatch, number):
    """Whatever else a flush says is told, with the new file in its place."""
    refuse_to_flush_folders(monkeypatch, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        write_atomically(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"


def refuse_to_flush_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From here on each flush of a folder fails with the error of that number; files are flushed."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_permissions_follow_the_umask(tmp_path: Path):
    """A model can be shared like any other file."""
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "f", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def test_a_folder_is_held_by_one_process(tmp_path: Path):
    """Another process is refused while it is held, and let in afterwards."""
    ask = "import sys, pathlib\nfrom charlm.files import folder_lock\nwith folder_lock(pathlib.Path(sys.argv[1])): pass"
    command = [sys.executable, "-c", ask, str(tmp_path)]
    with folder_lock(tmp_path):
        refused = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
        assert "another process" in refused.stderr
        with pytest.raises(RunError), folder_lock(tmp_path):
            pass
    assert subprocess.run(command, cwd=Path(__file__).parent.parent, check=False).returncode == 0


def test_an_interruption_leaves_no_temporary_file(tmp_path: Path, monkeypatch):
    """Ctrl-C in the middle of a write is passed on, with the old bytes in place and nothing beside them."""
    path = tmp_path / "f"
    write_atomically(path, b"old")

    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_write_that_stops_half_way_leaves_the_old_file(tmp_path: Path):
    """A disk that takes the first part of a file only: an error, the old bytes, and nothing beside them."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "f"
    write_atomically(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_atomically(path, b"new" * (1 << 16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_frees_the_folder(tmp_path: Path):
    """However the holder leaves, the next one is let in."""
    with pytest.raises(ZeroDivisionError), folder_lock(tmp_path):
        raise ZeroDivisionError
    with folder_lock(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot flush a folder")
def test_no_loss_of_power_loses_a_file(tmp_path: Path):
    """Whatever was not flushed may be missing or torn: after any operation a file is whole, and no older than it must be."""
    path, kept, operations, finished = tmp_path / "f", tmp_path / "g", [], []
    versions = [bytes([number]) * (1000 + number) for number in range(1, 5)]
    with Watch(tmp_path, lambda _number, op: operations.append(op)).watching():
        for contents in versions:
            write_atomically(path, contents, keep=kept)
            finished.append(len(operations))
    disk = Disk()
    for number, op in enumerate(operations, 1):
        disk.do(op)
        surely = sum(end <= number for end in finished)
        for state in disk.states():
            found = [versions.index(contents) + 1 for contents in state.values()]  # a ValueError for one that is torn
            assert max(found, default=0) >= surely
    assert finished[-1] == len(operations) > 4 * len(versions)
