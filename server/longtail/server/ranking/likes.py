"""Who likes what, made of all opinions at once: at a tenth of the price of one after the other."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]

# Of the numbers of items and people. They are held as bytes, in a tenth of the memory of a set:
# what is read is never changed, so who reads needs no lock.
NUMBER = "i"
NUMBER_BYTES = 4

# Some opinions, in their order: who, of which item, and whether they like it, above zero, or not.
Opinions = tuple[Sequence[str], Sequence[str], Sequence[float]]


class Likes(NamedTuple):
    """What people like of m `items`: those that were ever liked, in the order in which they were.

    `persons` are numbered too. `by_person` are the items that each likes, `by_item` the persons who
    like each, the earliest first, as the bytes of their numbers; `support` (m,) is how many do.
    """

    items: Sequence[str]
    persons: dict[str, int]
    support: Ints
    by_person: list[bytes]
    by_item: list[bytes]


def likes_of(parts: Iterable[Opinions], per_person: int, per_item: int) -> Likes:
    """Return what people like who have these opinions, given in parts.

    Held are the latest likes of a person, `per_person`, and of those the latest people of an item.
    """
    numbers, persons = _Numbers(), _Numbers()
    read = [_numbered(part, persons, numbers) for part in parts]
    who, what, liked = (np.concatenate(column) for column in zip(_NONE, *read, strict=True))
    names, likes = list(numbers), what[liked]
    met, first = np.unique(likes, return_index=True)
    met = met[np.argsort(first)]
    number = np.zeros(len(names), np.int64)
    number[met] = np.arange(len(met))
    held = _standing(who, what, liked)
    held = held[_latest(who[held], len(persons), per_person)]
    who, what = who[held], number[what[held]]
    latest = _latest(what, len(met), per_item)
    return Likes(
        items=[names[at] for at in met.tolist()],
        persons=persons,
        support=np.bincount(what, minlength=len(met)),
        by_person=_lists(who, what, len(persons)),
        by_item=_lists(what[latest], who[latest], len(met)),
    )


def order_of(numbers: Ints | Int32s) -> Ints:
    """Return the stable order of numbers below 2**31: quicker than an argsort, as a sort is."""
    order = numbers.astype(np.int64)
    order <<= 32
    order += np.arange(len(order))
    order.sort()
    order &= 0xFFFFFFFF
    return order


class _Numbers(dict[str, int]):
    """Numbers what is looked up, in the order in which it comes."""

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self)
        return number


_NONE = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_)


def _numbered(
    opinions: Opinions, persons: _Numbers, items: _Numbers
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return who, what and whether they like it, (n,) each."""
    people, item_ids, values = opinions
    count = len(values)
    return (
        np.fromiter(map(persons.__getitem__, people), np.int64, count),
        np.fromiter(map(items.__getitem__, item_ids), np.int64, count),
        np.fromiter(values, np.float64, count) > 0,
    )


def _standing(who: Ints, what: Ints, liked: NDArray[np.bool_]) -> Ints:
    """Return the positions of the likes that were neither repeated nor taken back, ascending."""
    order = order_of(what)
    order = order[order_of(who[order])]
    who, what = who[order], what[order]
    again = (who[1:] == who[:-1]) & (what[1:] == what[:-1])
    held = order[~np.append(again, False)[: len(order)]]
    return np.sort(held[liked[held]])


def _latest(numbers: Ints, count: int, limit: int) -> Ints:
    """Return the positions of the last `limit` of each number below `count`, ascending."""
    order = order_of(numbers)
    ends = np.cumsum(np.bincount(numbers, minlength=count))
    return np.sort(order[np.arange(len(order)) >= ends[numbers[order]] - limit])


def _lists(numbers: Ints, values: Ints, count: int) -> list[bytes]:
    """Return the values of each number below `count`, in their order."""
    ends = NUMBER_BYTES * np.cumsum(np.bincount(numbers, minlength=count))
    together = values[order_of(numbers)].astype(np.int32).tobytes()
    bounds = [0, *ends.tolist()]
    return [together[start:end] for start, end in pairwise(bounds)]
