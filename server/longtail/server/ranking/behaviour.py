"""What people did, beside what texts say: items that the same people liked.

Item-to-item neighbours by the cosine of who liked what (Sarwar et al., "Item-Based Collaborative
Filtering Recommendation Algorithms", WWW 2001). A person counts less the more they liked
(Breese et al., UAI 1998), and a cosine is shrunk where few people stand behind it (Bell and Koren,
ICDM 2007). A regression says more of the items that it was fitted to; what came since goes by the
cosine.

An item's neighbours are counted when they are asked for, and counted again when enough has happened
to it. So a like has its effect at the next request, at the price of one item.
"""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from typing import Self

import numpy as np
from longtail.server.ranking.cosine import shrunk
from longtail.server.ranking.likes import (
    NUMBER,
    NUMBER_BYTES,
    Int32s,
    Ints,
    Opinions,
    likes_of,
    order_of,
)
from longtail.server.ranking.regression import Regression
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The latest likes of a person, and the latest people of an item, that are looked at.
LIKES_PER_PERSON, PEOPLE_PER_ITEM = 200, 500
# Neighbours that an item keeps, and items whose neighbours are kept: 48 MiB in all.
NEIGHBOURS, KEPT = 200, 20_000
# What was liked next follows whole, what came after it by so much less for each place, so far.
_AHEAD = np.arange(1, 11)
_FOLLOWS = 0.8 ** (_AHEAD - 1)
# The share of a similarity that a regression says at most.
REGRESSION_SHARE = 0.75
# Neighbours are counted anew when so large a share of an item's likes has changed, one at least.
STALE_SHARE = 0.02
# Arrays as long as the catalogue are used up to so many times what is summed or counted.
DENSE = 4


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The items (m,) most similar to an item, by number, and how similar they are (m,), 0 to 1.

    `following` (m,) is that and how many people liked them soon after it.
    """

    items: Int32s
    similarity: NDArray[np.float32]
    following: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scores:
    """How strongly likes lead to the items that they lead to, under each of w sets of weights.

    `numbers` (m,): the items, ascending. `values` (w, m). `liked` (n,): the likes, `counted` (n,)
    and `era`: as of which changes, and which regression, their neighbours are; see
    `Behaviour.holds`.
    """

    numbers: Ints
    values: Floats
    liked: Ints
    counted: Ints
    era: object = None

    def at(self, numbers: Ints) -> Floats:
        """Return the scores (w, n) of items by number (n,), -1 among them; 0 where there is none.

        The numbers may be in any order.
        """
        found = np.zeros((len(self.values), len(numbers)))
        if len(self.numbers):
            places = self.numbers.searchsorted(numbers)
            places[places == len(self.numbers)] = 0
            led_to = (self.numbers[places] == numbers).nonzero()[0]
            found[:, led_to] = self.values[:, places[led_to]]
        return found


class Behaviour:
    """Who liked what, and the neighbours that follow from it. Any thread may call any method.

    Items go by the numbers in `number_of`, which never change; `ids` leads back. Reading waits for
    no lock, nor do those who write wait for it.
    """

    def __init__(self) -> None:
        self.number_of: dict[str, int] = {}
        self.ids: list[str] = []
        self._person_of: dict[Hashable, int] = {}
        # By person, and by item: the earliest first.
        self._likes: list[bytes] = []
        self._people: list[bytes] = []
        # By item: people who like it, and changes of what they like, until now and until its
        # neighbours were counted. Replaced when they grow.
        self._support = np.zeros(1024)
        self._changes = np.zeros(1024, np.int64)
        self._counted = np.zeros(1024, np.int64)
        self._kept: OrderedDict[int, Neighbours] = OrderedDict()
        # Another one since a regression has had its say.
        self._era = object()
        self._regression: Regression | None = None
        # Likes and what was taken back, since the start.
        self.taken_in = 0
        self._writing = threading.Lock()

    @classmethod
    def of(cls, parts: Iterable[Opinions], key: Callable[[str], Hashable]) -> Self:
        """Return what follows from opinions, given in parts; persons go by their `key`.

        It is what taking them in one by one leads to, at a tenth of the price. Only where more was
        liked than is looked at, and taken back, what had to make room counts again.
        """
        behaviour, read = cls(), likes_of(parts, LIKES_PER_PERSON, PEOPLE_PER_ITEM)
        behaviour._add(read.items)
        behaviour._support[: len(read.items)] = read.support
        behaviour._person_of = {key(person): number for person, number in read.persons.items()}
        behaviour._likes, behaviour._people = read.by_person, read.by_item
        return behaviour

    def like(self, person: Hashable, item_id: str) -> None:
        """Take in that a person likes an item; liking it again makes it the latest."""
        with self._writing:
            self.taken_in += 1
            item = self.number_of.get(item_id)
            if item is None:
                item = len(self.ids)
                self._add([item_id])
            number = self._person_of.get(person)
            if number is None:
                number = len(self._likes)
                self._likes.append(b"")
                self._person_of[person] = number
            likes, people = array(NUMBER, self._likes[number]), array(NUMBER, self._people[item])
            known = item in likes
            if known:
                likes.remove(item)
                _drop(people, number)
            likes.append(item)
            people.append(number)
            self._people[item] = people[-PEOPLE_PER_ITEM:].tobytes()
            self._likes[number] = likes[-LIKES_PER_PERSON:].tobytes()
            if not known:
                self._support[item] += 1
                self._touch(likes)
            for oldest in likes[:-LIKES_PER_PERSON]:
                self._let_go(number, oldest)

    def unlike(self, person: Hashable, item_id: str) -> None:
        """Take back that a person likes an item."""
        with self._writing:
            self.taken_in += 1
            item = self.number_of.get(item_id)
            number = self._person_of.get(person)
            likes = array(NUMBER, b"" if number is None else self._likes[number])
            if number is not None and item is not None and item in likes:
                self._touch(likes)
                likes.remove(item)
                self._likes[number] = likes.tobytes()
                self._let_go(number, item)

    def forget(self, person: Hashable) -> None:
        """Take back everything that a person likes."""
        with self._writing:
            self.taken_in += 1
            number = self._person_of.pop(person, None)
            if number is not None:
                likes = array(NUMBER, self._likes[number])
                self._likes[number] = b""
                self._touch(likes)
                for item in likes:
                    self._let_go(number, item)

    @property
    def like_count(self) -> int:
        """How many likes are held of all people."""
        return int(self._support[: len(self.ids)].sum())

    def likes(self) -> list[bytes]:
        """Return the items that each person likes, int32 numbers as bytes: see `regression.fit`."""
        return list(self._likes)

    def go_by(self, regression: Regression, pause: Callable[[int], None]) -> None:
        """Let a regression on what people liked say how similar items are, beside the cosine.

        Neighbours that are kept are counted anew, one by one; `pause` is called with how many were.
        """
        self._regression = regression
        for done, item in enumerate(list(self._kept)):
            pause(done)
            changes = int(self._changes[item])
            [self._kept[item]] = self._count([item])
            self._counted[item] = changes
        self._era = object()

    def support(self, items: Ints) -> Floats:
        """Return how many people like each of `items` (n,), going by the latest likes of each."""
        support: Floats = self._support[items]
        return support

    def scores(self, liked: Sequence[int], weights: Sequence[Floats] | Floats) -> Scores:
        """Return how strongly `liked` (m,) lead to items, for each of several `weights` (m,).

        A score is the weighted mean of the similarities. The first weights are of all likes; those
        after them are of the last few, to which what people liked next counts too.
        """
        era = self._era
        found, counted = self._neighbours(liked)
        through = np.array(liked, np.int64), counted, era
        items = np.frombuffer(b"".join([each.items.data for each in found]), np.int32)
        if not len(items):
            return Scores(np.empty(0, np.int64), np.empty((len(weights), 0)), *through)
        similarity = np.frombuffer(b"".join([each.similarity.data for each in found]), np.float32)
        following = np.frombuffer(b"".join([each.following.data for each in found]), np.float32)
        lengths = np.array([len(neighbours.items) for neighbours in found])
        led = [
            (weight.repeat(lengths) * led_by, np.abs(weight).sum() or 1.0)
            for weight, led_by in zip(
                weights, chain((similarity,), repeat(following)), strict=False
            )
        ]
        if len(self.ids) <= DENSE * len(items):
            # Summed in arrays as long as the catalogue, and what was not led to taken out.
            led_to = np.zeros(len(self.ids), np.bool_)
            led_to[items] = True
            numbers = led_to.nonzero()[0]
            sums = [np.bincount(items, each)[numbers] / whole for each, whole in led]
            return Scores(numbers, np.array(sums), *through)
        # Sorted by item: quicker where the arrays would be longer.
        order = order_of(items)
        items = items[order]
        first = np.empty(len(items), np.bool_)
        first[0] = True
        np.not_equal(items[1:], items[:-1], out=first[1:])
        place = np.cumsum(first) - 1
        sums = [np.bincount(place, each[order]) / whole for each, whole in led]
        return Scores(items[first].astype(np.int64), np.array(sums), *through)

    def holds(self, scores: Scores) -> bool:
        """Return whether the neighbours of these likes are what they were, and good as they are."""
        if scores.era is not self._era or self._stale(scores.liked).any():
            return False
        return bool((self._counted[scores.liked] == scores.counted).all())

    def uncounted(self, item_ids: Iterable[str]) -> int:
        """Return of how many items `scores` would count the neighbours now, which takes a while."""
        found = map(self.number_of.get, item_ids)
        numbers = [number for number in found if number is not None]
        fresh = np.logical_not(self._stale(np.array(numbers, np.int64)))
        counted = map(self._kept.__contains__, compress(numbers, fresh.tolist()))
        return len(numbers) - sum(counted)

    def neighbours(self, item: int) -> Neighbours:
        """Return the neighbours of an item."""
        return self._neighbours([item])[0][0]

    def _neighbours(self, items: Sequence[int]) -> tuple[list[Neighbours], Ints]:
        """Return the neighbours of each of `items` (n,), and as of which changes they are, (n,)."""
        numbers = np.array(items, np.int64)
        # What changes from here on is counted next time.
        changes, as_of = self._changes[numbers], self._counted[numbers]
        stale = self._stale(numbers)
        held = self._kept.get
        found = [
            None if old else held(item) for item, old in zip(items, stale.tolist(), strict=True)
        ]
        missing = [at for at, neighbours in enumerate(found) if neighbours is None]
        if missing:
            as_of[missing] = changes[missing]
            counted = self._count([items[at] for at in missing])
            for at, neighbours in zip(missing, counted, strict=True):
                found[at] = self._kept[items[at]] = neighbours
                self._counted[items[at]] = changes[at]
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return [neighbours for neighbours in found if neighbours is not None], as_of

    def _stale(self, numbers: Ints) -> NDArray[np.bool_]:
        few = STALE_SHARE * np.minimum(self._support[numbers], PEOPLE_PER_ITEM)
        stale: NDArray[np.bool_] = self._changes[numbers] - self._counted[numbers] > few
        return stale

    def _count(self, items: Sequence[int]) -> list[Neighbours]:
        people = [np.frombuffer(self._people[item], np.int32).tolist() for item in items]
        likes = [[self._likes[person] for person in numbers] for numbers in people]
        # As long as any number in them: what is known by now. What is in it does not matter.
        places = np.empty(len(self._support), np.int32)
        return [
            self._counted_of(item, theirs, places)
            for item, theirs in zip(items, likes, strict=True)
        ]

    def _counted_of(self, item: int, likes: list[bytes], places: Int32s) -> Neighbours:
        together = np.frombuffer(b"".join(likes), np.int32)
        if not len(together):
            return Neighbours(np.empty(0, np.int32), *np.empty((2, 0), np.float32))
        lengths = np.fromiter(map(len, likes), np.int64, len(likes)) // NUMBER_BYTES
        # Counted in arrays as long as the catalogue where these are not much longer than the likes.
        dense = len(places) <= DENSE * len(together)
        others = together if dense else _distinct(together, places)
        where, count = (together, len(places)) if dense else (places[together], len(others))
        common = np.bincount(where, (1 / np.sqrt(1 + lengths)).repeat(lengths), count)
        followed = _followed(item, together, lengths, where, count)
        if dense:
            others = common.nonzero()[0].astype(np.int32)
        kept = (others != item).nonzero()[0]
        others = others[kept]
        common, followed = (each[others if dense else kept] for each in (common, followed))
        support, theirs = self._support[item], self._support[others]
        # Of very many people the latest stand for all.
        standing_for = support / len(likes)
        whole = np.minimum(common * standing_for, theirs)
        similarity = shrunk(whole, support, theirs)
        if self._regression is not None:
            similarity = _regressed(self._regression, item, others, theirs, similarity)
        following = similarity + shrunk(followed * standing_for, support, theirs)
        if len(others) > NEIGHBOURS:
            nearest = (-similarity).argpartition(NEIGHBOURS)[:NEIGHBOURS]
            others, similarity, following = others[nearest], similarity[nearest], following[nearest]
        return Neighbours(others, similarity.astype(np.float32), following.astype(np.float32))

    def _add(self, item_ids: Sequence[str]) -> None:
        count = len(self.ids) + len(item_ids)
        if count > len(self._support):
            more = max(count - len(self._support), len(self._support))
            self._support = np.concatenate((self._support, np.zeros(more)))
            self._changes = np.concatenate((self._changes, np.zeros(more, np.int64)))
            self._counted = np.concatenate((self._counted, np.zeros(more, np.int64)))
        self._people += [b""] * len(item_ids)
        self.ids += item_ids
        # Readers look numbers up without the lock: what they lead to is there first.
        for number, item_id in enumerate(item_ids, count - len(item_ids)):
            self.number_of[item_id] = number

    def _touch(self, items: "array[int]") -> None:
        self._changes[np.array(items, np.int64)] += 1

    def _let_go(self, person: int, item: int) -> None:
        self._support[item] -= 1
        people = array(NUMBER, self._people[item])
        _drop(people, person)
        self._people[item] = people.tobytes()


def _regressed(
    regression: Regression, item: int, others: Int32s, support: Floats, cosine: Floats
) -> Floats:
    """Return the similarity (m,) of an item to `others` (m,), ascending, with a regression's say.

    `support` (m,): people who like them. It says the more the further it can be trusted.
    """
    share = REGRESSION_SHARE * regression.trust(others, support)
    similarity: Floats = (1 - share) * cosine
    led_to, weights = regression.led_to(item)
    if not len(others):
        # Those who liked it last like nothing else.
        return similarity
    # Who led from the one to the other may like it no more.
    place = np.minimum(others.searchsorted(led_to), len(others) - 1)
    found = others[place] == led_to
    at = place[found]
    similarity[at] += share[at] * weights[found]
    return similarity


def _followed(item: int, together: Int32s, lengths: Ints, where: Int32s, count: int) -> Floats:
    """Return how many people liked each of the others (count,) soon after an item.

    `together`: what each of them likes, the earliest first, `lengths` of them each; `where` among
    the others.
    """
    [at] = (together == item).nonzero()
    ends = lengths.cumsum()
    ahead = at[:, None] + _AHEAD
    within = ahead < ends[ends.searchsorted(at, side="right"), None]
    at = where[ahead[within]]
    weights = _FOLLOWS[within.nonzero()[1]]
    return np.bincount(at, weights, minlength=count).astype(np.float64)


def _distinct(numbers: Int32s, places: Int32s) -> Int32s:
    """Return what is in `numbers`, ascending; have `places` say where of each."""
    order = np.arange(len(numbers), dtype=np.int32)
    places[numbers] = order
    # Of equal ones the last has left its position.
    distinct: Int32s = numbers[places[numbers] == order]
    distinct.sort()
    places[distinct] = order[: len(distinct)]
    return distinct


def _drop(numbers: "array[int]", number: int) -> None:
    # The people of an item are only the latest of those who like it.
    if number in numbers:
        numbers.remove(number)
