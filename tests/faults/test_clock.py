"""A wall clock that is set back, and forward again, under a server."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

from tests import processes
from tests.faults.answers import check_exact, check_sound, questions
from tests.faults.clock import FakeClock, fake_clock
from tests.faults.contents import Contents, read
from tests.faults.extent import extent
from tests.faults.filled import SETTINGS
from tests.faults.items import Material
from tests.faults.stores import check_store, generations, wait_for
from tests.faults.tally import Tally
from tests.faults.writes import Delete, Record, Upsert, Write

pytestmark = pytest.mark.model

DAY = 86_400
# Seconds by which the clock is wrong, one time after the other.
OFFSETS = extent((0, -DAY, 0), (0, -DAY, -30 * DAY, 400 * DAY, -1, 0))
ROUND, PAGE = 80, 3
USER = "someone"


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[FakeClock]:
    with fake_clock(tmp_path) as made:
        yield made


def test_a_clock_that_is_set_back_changes_no_order_and_loses_nothing(
    worker_address: str, material: Material, tmp_path: Path, clock: FakeClock, tally: Tally
) -> None:
    home, written = tmp_path / "store", Written(material)
    home.mkdir()
    for _ in range(2):
        with (
            processes.server(home, worker_address, **SETTINGS, **clock.variables) as running,
            LongtailClient(running.address) as client,
        ):
            for offset in OFFSETS:
                clock.set(offset)
                before = generations(home)
                written.write(client, offset)
                check_all(client, written)
                wait_for(lambda: bool(generations(home) - before))  # noqa: B023
                check_all(client, written)
                client.wait_for_operation(client.create_snapshot().operation.id)
                tally.count("settings of the clock")
            assert running.stop() == 0
        # The next start is a day before the last writes.
        clock.set(-DAY)
    assert all(earlier < later for earlier, later in pairwise(written.revisions))
    tally.count("writes acknowledged", len(written.revisions))
    with (
        processes.server(home, worker_address, **SETTINGS, **clock.variables) as running,
        LongtailClient(running.address) as client,
    ):
        check_all(client, written)
        snapshots = [snapshot.revision for snapshot in client.list_snapshots().snapshots]
        assert len(snapshots) == 2 * len(OFFSETS)
        assert snapshots == sorted(snapshots, reverse=True)
        assert running.stop() == 0
    check_store(home)


def test_items_are_available_by_the_clock_as_it_is_now(
    worker_address: str, material: Material, tmp_path: Path, clock: FakeClock
) -> None:
    noon = int(time.time())
    item, until = material.item("from", 1), material.item("until", 2)
    item.available_from.FromSeconds(noon - DAY // 2)
    until.available_until.FromSeconds(noon - DAY // 2)
    with (
        processes.server(tmp_path, worker_address, **clock.variables) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items([item, until])
        for offset, offered in ((0, "from"), (-DAY, "until"), (0, "from"), (-DAY, "until")):
            clock.set(offset)
            found = client.recommend(page_size=10)
            assert [result.item_id for result in found.results] == [offered]


class Written:
    """What was written, round by round: the items, what else the store holds, the revisions."""

    def __init__(self, material: Material) -> None:
        self.items: dict[str, Item] = {}
        self.contents = Contents()
        self.revisions: list[int] = []
        self.material = material
        self._round = 0
        self._offset = 0
        self._answered: list[tuple[Write, int]] = []

    def write(self, client: LongtailClient, offset: int) -> None:
        """Write a round under a clock that was just set to `offset`."""
        if offset > self._offset:
            # A request_id is known for a day, and more may have passed for the server.
            self._answered.clear()
        self._offset = offset
        for write in self._writes():
            revision = write.send(client)
            write.apply(self.contents)
            self.revisions.append(revision)
            if not isinstance(write, Record):
                self._answered.append((write, revision))
        self._round += 1
        for write, revision in self._answered:
            assert write.send(client) == revision

    def _writes(self) -> Iterator[Write]:
        first = self._round * ROUND
        ids = {number: f"item-{number:05d}" for number in range(first, first + ROUND)}
        items = [self.material.item(item_id, number) for number, item_id in ids.items()]
        changed = [self.material.item(ids[number], number, 1) for number in range(first, first + 5)]
        gone = list(ids.values())[-5:]
        self.items.update({item.id: item for item in [*items, *changed] if item.id not in gone})
        yield Upsert(items, f"upsert-{self._round}")
        yield Upsert(changed, f"change-{self._round}")
        yield Delete(gone, frozenset(gone), f"delete-{self._round}")
        # The server says when they happened.
        yield Record(
            [
                Interaction(event_id=f"{item_id}-event", user_id=USER, item_id=item_id, type="view")
                for item_id in list(ids.values())[:7]
            ]
        )


def check_all(client: LongtailClient, written: Written) -> None:
    """Fail unless what was written is there, once and in order, and is found."""
    found = read(client, [USER])
    assert found.items == written.contents.items
    assert found.events.keys() == written.contents.events.keys()
    events = list(client.list_interactions(user_id=USER, page_size=PAGE))
    assert {event.event_id: event for event in events} == found.events
    assert len(events) == len(found.events)
    order = [(-event.time.ToNanoseconds(), event.event_id) for event in events]
    assert order == sorted(order)
    paged = [item.id for item in client.list_items(page_size=PAGE)]
    assert paged == sorted(written.contents.items)
    check_exact(client, questions(written.material), written.items)
    check_sound(client, questions(written.material, [USER]), written.contents)
