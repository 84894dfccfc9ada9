"""The values of one attribute, by row: postings of texts, of numbers and of truth values.

A posting is a row and a value. Rows ascend, and a row that holds a list has a posting for each
element. So an attribute costs what its values cost, however few items have it.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named, below, named_below
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.columns.moments import microseconds_of
from longtail.server.catalogue.columns.texts import NONE, TextNumbers, Texts
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Rows = NDArray[np.int32]
Moments = NDArray[np.int64]
Ints = NDArray[np.int64]
S = TypeVar("S", bound=np.generic)

# A longer text equals no operand, so it is not kept; the contract's limit of an operand.
MAX_COMPARED = 1000
# The code of a text that is not kept.
NOT_KEPT = 0
NO_MOMENT = np.iinfo(np.int64).min
# Stands for a text that is not kept.
TOO_LONG = " " * (MAX_COMPARED + 1)


class Postings(Generic[S]):
    """Rows and their values; one thread appends, any number read without a lock."""

    __slots__ = ("listed", "rows", "values")

    def __init__(self, rows: GrowingArray[np.int32], values: GrowingArray[S], listed: bool) -> None:
        self.rows = rows
        self.values = values
        # Whether a row may have several values.
        self.listed = listed

    @classmethod
    def empty(cls, dtype: type[S]) -> "Postings[S]":
        """Return postings of values of one type, none so far."""
        return cls(GrowingArray.empty(np.int32), GrowingArray.empty(dtype), False)

    @classmethod
    def of(cls, arrays: Arrays) -> "Postings[S]":
        """Return what `kept` has written."""
        return cls(arrays["rows"], arrays["values"], bool(arrays["listed"].values[0]))

    def kept(self) -> Named:
        """Yield the arrays, to be written."""
        yield "rows", [self.rows.values]
        yield "values", [self.values.values]
        yield "listed", [np.array([self.listed])]

    def append(self, rows: Sequence[int], values: Sequence[object] | NDArray[S]) -> None:
        """Append `values` (n,) of ascending `rows` (n,), none below one that is there."""
        if not self.listed:
            last = self.rows.values[-1:].tolist()
            self.listed = len(set(rows)) < len(rows) or last == list(rows[:1])
        self.values.append(values)
        self.rows.append(rows)

    def between(self, start: int, stop: int) -> tuple[Rows, NDArray[S]]:
        """Return the postings of rows start .. stop - 1: rows (n,), values (n,)."""
        # The rows are read first, since they are written last.
        rows = self.rows.values
        low, high = rows.searchsorted(np.array((start, stop), np.int32)).tolist()
        return rows[low:high], self.values.values[low:high]

    def among(self, rows: Ints) -> tuple[Ints, NDArray[S]]:
        """Return the postings of `rows` (n,), in any order: places in `rows` (m,), values (m,)."""
        # The rows that are held are read first, since they are written last. What they are
        # searched for is of their type, without which they would be copied.
        held, wanted = self.rows.values, rows.astype(np.int32)
        low = held.searchsorted(wanted)
        if not self.listed:
            found = held.take(low, mode="clip") == wanted
            return np.flatnonzero(found), self.values.values[low[found]]
        counts = held.searchsorted(wanted, "right") - low
        places = np.repeat(np.arange(len(rows)), counts)
        at = np.arange(len(places)) + (low + counts - np.cumsum(counts))[places]
        return places, self.values.values[at]

    def present(self, start: int, stop: int) -> Mask:
        """Return which of the rows start .. stop - 1 have a posting, (stop - start,)."""
        rows, _ = self.between(start, stop)
        if len(rows) == stop - start and not self.listed:
            return np.ones(stop - start, np.bool_)
        present = np.zeros(stop - start, np.bool_)
        present[rows - start] = True
        return present

    def mask(self, rows: Rows, hits: Mask, start: int, stop: int) -> Mask:
        """Return which rows (stop - start,) hold a hit; `rows` and `hits` (n,) as of `between`."""
        if len(rows) == stop - start and not self.listed:
            return hits
        mask = np.zeros(stop - start, np.bool_)
        mask[rows[np.flatnonzero(hits)] - start] = True
        return mask

    def taken(self, new_row: Rows) -> "Postings[S] | None":
        """Return a copy with row r as row `new_row[r]`, or without it at -1; None if empty.

        Rows beyond those of `new_row` (n,), which came meanwhile, are left out.
        """
        held = self.rows.values
        rows = new_row[held[: held.searchsorted(len(new_row))]]
        kept = np.flatnonzero(rows >= 0)
        if not len(kept):
            return None
        rows = rows[kept]
        if (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows, kind="stable")
            kept, rows = kept[order], rows[order]
        return Postings(GrowingArray(rows), GrowingArray(self.values.values[kept]), self.listed)


class TextPostings:
    """Texts by row, as codes of a dictionary that also knows which of its texts are times."""

    __slots__ = ("_codes", "_moments", "_texts", "postings")

    def __init__(
        self,
        postings: Postings[np.int32],
        texts: Texts,
        codes: TextNumbers,
        moments: GrowingArray[np.int64] | None,
    ) -> None:
        self.postings = postings
        # By code; that of NOT_KEPT stands for all that are not kept, and has no number.
        self._texts = texts
        self._codes = codes
        self._moments = moments

    @classmethod
    def empty(cls) -> "TextPostings":
        """Return postings without texts."""
        texts = Texts.empty()
        texts.append([TOO_LONG])
        return cls(Postings.empty(np.int32), texts, TextNumbers.empty(texts), None)

    @classmethod
    def of(cls, arrays: Arrays) -> "TextPostings":
        """Return what `kept` has written."""
        texts = Texts.of(named_below("texts/", arrays))
        codes = TextNumbers.of(texts, named_below("codes/", arrays))
        return cls(Postings.of(arrays), texts, codes, arrays.get("moments"))

    def append(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        """Append `texts` (n,) of ascending `rows` (n,)."""
        found = self._codes.of_each(texts)
        codes = [
            self._code_of(text) if code == NONE else code
            for text, code in zip(texts, found, strict=True)
        ]
        self.postings.append(rows, codes)

    def code(self, text: str) -> int | None:
        """Return the code of a text, None when no row has it."""
        code = self._codes.get(text)
        return None if code == NONE else code

    def text(self, code: int) -> str:
        """Return the text of a code."""
        return self._texts[code]

    @property
    def size(self) -> int:
        """One more than the highest code."""
        return len(self._texts)

    @property
    def moments(self) -> Moments | None:
        """Microseconds since the epoch by code, NO_MOMENT where a text is no time.

        None when no text is one.
        """
        return None if self._moments is None else self._moments.values

    def kept(self, new_row: Rows) -> "tuple[Postings[np.int32], Named] | None":
        """Return the postings that Postings.taken returns, with other codes, and all arrays of it.

        Texts that no row has any more are left out. None without postings.
        """
        postings = self.postings.taken(new_row)
        if postings is None:
            return None
        codes = postings.values.values
        used = np.zeros(self.size, np.bool_)
        used[codes] = True
        used[NOT_KEPT] = True
        new_code = (np.cumsum(used) - 1).astype(np.int32)
        renamed = Postings(postings.rows, GrowingArray(new_code[codes]), postings.listed)
        return renamed, self._arrays(renamed, np.flatnonzero(used))

    def _arrays(self, postings: Postings[np.int32], codes: Ints) -> Named:
        yield from postings.kept()
        yield from below("texts/", self._texts.kept(codes))
        numbered = codes.copy()
        numbered[NOT_KEPT] = NONE
        yield from below("codes/", self._codes.kept(numbered))
        moments = None if self._moments is None else self._moments.values[codes]
        if moments is not None and (moments != NO_MOMENT).any():
            yield "moments", [moments]

    def _code_of(self, text: str) -> int:
        """Return the code of a text that may have come a moment ago."""
        code = self._codes.get(text)
        if code != NONE or len(text) > MAX_COMPARED:
            return NOT_KEPT if code == NONE else code
        code = len(self._texts)
        moment = microseconds_of(text)
        if self._moments is None and moment is not None:
            self._moments = GrowingArray(np.full(code, NO_MOMENT))
        if self._moments is not None:
            self._moments.append((NO_MOMENT if moment is None else moment,))
        self._texts.append((text,))
        self._codes.update({text: code})
        return code
