"""Make turkish.conllu and turkish-test.conllu: python data/turkish.py turkish_treebanks-1.0.0-py3-none-any.whl

The package: pip download --no-deps turkish-treebanks==1.0.0

Parts of speech: the web part of the Turkish Web Treebank. Of the ten columns ID, FORM, UPOS and SpaceAfter are kept; the others
are `_`. A word there is an inflectional group, so that one written word may be several with SpaceAfter=No between them. The
split is the treebank's own, by the place of a sentence in its file: every tenth is of the test, and the rest (its training and
development parts) is in the other file. NUMBER sentences are chosen by the hashes of their names.
"""

from packages import chosen, from_zip, lines, make

SHA256 = "5a009c29a8e96e8f7e25059d59ac293c3baead6d746bf0fa4c9d3349b1e37ba0"
SECTION = "data/web.conllu"
NAME = "# sent_id = "
PARTS, TEST = 10, 9  # sentence i is of the test where i % PARTS is TEST: turkish_treebanks/read.py
NUMBER = 920  # what fits
KEPT = (0, 1, 3)  # ID, FORM, UPOS


def texts(package: bytes, everything: bool) -> dict[str, str]:
    """turkish.conllu: learned; turkish-test.conllu: held out."""
    sentences = from_zip(package, SECTION).decode("utf-8").strip().split("\n\n")
    names = [sentence.split("\n", 1)[0].removeprefix(NAME) for sentence in sentences]
    stay = chosen(names, len(names) if everything else NUMBER)
    parts: dict[str, list[str]] = {"turkish.conllu": [], "turkish-test.conllu": []}
    for place, (name, sentence) in enumerate(zip(names, sentences, strict=True)):
        if name in stay:
            file = "turkish-test.conllu" if place % PARTS == TEST else "turkish.conllu"
            parts[file].append(f"{NAME}{name}\n{words(sentence)}\n")
    return {file: "".join(part) for file, part in parts.items()}


def words(sentence: str) -> str:
    """The lines of a sentence's words, with what is not needed as `_`."""
    rows = [line.split("\t") for line in sentence.split("\n") if not line.startswith("#")]
    return lines([*(field if at in KEPT else "_" for at, field in enumerate(row[:9])), spacing(row[9])] for row in rows)


def spacing(miscellany: str) -> str:
    """Whether a blank follows, of all that the last column says."""
    return "SpaceAfter=No" if "SpaceAfter=No" in miscellany.split("|") else "_"


if __name__ == "__main__":
    make(__doc__ or "", SHA256, "turkish_treebanks-1.0.0-py3-none-any.whl", texts)
