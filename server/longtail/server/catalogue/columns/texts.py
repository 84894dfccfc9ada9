"""Texts by number and numbers by text: those of a mapped file, and what came since.

A string of Python takes seventy bytes beside its characters, and a table that leads to it as many.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import repeat

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Blocks, Named
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]

NONE = -1
# In the place of a number: it is still to be looked for in the file.
_UNREAD = -2
# Texts that were read from the file, or looked for in it, and are kept: 3 MB each.
KEPT = 1 << 14
# Copied at a time, so that who answers gets the interpreter in between.
BLOCK = 1 << 13


class Texts:
    """Texts by number, from 0 on. One thread appends, any number read."""

    def __init__(self, starts: Ints, data: NDArray[np.uint8]) -> None:
        """Hold the texts that are `data[starts[i] : starts[i + 1]]`, in UTF-8."""
        self._starts, self._data = starts, data
        # Read one by one, both are faster without numpy.
        self._start, self._bytes = starts.data, data.data
        self._base = len(starts) - 1
        self._late: list[str] = []
        self._known: dict[int, str] = {}

    @classmethod
    def empty(cls) -> "Texts":
        """Return no texts."""
        return cls(np.zeros(1, np.int64), np.empty(0, np.uint8))

    @classmethod
    def of(cls, arrays: Arrays) -> "Texts":
        """Return what `kept` has written."""
        return cls(arrays["starts"].values, arrays["data"].values)

    def __len__(self) -> int:
        return self._base + len(self._late)

    def __getitem__(self, number: int) -> str:
        if number >= self._base:
            return self._late[number - self._base]
        data = self._bytes[self._start[number] : self._start[number + 1]]
        return str(data, "utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    @property
    def mapped(self) -> int:
        """How many there are in the file: the first of them."""
        return self._base

    def of_each(self, numbers: Sequence[int]) -> list[str]:
        """Return the texts of `numbers`; those that come again are had in less time."""
        if not self._base:
            return list(map(self._late.__getitem__, numbers))
        known = self._known
        try:
            return list(map(known.__getitem__, numbers))
        except KeyError:
            texts = [known[number] if number in known else self[number] for number in numbers]
        if len(known) > KEPT:
            known = self._known = {}
        known.update(zip(numbers, texts, strict=True))
        return texts

    def append(self, texts: Iterable[str]) -> None:
        """Append texts."""
        self._late.extend(texts)

    def keys(self, numbers: Ints) -> Iterator[int]:
        """Yield what stands for each of the texts of `numbers`: see `key_of`."""
        return (key_of(self[number]) for number in numbers.tolist())

    def kept(self, numbers: Ints) -> Named:
        """Yield what the texts of `numbers` (n,) are read from, NONE for an empty one."""
        lengths = np.zeros(len(numbers) + 1, np.int64)
        old = np.flatnonzero((numbers >= 0) & (numbers < self._base))
        lengths[old + 1] = self._starts[numbers[old] + 1] - self._starts[numbers[old]]
        for at in np.flatnonzero(numbers >= self._base).tolist():
            lengths[at + 1] = len(_encoded(self[int(numbers[at])]))
        yield "starts", [np.cumsum(lengths)]
        yield "data", self._blocks(numbers)

    def _blocks(self, numbers: Ints) -> Blocks:
        yield np.empty(0, np.uint8)
        for start in range(0, len(numbers), BLOCK):
            block = numbers[start : start + BLOCK]
            block = block[block >= 0]
            if (block < self._base).all():
                first = self._starts[block]
                lengths = self._starts[block + 1] - first
                ends = np.cumsum(lengths)
                at = np.arange(lengths.sum()) + np.repeat(first - (ends - lengths), lengths)
                yield self._data[at]
            else:
                texts = (_encoded(self[number]) for number in block.tolist())
                yield np.frombuffer(b"".join(texts), np.uint8)


class TextNumbers:
    """The number of each text, of some of `texts`. One thread changes it, any number read.

    Those of a file are found by their hashes, which are sorted, and compared.
    """

    def __init__(self, texts: Texts, keys: Keys, numbers: NDArray[np.int32]) -> None:
        self._texts = texts
        self._keys, self._numbers = keys, numbers
        self._key, self._number = keys.data, numbers.data
        self._late: dict[str, int] = {}
        self._known: dict[str, int] = {}

    @classmethod
    def empty(cls, texts: Texts) -> "TextNumbers":
        """Return the numbers of no text."""
        return cls(texts, np.empty(0, np.uint64), np.empty(0, np.int32))

    @classmethod
    def of(cls, texts: Texts, arrays: Arrays) -> "TextNumbers":
        """Return what `kept` has written, of the `texts` that were written with it."""
        return cls(texts, arrays["keys"].values, arrays["numbers"].values)

    def of_each(self, texts: Iterable[str]) -> list[int]:
        """Return the number of each text, NONE where it has none."""
        if not len(self._keys):
            return list(map(self._late.get, texts, repeat(NONE)))
        late, known = self._late.get, self._known.get
        wanted = list(texts)
        found = [late(text, known(text, _UNREAD)) for text in wanted]
        return self._looked_up(wanted, found) if _UNREAD in found else found

    def mapped(self, texts: Iterable[str]) -> list[int]:
        """Return the number that each text has in the file, NONE where it has none."""
        wanted = list(texts)
        return self._looked_up(wanted, [_UNREAD] * len(wanted))

    def get(self, text: str) -> int:
        """Return the number of a text, NONE where it has none."""
        [number] = self.of_each((text,))
        return number

    def update(self, numbers: Mapping[str, int]) -> None:
        """Let texts have other numbers."""
        self._late.update(numbers)

    def kept(self, numbers: Ints) -> Named:
        """Yield what the places in `numbers` (n,) of the texts of these are found by.

        NONE stands for no text, and no other text comes twice.
        """
        held = np.flatnonzero(numbers >= 0)
        wanted = numbers[held]
        keys = np.zeros(len(self._texts), np.uint64)
        fresh = np.ones(len(keys), np.bool_)
        keys[self._numbers], fresh[self._numbers] = self._keys, False
        late = wanted[fresh[wanted]]
        keys[late] = np.fromiter(self._texts.keys(late), np.uint64, len(late))
        of_each = keys[wanted]
        order = np.argsort(of_each, kind="stable")
        yield "keys", [of_each[order]]
        yield "numbers", [held[order].astype(np.int32)]

    def _looked_up(self, texts: Sequence[str], found: Sequence[int]) -> list[int]:
        """Return what was `found`, and for _UNREAD what the file has."""
        missing = [text for text, number in zip(texts, found, strict=True) if number == _UNREAD]
        keys = [key_of(text) for text in missing]
        places = self._keys.searchsorted(np.array(keys, np.uint64)).tolist()
        known = self._known
        if len(known) > KEPT:
            known = self._known = {}
        is_kept = len(missing) <= KEPT
        of_missing = []
        for text, key, place in zip(missing, keys, places, strict=True):
            number = NONE
            # Different texts may have one key.
            while place < len(self._key) and self._key[place] == key:
                if self._texts[self._number[place]] == text:
                    number = self._number[place]
                    break
                place += 1
            of_missing.append(number)
            if is_kept and number != NONE:
                known[text] = number
        rest = iter(of_missing)
        return [next(rest) if number == _UNREAD else number for number in found]


def key_of(text: str) -> int:
    """Return 64 bits that stand for a text."""
    return int.from_bytes(blake2b(_encoded(text), digest_size=8).digest(), "little")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
