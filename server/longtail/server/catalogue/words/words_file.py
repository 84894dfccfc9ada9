"""The words of a generation's rows on disk, beside its graph: a start does not read them again.

Like the generation it is disposable: without the file, or with one that is damaged or of another
format, the words are read from the items.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.server.catalogue.words.segment import Segment
from longtail.server.process.durable import flush
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Grows with every change of what the words of a text are, or of how they are kept.
FORMAT = 1
FILE = "words.npz"
_TYPES = {
    "format": np.int64,
    "keys": np.uint64,
    "starts": np.int64,
    "rows": np.int32,
    "counts": np.uint8,
    "lengths": np.float32,
}


@dataclass(frozen=True)
class KeptWords:
    """The postings of the first rows of an index, and how many words each of them has, (n,)."""

    segment: Segment
    lengths: NDArray[np.float32]


def write_words(folder: Path, words: KeptWords) -> None:
    """Write words into the folder of a generation; without room for them, say so in the log."""
    segment, file = words.segment, folder / FILE
    unfinished = file.with_suffix(".new")
    try:
        with unfinished.open("wb") as stream:
            np.savez(
                stream,
                format=np.int64(FORMAT),
                keys=segment.keys,
                starts=segment.starts,
                rows=segment.rows,
                counts=segment.counts,
                lengths=words.lengths,
            )
        flush(unfinished)
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        logger.warning("words not kept, a start will read them again reason=%s", error)


def read_words(folder: Path, rows: int) -> KeptWords | None:
    """Return the words of a generation of so many rows; None where they are of no use."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        # What is read is compared with its checksum, as everything in a zip file.
        with file.open("rb") as stream, np.load(stream) as content:
            found = {name: content[name] for name in _TYPES}
    except Exception as error:  # damage shows itself as any of a dozen kinds
        logger.warning("words not used reason=%s: %s", file, error)
        return None
    if not _fits(found, rows):
        logger.warning("words not used reason=%s holds something else", file)
        return None
    segment = Segment(found["keys"], found["starts"], found["rows"], found["counts"])
    return KeptWords(segment, found["lengths"])


def _fits(found: dict[str, NDArray[np.generic]], rows: int) -> bool:
    typed = all(found[name].dtype == kind for name, kind in _TYPES.items())
    return (
        typed
        and int(found["format"]) == FORMAT
        and found["lengths"].shape == (rows,)
        and found["starts"].shape == (len(found["keys"]) + 1,)
        and int(found["starts"][-1]) == len(found["rows"]) == len(found["counts"])
    )
