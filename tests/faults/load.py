"""A mixed load of writes by several callers, each of which knows what it was told.

A caller writes items and interactions of its own, one call at a time, so that what the store holds
of them is known at every moment but for the call in flight.
"""

import threading
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from longtail.client import LongtailClient, LongtailError
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import STATE_ACTIVE, STATE_HIDDEN, Item

from tests.faults.contents import Contents, union
from tests.faults.items import IMAGE, IMAGE_DIMENSION, Material
from tests.faults.writes import Delete, Forget, Record, Update, Upsert, Write

CALLERS, OWN_ITEMS = 4, 400
PEOPLE = 8
BATCH = 12
# Of upserts, updates, deletes, interactions, and people forgotten.
SHARES = (0.35, 0.2, 0.15, 0.27, 0.03)
# Calls that were answered, and the share of calls after which one of those is sent again.
REMEMBERED, REPEATED = 5, 0.1


@dataclass(frozen=True)
class _Answered:
    write: Write
    revision: int


class Caller:
    """One that writes. `contents` are what was acknowledged, `pending` what was not yet.

    `failure` is what ended the last run, if anything did.
    """

    def __init__(self, place: int, material: Material) -> None:
        self.contents = Contents()
        self.pending: Write | None = None
        self.failure: LongtailError | None = None
        self.acknowledged = 0
        self.revision = 0
        self._name = f"caller-{place}"
        self._material = material
        self._numbers = range(place * OWN_ITEMS, (place + 1) * OWN_ITEMS)
        self._random = np.random.default_rng(place)
        self._versions = 0
        self._requests = 0
        self._events = 0
        self._answered: deque[_Answered] = deque(maxlen=REMEMBERED)

    @property
    def users(self) -> list[str]:
        """The people whose interactions it records."""
        return [f"{self._name}-user-{person}" for person in range(PEOPLE)]

    def begin(self, client: LongtailClient) -> None:
        """Write all its items."""
        client.create_vector_space(IMAGE, IMAGE_DIMENSION)
        items = [
            self._material.item(_item_id(number), number, pictured=number % 2 == 0)
            for number in self._numbers
        ]
        self.pending = Upsert(items, self._request_id())
        self.retry(client)

    def run(self, address: str, stop: threading.Event, ends_with: Collection[str]) -> None:
        """Write until told to stop, or until a call fails with a status of `ends_with`."""
        with LongtailClient(address) as client:
            try:
                while not stop.is_set():
                    self.pending = self._next()
                    self.retry(client)
                    if self._random.random() < REPEATED:
                        self._repeat(client)
            except LongtailError as error:
                if error.code.name not in ends_with:
                    raise
                self.failure = error

    def retry(self, client: LongtailClient) -> None:
        """Send what is not acknowledged yet, and take it as done when it is."""
        if self.pending is None:
            return
        revision = self.pending.send(client)
        assert revision >= self.revision
        self.pending.apply(self.contents)
        if not isinstance(self.pending, Record | Forget):
            self._answered.append(_Answered(self.pending, revision))
        self.pending = None
        self.revision = revision
        self.acknowledged += 1

    def possible(self) -> list[Contents]:
        """Return what the store may hold: what was acknowledged, or that and the call in flight."""
        if self.pending is None:
            return [self.contents]
        after = self.contents.copy()
        self.pending.apply(after)
        return [self.contents, after]

    def own(self, whole: Contents) -> Contents:
        """Return the part of `whole` that it wrote."""
        ids = {_item_id(number) for number in self._numbers}
        return Contents(
            {key: item for key, item in whole.items.items() if key in ids},
            {key: event for key, event in whole.events.items() if key.startswith(f"{self._name}-")},
        )

    def _repeat(self, client: LongtailClient) -> None:
        """Send again what was answered: it gets the first answer and has no effect."""
        if self._answered:
            answered = self._answered[int(self._random.integers(len(self._answered)))]
            assert answered.write.send(client) == answered.revision

    def _next(self) -> Write:
        kinds = (self._upsert, self._update, self._delete, self._record, self._forget)
        chosen = int(self._random.choice(len(kinds), p=SHARES))
        return kinds[chosen]()

    def _upsert(self) -> Write:
        self._versions += 1
        numbers = self._random.choice(self._numbers, size=BATCH, replace=False).tolist()
        # Most have a vector of their own, so that writes come fast.
        items = [
            self._material.item(
                _item_id(number),
                number,
                self._versions,
                own_vector=position > 0,
                pictured=position % 2 == 0,
            )
            for position, number in enumerate(numbers)
        ]
        return Upsert(items, self._request_id())

    def _update(self) -> Write:
        item_id = self._any_item()
        if item_id is None:
            return self._upsert()
        self._versions += 1
        after = Item()
        after.CopyFrom(self.contents.items[item_id])
        after.popularity_prior = self._versions % 11
        after.attributes["year"] = 1990 + self._versions % 30
        after.state = STATE_HIDDEN if self._versions % 5 == 0 else STATE_ACTIVE
        after.title = f"{after.title} {self._versions}"[-100:]
        fields = ["popularity_prior", "attributes.year", "state", "title"]
        return Update(after, fields, after, self._request_id())

    def _delete(self) -> Write:
        count = 1 if self._random.random() < 0.5 else BATCH
        numbers = self._random.choice(self._numbers, size=count, replace=False).tolist()
        ids = [_item_id(number) for number in numbers]
        present = frozenset(ids) & self.contents.items.keys()
        return Delete(ids, present, self._request_id())

    def _record(self) -> Write:
        known = list(self.contents.events.values())[-2:]
        events = [self._event() for _ in range(int(self._random.integers(1, BATCH)))]
        return Record([*known, *events])

    def _event(self) -> Interaction:
        self._events += 1
        event = Interaction(
            event_id=f"{self._name}-event-{self._events}",
            user_id=self.users[self._events % PEOPLE],
            # Anybody's item.
            item_id=_item_id(int(self._random.integers(CALLERS * OWN_ITEMS))),
            type="view",
            value=1.0,
        )
        event.time.FromSeconds(1_700_000_000 + self._events)
        return event

    def _forget(self) -> Write:
        return Forget(self.users[int(self._random.integers(PEOPLE))])

    def _any_item(self) -> str | None:
        ids = sorted(self.contents.items)
        return ids[int(self._random.integers(len(ids)))] if ids else None

    def _request_id(self) -> str:
        self._requests += 1
        return f"{self._name}-request-{self._requests}"


