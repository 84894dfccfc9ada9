"""The real catalogue that is measured, and texts of those who search it."""

import csv
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from longtail.server.write.encoding import text_to_encode
from numpy.typing import NDArray

from bench.figures import NotRun
from bench.texts import SEED

FILE = Path("packages") / "items.csv.gz"
_QUERY_WORDS = 3


@dataclass(frozen=True)
class Catalogue:
    """Items in the order of their file, and the hash of what the encoder makes of them."""

    ids: Sequence[str]
    texts: Sequence[str]
    priors: Sequence[float]

    @property
    def to_encode(self) -> list[str]:
        """What stands for each item, as the server would have it encoded."""
        return [text_to_encode("", text) for text in self.texts]

    def sample(self, count: int) -> tuple["Catalogue", NDArray[np.int64]]:
        """Return `count` random items in the order of the file, and where they stood, (count,)."""
        rows = np.sort(np.random.default_rng(SEED).permutation(len(self.ids))[:count])
        picked = rows.tolist()
        return (
            Catalogue(
                [self.ids[row] for row in picked],
                [self.texts[row] for row in picked],
                [self.priors[row] for row in picked],
            ),
            rows,
        )


def read(data: Path) -> Catalogue:
    """Read the development data; raise NotRun when it is not there."""
    try:
        with gzip.open(data / FILE, "rt", encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if (row["text"] or "").strip()]
        return Catalogue(
            [row["item_id"] for row in rows],
            [row["text"] for row in rows],
            [float(row["monthly_downloads"]) for row in rows],
        )
    except (OSError, KeyError) as error:
        raise NotRun(f"the data is not in {data}: {error}") from error


def write_part(data: Path, start: int, count: int, target: Path) -> None:
    """Write `count` rows of the data from `start` on, below its header, as a file to import."""
    with (
        gzip.open(data / FILE, "rt", encoding="utf-8", newline="") as file,
        target.open("w", encoding="utf-8", newline="") as part,
    ):
        reader, writer = csv.reader(file), csv.writer(part)
        writer.writerow(next(reader))
        writer.writerows(islice(reader, start, start + count))


def digest(texts: Sequence[str]) -> str:
    """Return what tells these texts from any others, in short."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def queries(catalogue: Catalogue, count: int) -> list[str]:
    """Return what somebody may type who looks for one of `count` random items: a few words of it.

    The words come one after the other in the text.
    """
    random = np.random.default_rng(SEED + 1)
    found: list[str] = []
    for row in random.permutation(len(catalogue.texts)).tolist():
        words = catalogue.texts[row].split()
        if len(words) > _QUERY_WORDS:
            start = int(random.integers(len(words) - _QUERY_WORDS))
            found.append(" ".join(words[start : start + _QUERY_WORDS]))
            if len(found) == count:
                break
    return found
