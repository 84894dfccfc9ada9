"""Postings of words, sorted once and never changed: which rows hold a word, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Rows = NDArray[np.int32]
Counts = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
# The number of a word, a row and how often it holds the word.
Packed = NDArray[np.uint64]
ROW_BITS, COUNT_BITS = 32, 8

# Of one word in one row; more of them say no more.
MOST_COUNTED = 255


@dataclass(frozen=True)
class Posted:
    """The rows that hold one word, ascending, and how often each does; both (n,)."""

    rows: Rows
    counts: Counts

    def where(self, kept: Mask | Ints) -> "Posted":
        """Return those that are `kept`, (n,) or their places."""
        return Posted(self.rows[kept], self.counts[kept])

    def among(self, rows: Rows) -> tuple[Ints, Ints]:
        """Return the places in `rows` (m,), in any order, of those that hold it, and their own."""
        at = self.rows.searchsorted(rows)
        there = (self.rows.take(at, mode="clip") == rows).nonzero()[0]
        return there, at[there]


@dataclass(frozen=True)
class Segment:
    """The postings of the words `keys` (t,), ascending; those of word i are `starts[i:i + 2]`.

    `rows` and `counts` (p,): five bytes a posting. `starts` (t + 1,).
    """

    keys: Keys
    starts: Ints
    rows: Rows
    counts: Counts

    @classmethod
    def of(cls, keys: Keys, rows: Rows, counts: Counts) -> "Segment":
        """Return the segment of postings (p,) in any order, no word twice of a row."""
        words, numbers = np.unique(keys, return_inverse=True)
        return _segment(words, _packed(numbers, rows, counts))

    def __len__(self) -> int:
        return len(self.rows)

    def posted(self, keys: Keys) -> list[Posted | None]:
        """Return the postings of each of `keys` (m,), None where no row holds the word."""
        at = self.keys.searchsorted(keys)
        there = self.keys.take(at, mode="clip") == keys if len(self.keys) else at < 0
        return [
            self._slice(self.starts[place], self.starts[place + 1]) if held else None
            for place, held in zip(at.tolist(), there.tolist(), strict=True)
        ]

    def _slice(self, start: int, stop: int) -> Posted:
        return Posted(self.rows[start:stop], self.counts[start:stop])


def merged(segments: Sequence[Segment], new_row: Rows | None = None) -> Segment:
    """Return one segment of all postings of `segments`, none of which share a row.

    With row r as row `new_row[r]`, if that is given, or without it where that is -1.
    """
    words = np.unique(np.concatenate([each.keys for each in segments]))
    parts = []
    for each in segments:
        numbers = np.repeat(words.searchsorted(each.keys), np.diff(each.starts))
        rows, counts = each.rows, each.counts
        if new_row is not None:
            rows = new_row[rows]
            kept = np.flatnonzero(rows >= 0)
            numbers, rows, counts = numbers[kept], rows[kept], counts[kept]
        parts.append(_packed(numbers, rows, counts))
    return _segment(words, np.concatenate(parts))


def _packed(numbers: Ints, rows: Rows, counts: Counts) -> Packed:
    """Return postings (p,), by the numbers of their words, as numbers that sort as they stand."""
    packed = numbers.astype(np.uint64) << np.uint64(ROW_BITS + COUNT_BITS)
    packed |= rows.astype(np.uint64) << np.uint64(COUNT_BITS)
    packed |= counts
    return packed


def _segment(words: Keys, packed: Packed) -> Segment:
    """Return the segment of postings (p,) in any order, of `words`, which may have none."""
    packed.sort()
    numbers = packed >> np.uint64(ROW_BITS + COUNT_BITS)
    sizes = np.bincount(numbers.astype(np.int64), minlength=len(words))
    used = np.flatnonzero(sizes)
    return Segment(
        keys=words[used],
        starts=np.concatenate(([0], np.cumsum(sizes[used]))),
        rows=(packed >> np.uint64(COUNT_BITS)).astype(np.int32),
        counts=packed.astype(np.uint8),
    )