def callers(material: Material) -> list[Caller]:
    """Return callers, who share no item, event or person."""
    return [Caller(place, material) for place in range(CALLERS)]


# How calls end whose server goes: gRPC cancels those that come while it drains.
GONE = ("UNAVAILABLE", "CANCELLED")


@contextmanager
def writing(
    writers: Sequence[Caller], address: str, *, ends_with: Collection[str] = GONE
) -> Iterator[list[Future[None]]]:
    """Have the callers write while the block runs, or until a call fails with one of `ends_with`.

    Yields the running callers. Raises what any of them fails with otherwise.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(len(writers)) as threads:
        running = [threads.submit(writer.run, address, stop, ends_with) for writer in writers]
        try:
            yield running
        finally:
            stop.set()
    for thread in running:
        thread.result()


def users(writers: Sequence[Caller]) -> list[str]:
    """Return the people whose interactions the callers record."""
    return [user for writer in writers for user in writer.users]


def check_nothing_lost(writers: Sequence[Caller], found: Contents) -> None:
    """Fail when the store lacks what was acknowledged, or holds what was never sent."""
    parts = [writer.own(found) for writer in writers]
    for writer, part in zip(writers, parts, strict=True):
        assert part in writer.possible()
    assert union(parts) == found


def _item_id(number: int) -> str:
    return f"item-{number:05d}"
