"""What persons did, in memory: those asked for of late, kept up to date as the store is followed.

A request so finds a person without the store and without waiting; whoever is not held is read once.
"""

import threading
from bisect import bisect
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set

from longtail.server.catalogue.made import Made, MadeBudget
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import Activity, Deed, PastInteraction, PersonRecord

# Interactions of a history that are held: of a hundred items some come again and again.
LOOKBACK = 200
# Memory for what all persons did, beside the one asked for last, whatever they take. It is some
# 1,300 who did a hundred things each, or a hundred thousand who did nothing; to read one of them
# anew takes a millisecond. What is made of it has a budget of its own: see `made.py`.
BUDGET_BYTES = 64 * 2**20
# What a person takes of it, an interaction of the history, an item met with.
PERSON_BYTES, PAST_BYTES, MET_BYTES = 700, 300, 200

_NOTHING = frozenset[str]()


class Person:
    """What a person did. It grows as the store is followed: take `history` once per request.

    `history`: the latest LOOKBACK interactions, the latest first, those of one moment by event_id.
    `likes`: the items in it that are liked. `revision`: what it is as of. `made`: what was made of
    the history for a request, within `budget`, and may serve others.
    """

    __slots__ = ("_sizes", "_types_of", "history", "likes", "made", "revision")

    def __init__(self, record: PersonRecord, budget: MadeBudget) -> None:
        self.made = Made(budget)
        self.revision = record.revision
        self.history = record.history
        self.likes = _likes(self.history)
        # The types in which an item was met with. There are few such sets: each is held once, with
        # the number of the items that have it.
        self._types_of: dict[str, frozenset[str]] = {}
        held: dict[frozenset[str], frozenset[str]] = {}
        for item_id, of_type in record.met:
            types = self._types_of.get(item_id, _NOTHING) | {of_type}
            self._types_of[item_id] = held.setdefault(types, types)
        counts = Counter(self._types_of.values())
        self._sizes = {types: (types, count) for types, count in counts.items()}

    @property
    def size(self) -> int:
        """About how many bytes this takes, without what is made of it."""
        past, met = PAST_BYTES * len(self.history), MET_BYTES * len(self._types_of)
        return PERSON_BYTES + past + met

    def seen(self, types: frozenset[str]) -> Set[str]:
        """Return the items met with in one of `types`; without types, in any.

        Ask what is in it: it may grow while it is gone through, so go through a copy.
        """
        return _Met(self._types_of, self._sizes, types) if types else self._types_of.keys()

    def take_in(self, deeds: Iterable[Deed]) -> None:
        """Take in what the person did, in the order of revisions; what is held is passed over."""
        held = self.revision
        for deed in deeds:
            if deed.revision > held:
                past = deed.past
                self._meet(past.item_id, past.type)
                at = bisect(self.history, _place(past), key=_place)
                if at < LOOKBACK:
                    self.history = (*self.history[:at], past, *self.history[at : LOOKBACK - 1])
                    self.likes = _likes(self.history)
                self.revision = deed.revision

    def _meet(self, item_id: str, of_type: str) -> None:
        before = self._types_of.get(item_id, _NOTHING)
        if of_type in before:
            return
        types, size = self._sizes.get(before | {of_type}, (before | {of_type}, 0))
        self._sizes[types] = types, size + 1
        self._types_of[item_id] = types
        if before:
            held, size = self._sizes.pop(before)
            if size > 1:
                self._sizes[before] = held, size - 1


class _Met(Set[str]):
    """The items that have one of the types asked for."""

    __slots__ = ("_sizes", "_types", "_types_of")

    def __init__(
        self,
        types_of: Mapping[str, frozenset[str]],
        sizes: Mapping[frozenset[str], tuple[frozenset[str], int]],
        types: frozenset[str],
    ) -> None:
        self._types_of, self._sizes, self._types = types_of, sizes, types

    def __contains__(self, item_id: object) -> bool:
        types = self._types_of.get(item_id, _NOTHING)  # type: ignore[call-overload]
        return not self._types.isdisjoint(types)

    def __len__(self) -> int:
        sizes = list(self._sizes.values())
        return sum(size for types, size in sizes if not self._types.isdisjoint(types))

    def __iter__(self) -> Iterator[str]:
        met = list(self._types_of.items())
        return (item_id for item_id, types in met if not self._types.isdisjoint(types))

    @classmethod
    def _from_iterable(cls, items: Iterable[str]) -> Set[str]:  # type: ignore[override]
        return frozenset(items)


