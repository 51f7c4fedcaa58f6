"""What the scripts beside it share: a package whose bytes are those that were looked at, a choice by hash, a file written."""

import argparse
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).parent


def make(script: str, sha256: str, name: str, texts: Callable[[bytes, bool], dict[str, str]]) -> None:
    """Read the package that the command line names, check it, and write the files that `texts` makes of it beside the script.

    `texts(package, everything)` gives a text by each file's name. With --all it is to leave nothing out for size, and the files
    go into the folder that is named.
    """
    parser = argparse.ArgumentParser(description=script, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help=f"{name}, as it was downloaded")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="write all there is into FOLDER, not what fits into data/")
    options = parser.parse_args()
    package = options.package.read_bytes()
    found = hashlib.sha256(package).hexdigest()
    if found != sha256:
        parser.error(f"{options.package} is not {name}: its SHA-256 is {found}, not {sha256}")
    for file, text in texts(package, options.all is not None).items():
        target = (options.all or HERE) / file
        content = text.encode("utf-8")
        target.write_bytes(content)
        print(f"{hashlib.sha256(content).hexdigest()}  {target}  {len(content):,} bytes")


def from_tar(package: bytes, member: str) -> bytes:
    """The bytes of one file of a .tar, .tar.gz or .tar.xz."""
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        file = archive.extractfile(member)
        if file is None:
            raise SystemExit(f"{member} is no file")
        return file.read()


def from_zip(package: bytes, member: str) -> bytes:
    """The bytes of one file of a wheel."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return archive.read(member)


def from_deb(package: bytes, member: str) -> bytes:
    """The bytes of one file of a Debian package: an `ar` archive of which data.tar.xz is the last part."""
    at = 8  # after the line "!<arch>"
    while at < len(package):
        head, at = package[at : at + 60], at + 60  # name (16), time, owner, group, mode, size (10), end (2)
        size = int(head[48:58])
        if head.startswith(b"data.tar"):
            return from_tar(package[at : at + size], member)
        at += size + size % 2
    raise SystemExit("a Debian package without data.tar")


def chosen(names: Iterable[str], number: int) -> set[str]:
    """The `number` names whose SHA-256 is lowest: a choice that looks at nothing but the names."""
    return set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:number])


def lines(rows: Iterable[Sequence[str]]) -> str:
    """Rows of fields, with a tab between two fields and a line end after each row."""
    return "".join("\t".join(row) + "\n" for row in rows)
