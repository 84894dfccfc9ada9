"""By which number the item of each row is known elsewhere: looked up by id once, then by row."""

from collections.abc import Mapping

import numpy as np
from longtail.server.catalogue.columns.columns import Columns, Ints
from longtail.server.catalogue.columns.growing import GROWTH
from numpy.typing import NDArray

Numbers = NDArray[np.int32]

NO_NUMBER = -1


class NumberColumn:
    """The numbers of the rows of `columns`, for any number of threads.

    As with what is expected of rows, to find the ids of hundreds of candidates in a table of all
    takes longer than what is done with the numbers.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        # Below zero: that there was none among so many, less one.
        self._known: tuple[Mapping[str, int], Numbers] = {}, np.empty(0, np.int32)

    def of(self, number_of: Mapping[str, int], rows: Ints) -> Ints:
        """Return the numbers of `rows` (n,), (n,), NO_NUMBER where `number_of` has none by id.

        It may grow, but what it holds must not change.
        """
        size = len(number_of)
        numbers = self._held(number_of)[rows].astype(np.int64)
        absent = NO_NUMBER - size
        unknown = ((numbers < 0) & (numbers != absent)).nonzero()[0]
        if len(unknown):
            ids = self._columns.ids.of_each(rows[unknown].tolist())
            found = [number_of.get(item_id, absent) for item_id in ids]
            numbers[unknown] = self._held(number_of)[rows[unknown]] = found
        return np.maximum(numbers, NO_NUMBER)

    def _held(self, number_of: Mapping[str, int]) -> Numbers:
        of_whom, held = self._known
        if of_whom is not number_of:
            held = np.empty(0, np.int32)
        elif len(held) >= self._columns.count:
            return held
        longer = np.full(int(GROWTH * self._columns.count) + 1, NO_NUMBER, np.int32)
        longer[: len(held)] = held
        self._known = number_of, longer
        return longer
