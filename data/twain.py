"""Make twain.txt, a text of another author than Austen: python data/twain.py golang-github-klauspost-compress-dev_*.deb

The package: apt-get download golang-github-klauspost-compress-dev=1.15.12+ds1-3 (Debian 12; it tries compression on a novel)

Mark Twain, The Adventures of Tom Sawyer (1876), of Project Gutenberg's edition: CHAPTERS whole chapters from the first on, with
line ends as they are. What the edition says about itself, the title and the preface stand before them and are left out.
"""

import re

from packages import from_deb, make

SHA256 = "b52ace76ce9276993aceb0a9ed7103ca16df1c4057b8fc1de3bf293476f64752"
NOVEL = "./usr/share/gocode/src/github.com/klauspost/compress/testdata/Mark.Twain-Tom.Sawyer.txt"
CHAPTERS = 6  # what fits
HEADING = re.compile(r"^(?:CHAPTER [IVXLC]+|CONCLUSION)$", re.MULTILINE)


def texts(package: bytes, everything: bool) -> dict[str, str]:
    """twain.txt: running text."""
    novel = from_deb(package, NOVEL).decode("utf-8")
    starts = [heading.start() for heading in HEADING.finditer(novel)]
    end = novel.index("End of the Project Gutenberg") if everything else starts[CHAPTERS]
    return {"twain.txt": novel[starts[0] : end].rstrip() + "\n"}


if __name__ == "__main__":
    make(__doc__ or "", SHA256, "golang-github-klauspost-compress-dev_1.15.12+ds1-3_all.deb", texts)
