"""Refuses JSON of which too much is open at a time, before ijson is given it.

ijson keeps the path to where it is, level by level: without a limit, a file of nothing but `[`
takes it minutes, by the square of its length.
"""

from itertools import accumulate
from typing import Protocol

from longtail.client.importing.rows import FileError

# Far more than any row can be used with, and few enough to be read in no time.
MAX_LEVELS = 10_000
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_OTHERS = bytes(set(range(256)) - _STEPS.keys())


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next of them; b"" at the end."""


class Bounded:
    """Bytes of JSON in UTF-8, of which no more than MAX_LEVELS may be open at a time."""

    def __init__(self, binary: Readable) -> None:
        self._binary = binary
        self._levels = 0
        # Where what was read ends: in a string, and there behind the first half of an escape.
        self._in_string = False
        self._escape = b""

    def read(self, size: int) -> bytes:
        """Return the next of them; FileError where they open too much."""
        read = self._binary.read(size)
        steps = map(_STEPS.__getitem__, self._brackets(read))
        levels = list(accumulate(steps, initial=self._levels))
        self._levels = levels[-1]
        if max(levels) > MAX_LEVELS:
            raise FileError(f"malformed JSON: it is nested over {MAX_LEVELS:,} levels deep")
        return read

    def _brackets(self, read: bytes) -> bytes:
        """Return the brackets in what comes next, apart from those in strings."""
        text = self._escape + read
        is_halved = (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
        self._escape = b"\\" * is_halved
        whole = text.removesuffix(self._escape)
        parts = whole.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        self._in_string ^= len(parts) % 2 == 0
        return outside.translate(None, _OTHERS)
