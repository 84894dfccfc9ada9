"""The words of a generation's rows on disk, beside its graph: a start does not read them again.

A generation whose words are of another format is of use without them: they are read from the items.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.server.catalogue.array_file import read_arrays, write_arrays
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.words.segment import Segment

# Grows with every change of what the words of a text are, or of how they are kept.
FORMAT = 2
FILE = "words.arrays"


@dataclass(frozen=True)
class KeptWords:
    """The postings of the first rows of an index, and how many words each of them has, (n,)."""

    segment: Segment
    lengths: GrowingArray[np.float32]


def write_words(folder: Path, words: KeptWords) -> None:
    """Write words into the folder of a generation; raise OSError without room."""
    segment = words.segment
    arrays = {
        "format": np.array([FORMAT]),
        "keys": segment.keys,
        "starts": segment.starts,
        "rows": segment.rows,
        "counts": segment.counts,
        "lengths": words.lengths.values,
    }
    write_arrays(folder / FILE, ((name, [array]) for name, array in arrays.items()))


def read_words(folder: Path) -> KeptWords | None:
    """Map the words of a generation that is what was written; None where they are of no use."""
    if not (folder / FILE).exists():
        return None
    found = read_arrays(folder / FILE)
    if found["format"].values.tolist() != [FORMAT]:
        return None
    keys, starts = found["keys"].values, found["starts"].values
    segment = Segment(keys, starts, found["rows"].values, found["counts"].values)
    return KeptWords(segment, found["lengths"])
