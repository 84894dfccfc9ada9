"""What people did, beside what texts say: items that the same people liked.

Item-to-item neighbours by the cosine of who liked what (Sarwar et al., "Item-Based Collaborative
Filtering Recommendation Algorithms", WWW 2001). A person counts less the more they liked
(Breese et al., UAI 1998), and a cosine is shrunk where few people stand behind it (Bell and Koren,
ICDM 2007).

Nothing is trained: an item's neighbours are counted when they are asked for, and counted again when
enough has happened to it. So a like has its effect at the next request, at the price of one item.
"""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The latest likes of a person, and the latest people of an item, that are looked at.
LIKES_PER_PERSON, PEOPLE_PER_ITEM = 200, 500
# Neighbours that an item keeps, and items whose neighbours are kept: 32 MiB in all.
NEIGHBOURS, KEPT = 200, 20_000
# People added to the norm in the denominator: two who agree are not a hundred.
SHRINKAGE = 10.0
# Neighbours are counted anew when so large a share of an item's likes has changed, one at least.
STALE_SHARE = 0.02

# Of the numbers of items and people. An array of them takes a tenth of the memory of a set.
NUMBER = "i"


@dataclass(frozen=True)
class Neighbours:
    """The items (m,) most similar to an item, by number, and how similar they are (m,), 0 to 1."""

    items: NDArray[np.int32]
    similarity: NDArray[np.float32]


@dataclass(frozen=True)
class _Counted:
    """The neighbours of an item, and the changes of its likes until they were counted."""

    neighbours: Neighbours
    changes: int


class Behaviour:
    """Who liked what, and the neighbours that follow from it. Any thread may call any method.

    Items go by the numbers in `number_of`, which never change; `ids` leads back.
    """

    def __init__(self) -> None:
        self.number_of: dict[str, int] = {}
        self.ids: list[str] = []
        self._person_of: dict[Hashable, int] = {}
        self._newest_person = 0
        # By person, and by item: the earliest first.
        self._likes: dict[int, array[int]] = {}
        self._people: list[array[int]] = []
        # By item: people who like it, and changes of what they like. Replaced when they grow.
        self._support = np.zeros(1024)
        self._changes = np.zeros(1024, np.int64)
        self._counted: OrderedDict[int, _Counted] = OrderedDict()
        self._lock = threading.Lock()

    def like(self, person: Hashable, item_id: str) -> None:
        """Take in that a person likes an item; liking it again makes it the latest."""
        with self._lock:
            item = self._number(item_id)
            number = self._person_of.get(person)
            if number is None:
                self._newest_person += 1
                number = self._person_of[person] = self._newest_person
            likes = self._likes.setdefault(number, array(NUMBER))
            known = item in likes
            if known:
                likes.remove(item)
                _drop(self._people[item], number)
            likes.append(item)
            if not known:
                self._support[item] += 1
                self._touch(likes)
            people = self._people[item]
            people.append(number)
            if len(people) > PEOPLE_PER_ITEM:
                del people[0]
            if len(likes) > LIKES_PER_PERSON:
                self._let_go(number, likes.pop(0))

    def unlike(self, person: Hashable, item_id: str) -> None:
        """Take back that a person likes an item."""
        with self._lock:
            item = self.number_of.get(item_id)
            number = self._person_of.get(person)
            likes = array(NUMBER) if number is None else self._likes[number]
            if number is not None and item is not None and item in likes:
                self._touch(likes)
                likes.remove(item)
                self._let_go(number, item)

    def forget(self, person: Hashable) -> None:
        """Take back everything that a person likes."""
        with self._lock:
            number = self._person_of.pop(person, None)
            if number is not None:
                likes = self._likes.pop(number)
                self._touch(likes)
                for item in likes:
                    self._let_go(number, item)

    def support(self, items: Ints) -> Floats:
        """Return how many people like each of `items` (n,), going by the latest likes of each."""
        support: Floats = self._support[items]
        return support

    def scores(self, liked: Sequence[int], weights: Sequence[Floats]) -> list[Floats]:
        """Return how strongly `liked` (m,) lead to each item, for each of several `weights` (m,).

        A score is the weighted mean of the similarities, at most 1; (items,) each.
        """
        found = [self.neighbours(item) for item in liked]
        count = len(self.ids)
        if not found:
            return [np.zeros(count) for _ in weights]
        items = np.concatenate([neighbours.items for neighbours in found])
        similarity = np.concatenate([neighbours.similarity for neighbours in found])
        lengths = [len(neighbours.items) for neighbours in found]
        return [
            np.bincount(items, np.repeat(weight, lengths) * similarity, count)
            / (np.abs(weight).sum() or 1.0)
            for weight in weights
        ]

    def neighbours(self, item: int) -> Neighbours:
        """Return the neighbours of an item."""
        with self._lock:
            counted = self._counted.get(item)
            changes = int(self._changes[item])
            few = STALE_SHARE * len(self._people[item])
            if counted is None or changes - counted.changes > few:
                counted = self._counted[item] = _Counted(self._count(item), changes)
                if len(self._counted) > KEPT:
                    self._counted.popitem(last=False)
            self._counted.move_to_end(item)
            return counted.neighbours

    def _number(self, item_id: str) -> int:
        item = self.number_of.get(item_id)
        if item is None:
            item = len(self.ids)
            if item == len(self._support):
                self._support = np.concatenate((self._support, np.zeros(item)))
                self._changes = np.concatenate((self._changes, np.zeros(item, np.int64)))
            self._people.append(array(NUMBER))
            self.ids.append(item_id)
            # Readers look the number up without the lock: what it leads to is there first.
            self.number_of[item_id] = item
        return item

    def _touch(self, items: "array[int]") -> None:
        self._changes[np.array(items, np.int64)] += 1

    def _let_go(self, person: int, item: int) -> None:
        self._support[item] -= 1
        _drop(self._people[item], person)

    def _count(self, item: int) -> Neighbours:
        people = self._people[item]
        likes = [self._likes[person] for person in people]
        if not likes:
            return Neighbours(np.empty(0, np.int32), np.empty(0, np.float32))
        lengths = np.fromiter(map(len, likes), np.int64, len(likes))
        together = np.frombuffer(b"".join(likes), np.int32)
        common = np.bincount(together, np.repeat(1 / np.sqrt(1 + lengths), lengths))
        common[item] = 0
        others = np.flatnonzero(common)
        support, theirs = self._support[item], self._support[others]
        # Of very many people the latest stand for all.
        whole = np.minimum(common[others] * (support / len(people)), theirs)
        similarity = whole / (np.sqrt(support * theirs) + SHRINKAGE)
        if len(others) > NEIGHBOURS:
            nearest = np.argpartition(-similarity, NEIGHBOURS)[:NEIGHBOURS]
            others, similarity = others[nearest], similarity[nearest]
        return Neighbours(others.astype(np.int32), similarity.astype(np.float32))


def _drop(numbers: "array[int]", number: int) -> None:
    # The people of an item are only the latest of those who like it.
    if number in numbers:
        numbers.remove(number)
