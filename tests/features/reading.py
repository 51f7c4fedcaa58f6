"""Ways to hold what is decided from a text: its language, its parts, and what its quotation marks do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from charlm.features import code, markup, parts, plain, prose, quotes

MODULES = (parts, code, quotes, markup, prose, plain)
LISTED = parts.parts


def forget() -> None:
    """Decide anew."""
    LISTED.cache_clear()
    code.marked.cache_clear()
    quotes.quoted.cache_clear()


@contextmanager
def read_as(language: str) -> Iterator[None]:
    """Any text, and any code in it that names no language, is in one language."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "language_of", lambda _text, **_: language)
        forget()
        yield
    forget()


@contextmanager
def decided_from(text: str) -> Iterator[None]:
    """Every beginning of a text is read as the whole text is: in its parts, and with its marks opening and closing."""
    whole, main, does = parts.parts(text), parts.main_language(text), quotes.roles(code.remarks(text))
    decided = {
        "parts": lambda read: tuple(
            replace(part, stop=min(part.stop, len(read))) for part in whole if part.start < max(1, len(read))
        ),
        "main_language": lambda _read: main,
        "roles": lambda read: does[: len(read)],
    }
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            for name, decision in decided.items():
                if hasattr(module, name):
                    patch.setattr(module, name, decision)
        forget()
        yield
    forget()
