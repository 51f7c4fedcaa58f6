"""Make films.tsv, what critics say about films, in two classes: python data/films.py vadersentiment-3.3.2.tar.gz

The package: pip download --no-deps --no-binary :all: vaderSentiment==3.3.2

A snippet has the mean of about 20 people's ratings, from -4 to 4: above 0 it is `positive`, below 0 `negative`. The middle
fifth is left out: of all 10,605 distances from 0, sorted, the one at place 2,121 (from 0) is the limit, 1.190476, and a snippet
stays that lies further out. A text that occurs again stays once. NUMBER of these are chosen by the hashes of their numbers.
"""

import html
import unicodedata

from packages import chosen, from_tar, lines, make

SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
RATED = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
MIDDLE = 5  # one part in so many is left out
NUMBER = 6_000  # what fits


def texts(package: bytes, everything: bool) -> dict[str, str]:
    """films.tsv: text, label."""
    rated = [line.split("\t") for line in from_tar(from_tar(package, INNER), RATED).decode("utf-8").splitlines()]
    limit = sorted(abs(float(rating)) for _, rating, _ in rated)[len(rated) // MIDDLE]
    rows: dict[str, tuple[str, str]] = {}
    for number, rating, snippet in rated:
        text = " ".join(unicodedata.normalize("NFC", html.unescape(snippet)).split())
        if abs(float(rating)) > limit:
            rows.setdefault(text, (number, "positive" if float(rating) > 0 else "negative"))
    stay = chosen((number for number, _ in rows.values()), len(rows) if everything else NUMBER)
    return {"films.tsv": lines((text, label) for text, (number, label) in rows.items() if number in stay)}


if __name__ == "__main__":
    make(__doc__ or "", SHA256, "vaderSentiment-3.3.2.tar.gz", texts)