class _Load:
    """The reading of a person, and what was followed of them meanwhile."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.deeds: list[Deed] = []
        # The revision at which they were forgotten.
        self.forgotten = 0
        # Whether what was read may have been deleted by its age.
        self.expired = False


class People:
    """The persons held, by hash: whoever is asked for again and again, and who did nothing too.

    Any thread may call any method, but `take_in` is for one at a time.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._person_hash = store.person_hash
        # The one asked for longest ago comes first.
        self._held: OrderedDict[bytes, Person] = OrderedDict()
        self._size = 0
        self._made = MadeBudget()
        self._loading: dict[bytes, _Load] = {}
        self._lock = threading.Lock()

    def known(self, user_id: str) -> Person | None:
        """Return a person who is held, without waiting; None for one who is to be loaded."""
        key = self._person_hash(user_id)
        try:
            person = self._held[key]
            # One step, as the look-up is: neither needs the lock.
            self._held.move_to_end(key)
        except KeyError:
            return None
        return person

    def load(self, user_id: str) -> Person:
        """Return a person, read from the store if they are not held; several wait for one read."""
        key = self._person_hash(user_id)
        while True:
            with self._lock:
                person = self._held.get(key)
                if person is not None:
                    return person
                under_way = self._loading.get(key)
                if under_way is None:
                    load = self._loading[key] = _Load()
                    break
            under_way.done.wait()
        try:
            while True:
                load.expired = False
                person = Person(self._store.activity.person(user_id, LOOKBACK), self._made)
                with self._lock:
                    if load.expired:
                        continue
                    if load.forgotten > person.revision:
                        person = Person(PersonRecord(load.forgotten, (), ()), self._made)
                    person.take_in(load.deeds)
                    self._held[key] = person
                    self._size += person.size
                    self._make_room()
                break
        finally:
            with self._lock:
                del self._loading[key]
            load.done.set()
        return person

    def take_in(self, activity: Activity) -> None:
        """Take in what was recorded; what a person holds already is passed over."""
        with self._lock:
            if activity.expired:
                # When each item was met with is not held: once a day everybody is read anew.
                self._held.clear()
                self._size = 0
                # What requests that go on still make goes with the persons that they have.
                self._made = MadeBudget()
                for load in self._loading.values():
                    load.expired = True
            for key, revision in activity.forgotten:
                if key in self._loading:
                    self._loading[key].forgotten = revision
                held = self._held.get(key)
                if held is not None and held.revision < revision:
                    self._let_go(self._held.pop(key))
            deeds: defaultdict[bytes, list[Deed]] = defaultdict(list)
            for deed in activity.deeds:
                if deed.person in self._held or deed.person in self._loading:
                    deeds[deed.person].append(deed)
            for key, theirs in deeds.items():
                if key in self._loading:
                    self._loading[key].deeds += theirs
                held = self._held.get(key)
                if held is not None:
                    self._size -= held.size
                    held.take_in(theirs)
                    self._size += held.size
            self._make_room()

    def _make_room(self) -> None:
        while self._size > BUDGET_BYTES and len(self._held) > 1:
            self._let_go(self._held.popitem(last=False)[1])

    def _let_go(self, person: Person) -> None:
        self._size -= person.size
        self._made.close(person.made)


def _likes(history: Iterable[PastInteraction]) -> tuple[str, ...]:
    return tuple([past.item_id for past in history if past.value > 0])


def _place(past: PastInteraction) -> tuple[int, str]:
    return -past.time, past.event_id
