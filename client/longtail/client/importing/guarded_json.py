"""Refuses JSON that ijson takes minutes for, or reads as another text, before it is given it.

It keeps the path to where it is, level by level: without a limit, the time for a file of nothing
but `[` is by the square of its length. Half a character's escape it reads as a question mark.
"""

import re
from itertools import accumulate
from typing import Protocol

from longtail.client.importing.rows import FileError

# Far more than any row can be used with, and few enough to be read in no time.
MAX_LEVELS = 10_000
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_OTHERS = bytes(set(range(256)) - _STEPS.keys())
# Characters beyond U+FFFF are escaped as two halves, a high one and a low one.
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# What both begin with comes first: it is what is looked for fastest.
_HALF = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!%b)|(?<!%b\\u[dD])[c-fC-F][0-9a-fA-F]{2})" % (_LOW, _HIGH)
)
# What may be half of something at the end of what was read, in so many bytes.
_UNFINISHED = re.compile(rb"(?:%b)?(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z" % _HIGH)
UNFINISHED_BYTES = 12


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next of them; b"" at the end."""


class Guarded:
    """Bytes of JSON in UTF-8, without half characters, and MAX_LEVELS open at a time at most."""

    def __init__(self, binary: Readable) -> None:
        self._binary = binary
        self._levels = 0
        # Where what was looked at ends: in a string or not, and what is not looked at yet.
        self._in_string = False
        self._held = b""

    def read(self, size: int) -> bytes:
        """Return the next of them; FileError where they are refused."""
        read = self._binary.read(size)
        # An escaped backslash escapes nothing.
        text = (self._held + read).replace(rb"\\", b"__")
        last = _UNFINISHED.search(text[-UNFINISHED_BYTES:])
        self._held = last[0] if last else b""
        text = text[: len(text) - len(self._held)]
        half = _HALF.search(text)
        if half:
            raise FileError(f"malformed JSON: half a character is escaped: {half[0].decode()}")
        steps = map(_STEPS.__getitem__, self._brackets(text))
        levels = list(accumulate(steps, initial=self._levels))
        self._levels = levels[-1]
        if max(levels) > MAX_LEVELS:
            raise FileError(f"malformed JSON: it is nested over {MAX_LEVELS:,} levels deep")
        return read

    def _brackets(self, text: bytes) -> bytes:
        """Return the brackets in what comes next, apart from those in strings."""
        parts = text.replace(rb"\"", b"").split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        self._in_string ^= len(parts) % 2 == 0
        return outside.translate(None, _OTHERS)
