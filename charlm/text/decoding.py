"""The bytes of a file -> its characters, in chunks; what is wrong with them, and what to try. Knows nothing of vocabularies."""

import codecs
import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader

import numpy as np

from charlm.config import CorpusConfig
from charlm.errors import TextError, UsageError, brief, counted
from charlm.text.guessing import guess, is_utf8, is_wide
from charlm.text.normalising import Normaliser
from charlm.text.vocab import CodePoints, code_points

CHUNK_BYTES = 1 << 20
SURROGATES = slice(0xD800, 0xE000)
C1 = slice(0x80, 0xA0)  # control characters that no text has, though some encodings do
NOT_OF_FILES = {"idna", "punycode", "undefined"}  # names of hosts; the first two take time in proportion to a square

# Compressed files, by their first bytes, and what unpacks them to standard output.
PACKED = {
    b"\x1f\x8b": ("gzip", "zcat"),
    b"PK\x03\x04": ("zip", "unzip -p"),
    **{b"BZh%d1AY&SY" % level: ("bzip2", "bzcat") for level in range(1, 10)},
    b"\xfd7zXZ\x00": ("xz", "xzcat"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstdcat"),
}
# UTF-32 first, because its little-endian mark begins with that of UTF-16.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BEGINNINGS = (*PACKED, *(mark for mark, _ in BYTE_ORDER_MARKS), codecs.BOM_UTF8)  # that say what a file is


def characters(
    file: BufferedReader,
    called: str,
    config: CorpusConfig,
    digest: "hashlib._Hash | None",
    notices: list[str] | None,
    advice: str,
) -> Iterator[CodePoints]:
    """The code points of an opened file, as they come, in the normal form that `config` asks for.

    The errors and `notices` name the file as it is `called`; `advice` is what they say of one that is no text. Feeds every
    byte to `digest`. Raises `TextError` and `UsageError`.
    """
    decoder = _decoder(config.encoding)
    reading = Reading(called, config.encoding, advice)
    normal = Normaliser(config.normalize, called) if config.normalize else None
    raw = _first_bytes(file)
    if digest is not None:
        digest.update(raw)
    _refuse_packed(raw, called)
    if reading.codec == "utf-8":
        chunk = _without_mark(raw, called, notices)
        reading.offset = len(raw) - len(chunk)
        _refuse_wide(chunk, called)
    else:
        chunk = raw
    while True:
        try:
            text = decoder.decode(chunk, final=not raw)
        except UnicodeDecodeError as error:
            raise reading.refused(error, chunk, file) from error
        except UnicodeError as error:
            raise TextError(f"{called} is not {config.encoding}: {error}", "try another --encoding") from error
        points = code_points(text)
        reading.passed(chunk, points)
        yield code_points(normal.feed(text, final=not raw)) if normal else points
        if not raw:
            break
        chunk = raw = file.read1(CHUNK_BYTES)
        if digest is not None:
            digest.update(raw)
    if notices is not None:
        notices.extend(reading.notices())


@dataclass(slots=True)
class Reading:
    """How far a file is read, what messages call it, and what is strange about it.

    `last` are the bytes that came last, and `doubtful` the first that may be in another encoding, of the line `doubtful_line`.
    """

    name: str
    encoding: str
    advice: str  # for what is no text
    offset: int = 0
    line: int = 1
    last: bytes = b""
    doubtful: bytes = b""
    doubtful_line: int = 0
    zeros: int = 0
    controls: int = 0

    @property
    def codec(self) -> str:
        """The encoding's own name, whatever it is called."""
        return codecs.lookup(self.encoding).name

    def passed(self, raw: bytes, points: CodePoints) -> None:
        """Note that these bytes are read, and what is strange. Raises `TextError` for what is no character."""
        is_strict = self.codec == "utf-8"
        if not is_strict and _between(points, SURROGATES):
            raise TextError(f"{self.name} holds lone surrogates, which are not characters", self.advice)
        controls = 0 if is_strict and raw.isascii() else _between(points, C1)
        self.zeros += points.size - int(np.count_nonzero(points))
        self.controls += controls
        if not self.doubtful and (controls or (not self.codec.startswith("utf") and is_utf8(raw))):
            self.doubtful, self.doubtful_line = raw, self.line
        self.offset += len(raw)
        self.line += raw.count(b"\n")
        self.last = raw or self.last

    def refused(self, error: UnicodeDecodeError, chunk: bytes, file: BufferedReader) -> TextError:
        """What to say of bytes that cannot be decoded, the last in `chunk`, and which encoding is probably right."""
        place = self.offset + len(chunk) - len(error.object) + error.start
        line = self.line + error.object[: error.start].count(b"\n")
        what = f"{self.name} is not {self.encoding}: byte 0x{error.object[error.start]:02X} at offset {place}, line {line}"
        raw = self.last + chunk
        more = file.read1(CHUNK_BYTES) if file.seekable() else b""  # more of a pipe may never come
        found = guess(raw + more, max(0, len(raw) - len(error.object) + error.start))
        if found is None:
            return TextError(f"{what}, and it is no text in any other encoding that is known here", self.advice)
        if codecs.lookup(found[0]).name == self.codec:
            return TextError(what, f"all else near it is {self.encoding}: mend that place")
        return TextError(what, _reads(*found, line))

    def notices(self) -> Iterator[str]:
        """What people should know of the text, once it is read."""
        if self.zeros:
            yield f"{self.name} has {counted(self.zeros, 'NUL character')}, which are kept: is it text? {self.advice}"
        if not self.doubtful:
            return
        first = next((place for place, byte in enumerate(self.doubtful) if byte >= C1.start), 0)
        found = guess(self.doubtful, first)
        line = self.doubtful_line + self.doubtful[:first].count(b"\n")
        better = "" if found is None or codecs.lookup(found[0]).name == self.codec else f": {_reads(*found, line)}"
        if self.controls:
            what = f"{counted(self.controls, 'control character')} from U+0080 to U+009F, which no text has"
            yield f"{self.name} has {what}{better}"
        elif better and found:
            yield f"{self.name} is read as {self.encoding}, and could be {found[0]}{better}"


def _between(points: CodePoints, bounds: slice) -> int:
    """How many of the code points are in a range: those below it wrap round to numbers above it."""
    return int(np.count_nonzero(points - np.uint32(bounds.start) < bounds.stop - bounds.start))


def _reads(encoding: str, words: str, line: int) -> str:
    return f"try --encoding {encoding}, in which line {line:,} reads “{words}”"


def _first_bytes(file: BufferedReader) -> bytes:
    """What has come of a file, and at least as much as tells what kind of file it is."""
    raw = file.read1(CHUNK_BYTES)
    while raw and any(beginning.startswith(raw) for beginning in BEGINNINGS) and (more := file.read1(CHUNK_BYTES)):
        raw += more
    return raw


def _refuse_packed(raw: bytes, name: str) -> None:
    """Raise `TextError` for a compressed file: only its owner knows how large it may become when unpacked."""
    for magic, (kind, unpack) in PACKED.items():
        if raw.startswith(magic):
            file = "FILE" if name == "standard input" else shlex.quote(name)
            raise TextError(f"{name} is in {kind} format", f"unpack it on the way, as in: {unpack} {file} | charlm COMMAND -")


def _refuse_wide(raw: bytes, name: str) -> None:
    """Raise `TextError` for text in an encoding whose bytes may be UTF-8, as those of UTF-16 without a mark."""
    if is_wide(raw) and (found := guess(raw)) is not None and found[0] != "utf-8":
        raise TextError(f"{name} is not utf-8, but seems to be {found[0]}", _reads(*found, 1))


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    """Raises `UsageError`; the name may come from a stranger's model."""
    try:
        "".encode(encoding)  # unlike the look-up, this refuses codecs that are not for text
        if codecs.lookup(encoding).name in NOT_OF_FILES:
            raise LookupError(encoding)
        return codecs.getincrementaldecoder(encoding)("strict")
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(f"--encoding {brief(encoding)} is not known", "try utf-8, latin-1, utf-16 or cp1252") from error


def _without_mark(raw: bytes, name: str, notices: list[str] | None) -> bytes:
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            raise TextError(f"{name} begins with the byte order mark of {encoding.upper()}", f"try --encoding {encoding}")
    if raw.startswith(codecs.BOM_UTF8):
        if notices is not None:
            notices.append(f"{name} begins with a UTF-8 byte order mark, which was left out")
        return raw[len(codecs.BOM_UTF8) :]
    return raw
