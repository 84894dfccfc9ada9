"""Vectors of texts that came before, in a bounded number of bytes; the longest unused goes first.

Exact: a vector depends on its text, role and truncation alone, so what is kept is what would be
computed. Dimensions are cut on the way out, so one entry serves all of them. The encoder is no part
of the key because the cache lives and dies with the process, which has one.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

from longtail.worker import metrics
from longtail.worker.tokenizer import Role, Truncation

Key = bytes

_KEY_BYTES = 16
# What an entry takes beside its vector: the key, the objects and the dictionary's own room.
_OVERHEAD_BYTES = 300


@dataclass(frozen=True, slots=True)
class Known:
    """A text's vector as little-endian float32 of the encoder's dimension, and its tokens."""

    row: bytes
    token_count: int
    truncated: bool


def key_of(text: str, role: Role, truncation: Truncation) -> Key:
    """Return what stands for the text: a hash, so that long texts are not held."""
    # None of the values holds a NUL, so no two of them run together.
    named = f"{role.value}\0{truncation.value}\0{text}"
    return blake2b(named.encode(), digest_size=_KEY_BYTES).digest()


class VectorCache:
    """The vectors used last, in at most `max_bytes`; zero keeps none.

    `bytes` is what they take, with an estimate of what Python takes around them.
    """

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, Known] = OrderedDict()

    def get(self, key: Key) -> Known | None:
        """Return the text's vector when it is here."""
        known = self._entries.get(key)
        if known is not None:
            self._entries.move_to_end(key)
        return known

    def put(self, key: Key, known: Known) -> None:
        """Keep a vector, in place of those that nobody has asked for the longest."""
        size = _size(known)
        if size > self._max_bytes:
            return
        replaced = self._entries.pop(key, None)
        if replaced is not None:
            self.bytes -= _size(replaced)
        self._entries[key] = known
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= _size(oldest)
        metrics.CACHE_BYTES.set(self.bytes)


def _size(known: Known) -> int:
    return len(known.row) + _OVERHEAD_BYTES
