"""The texts that are embedded, the catalogue that is searched, and what people type."""

import csv
import gzip
import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from longtail.server.write.encoding import text_to_encode
from numpy.typing import NDArray

from bench.figures import NotRun

PACKAGES, MOVIES = Path("packages", "items.csv.gz"), Path("movies", "items.csv")
ONE_LINES, PLOTS, MIXTURE = 2_000, 1_200, 2_000
SEED = 20_260_101
# What a text of the mixture is made of, and how often: about 20 tokens at the median, 70 at the
# 90th percentile, and the longest are cut at the 256 that the encoder reads.
_LONG, _PLOT, _PAIR = 0.01, 0.24, 0.32
_LONG_PLOTS = 4
_QUERY_WORDS = 3


@dataclass(frozen=True)
class Corpora:
    """Distinct texts, in a random order that is the same every time.

    `more_one_lines` are those of the one-liners that are not in `one_lines`, for what needs many.
    """

    one_lines: Sequence[str]
    plots: Sequence[str]
    mixture: Sequence[str]
    more_one_lines: Sequence[str]


@dataclass(frozen=True)
class Catalogue:
    """Items in the order of their file; `priors` are their monthly downloads."""

    ids: Sequence[str]
    texts: Sequence[str]
    priors: Sequence[float]

    @property
    def to_encode(self) -> list[str]:
        """What stands for each item, as the server would have it encoded."""
        return [text_to_encode("", text) for text in self.texts]

    def taken(self, rows: Sequence[int]) -> "Catalogue":
        """Return the items at `rows`."""
        parts = ([of[row] for row in rows] for of in (self.ids, self.texts, self.priors))
        return Catalogue(*parts)  # type: ignore[arg-type]  # one of each


def read(data: Path) -> Corpora:
    """Sample the corpora from the development data; raise NotRun when it is not there."""
    # Not for secrets: the order has to be repeatable.
    shuffled = random.Random(SEED)  # noqa: S311
    one_lines, plots = (_distinct(data / file, shuffled) for file in (PACKAGES, MOVIES))
    if len(one_lines) < ONE_LINES + 2 * MIXTURE or len(plots) < PLOTS:
        raise NotRun(f"{data} holds too few texts")
    return Corpora(
        one_lines=one_lines[:ONE_LINES],
        plots=plots[:PLOTS],
        # From the other end, so that no text is in two corpora.
        mixture=mix(one_lines[::-1], plots[::-1], MIXTURE, shuffled),
        more_one_lines=one_lines[ONE_LINES : len(one_lines) - 2 * MIXTURE],
    )


def mix(
    one_lines: Sequence[str], plots: Sequence[str], count: int, shuffled: random.Random
) -> list[str]:
    """Return `count` distinct texts whose lengths have a heavy tail."""
    lines, stories = iter(one_lines), iter(plots)
    texts = []
    for _ in range(count):
        draw = shuffled.random()
        if draw < _LONG:
            texts.append(" ".join(islice(stories, _LONG_PLOTS)))
        elif draw < _LONG + _PLOT:
            texts.append(next(stories))
        else:
            texts.append(" ".join(islice(lines, 2 if draw < _LONG + _PLOT + _PAIR else 1)))
    return texts


def zipf_ranks(
    distinct: int, exponent: float, count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `count` ranks from 0 to `distinct` - 1; the chance of a rank r is (r + 1)^-exponent."""
    chances = np.arange(1, distinct + 1, dtype=np.float64) ** -exponent
    return generator.choice(distinct, count, p=chances / chances.sum())


def catalogue(data: Path) -> Catalogue:
    """Read the packages of the development data; raise NotRun when it is not there."""
    rows = list(_rows(data / PACKAGES))
    return Catalogue(
        [row["item_id"] for row in rows],
        [row["text"] for row in rows],
        [float(row["monthly_downloads"]) for row in rows],
    )


def write_part(data: Path, start: int, count: int, target: Path) -> None:
    """Write `count` rows of the packages from `start` on as a file to import."""
    with target.open("w", encoding="utf-8", newline="") as part:
        writer = csv.DictWriter(part, ("item_id", "text", "monthly_downloads"))
        writer.writeheader()
        writer.writerows(islice(_rows(data / PACKAGES), start, start + count))


def digest(texts: Sequence[str]) -> str:
    """Return what tells these texts from any others, in short."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def queries(known: Catalogue, count: int) -> list[str]:
    """Return what somebody may type who looks for one of `count` random items.

    A few words of it, one after the other.
    """
    draw = np.random.default_rng(SEED + 1)
    found: list[str] = []
    for row in draw.permutation(len(known.texts)).tolist():
        words = known.texts[row].split()
        if len(words) > _QUERY_WORDS and len(found) < count:
            start = int(draw.integers(len(words) - _QUERY_WORDS))
            found.append(" ".join(words[start : start + _QUERY_WORDS]))
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            yield from (row for row in csv.DictReader(file) if (row["text"] or "").strip())
    except (OSError, KeyError) as error:
        raise NotRun(f"the data cannot be read: {error}") from error


def _distinct(path: Path, shuffled: random.Random) -> list[str]:
    distinct = list(dict.fromkeys(row["text"].strip() for row in _rows(path)))
    shuffled.shuffle(distinct)
    return distinct
