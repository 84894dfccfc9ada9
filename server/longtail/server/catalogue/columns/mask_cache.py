"""Masks of filters that come again, as filters of shops and apps do."""

import sys
import threading
from collections import OrderedDict

import numpy as np
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.filter import Filter
from longtail.server.catalogue.columns.matching import matching
from longtail.server.catalogue.columns.postings import Mask

CACHE_BYTES = 32 * 2**20
# Of a condition, and of the place of an operand in a set.
OVERHEAD_BYTES = 64


class MaskCache:
    """`matching` with a memory of the filters used last and their masks, a byte per row.

    Rows never change, so a mask stays right for the rows it covers: only those behind it are
    matched when there are more. Any thread may ask.
    """

    def __init__(self, attributes: AttributeColumns, capacity_bytes: int = CACHE_BYTES) -> None:
        self._attributes = attributes
        self._capacity = capacity_bytes
        self._lock = threading.Lock()
        self._masks: OrderedDict[Filter, Mask] = OrderedDict()
        self._bytes = 0

    def matching(self, wanted: Filter, count: int) -> Mask:
        """Return which of the first `count` rows pass a filter, (count,), read-only.

        Raises FilterTypeError as `matching` does.
        """
        with self._lock:
            known = self._masks.get(wanted)
            if known is not None:
                self._masks.move_to_end(wanted)
        if known is None or len(known) < count:
            start = 0 if known is None else len(known)
            fresh = matching(self._attributes, wanted, count, start)
            known = fresh if known is None else np.concatenate((known, fresh))
            known.flags.writeable = False
            self._keep(wanted, known)
        return known[:count]

    def _keep(self, wanted: Filter, mask: Mask) -> None:
        with self._lock:
            replaced = self._masks.pop(wanted, None)
            if replaced is not None:
                self._bytes -= _size(wanted, replaced)
            self._masks[wanted] = mask
            self._bytes += _size(wanted, mask)
            while self._bytes > self._capacity:
                self._bytes -= _size(*self._masks.popitem(last=False))


def _size(wanted: Filter, mask: Mask) -> int:
    """Return about how many bytes a filter, which may be larger than its mask, and a mask take."""
    operands = wanted.operands
    return mask.nbytes + OVERHEAD_BYTES * wanted.cost + sum(map(sys.getsizeof, operands))
