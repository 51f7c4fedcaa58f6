"""Arguments -> the files they name. Opens a file only to see whether it is text. Knows nothing of encodings or vocabularies."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError, brief, counted
from charlm.text.decoding import PACKED
from charlm.text.source import refuse_device

# What programs keep beside texts that people wrote. Hidden folders, such as .git and .venv, are left out by their dot.
KEPT_BY_PROGRAMS = frozenset({"node_modules", "__pycache__"})
LOOKED_AT = 8192  # bytes of a file, to see whether it is text
SHOWN = 3  # notices of one kind
MOST_GLOBS = 100
WIDE = ("utf-16", "utf_16", "utf16", "utf-32", "utf_32", "utf32")  # encodings whose texts are full of zeros


def find_files(arguments: Sequence[str], config: CorpusConfig, notices: list[str] | None = None) -> list[str]:
    """The files that CORPUS arguments name, in order, each once; a folder stands for the texts in it, sorted.

    "-" is standard input. Of a folder, files that match a pattern of `config.glob` are taken, but for hidden ones, what
    programs keep for themselves, and binary files; `notices` says how many. What is named itself is taken, whatever it is.
    Raises `TextError` for a missing file, an empty name, a device, or a folder without a text, and `UsageError` for a pattern
    that is none.
    """
    said = [] if notices is None else notices
    files: dict[object, str] = {}  # by what tells that two names are of one file
    again: list[str] = []
    for argument in arguments:
        if not argument:
            raise TextError("the name of a text is empty", "name a file or a folder, or - for standard input")
        path = Path(argument)
        if not (path.is_char_device() and path.samefile(os.devnull)):
            refuse_device(path, argument, "a file or a folder")
        if argument != "-" and not path.exists():
            raise TextError(f"there is no file {argument}", "check the path; - reads standard input")
        is_folder = argument != "-" and path.is_dir()
        for name in _texts_in(argument, config, said) if is_folder else [argument]:
            identity = _identity(name)
            if identity in files:
                first = files[identity]
                again.append(f"{name} is {'named twice' if first == name else f'the file {first}'}, and read once")
            files.setdefault(identity, name)
    said += again if len(again) <= SHOWN else [f"{again[0]}; so are {counted(len(again) - 1, 'other name')}"]
    return list(files.values())


def _identity(name: str) -> object:
    if name == "-":
        return name
    status = Path(name).stat()
    return (status.st_dev, status.st_ino)


def _texts_in(folder: str, config: CorpusConfig, notices: list[str]) -> list[str]:
    """The texts in a folder."""
    root, found = Path(folder), set[Path]()
    if len(config.globs) > MOST_GLOBS:
        raise UsageError(f"--glob was given {len(config.globs):,} times", f"give it {MOST_GLOBS} times at most")
    for pattern in config.globs:
        if "**" in pattern:  # several of them take time without bound
            raise UsageError(f"--glob {brief(pattern)} has **, and a folder is searched with all below it", "leave ** out")
        try:
            found.update(path for path in root.rglob(pattern) if not path.is_dir())
        except (ValueError, NotImplementedError) as error:
            raise UsageError(f"--glob {pattern!r} is not a pattern for names in a folder", "try one such as '*.py'") from error
    environments = {path.parent for path in root.rglob("pyvenv.cfg")}
    why = {path: _why_not(path, root, environments, config) for path in sorted(found)}
    left_out = Counter(reason for reason in why.values() if reason)
    which = ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()))
    if left_out:
        notices.append(f"{folder}: left out {which}; name a file itself to read it")
    texts = [str(path) for path, reason in why.items() if not reason]
    if not texts:
        patterns = " or ".join(map(repr, config.globs))
        but = f" but what is left out ({which})" if left_out else ""
        raise TextError(f"no file under {folder} matches {patterns}{but}", "name a pattern, such as --glob '*.py'")
    sizes = {_identity(text): Path(text).stat().st_size for text in texts}
    if len(sizes) > 1:
        notices.append(f"{folder}: {counted(len(sizes), 'file')}, {_in_words(sum(sizes.values()))}")
    return texts


def _why_not(path: Path, root: Path, environments: set[Path], config: CorpusConfig) -> str:
    """Why a file in a folder is no text of its user's, in a word or two; empty where it is one."""
    *folders, name = path.relative_to(root).parts
    if any(part.startswith(".") for part in (*folders, name)):
        return "hidden"
    if KEPT_BY_PROGRAMS.intersection(folders) or (environments - {root}).intersection(path.parents):
        return "of programs"
    if not path.is_file():
        return "that are no files"
    is_text = config.symbols == "byte" or config.encoding.lower().startswith(WIDE) or _looks_like_text(path)
    return "" if is_text else "binary"


def _looks_like_text(path: Path) -> bool:
    """Whether a file has no zero byte at its beginning and is not packed. One that cannot be read is left to its reader."""
    try:
        with path.open("rb") as file:
            beginning = file.read(LOOKED_AT)
    except OSError:
        return True
    return b"\0" not in beginning and not beginning.startswith(tuple(PACKED))


def _in_words(size: int) -> str:
    """A number of bytes as people read it: "900 bytes", "12 kB", "1.2 MB"."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.{0 if size >= 10 * unit else 1}f} {name}"
    return counted(size, "byte")
