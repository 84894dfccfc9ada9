"""Readers without a lock beside a real writer."""

import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from longtail.server.catalogue.columns.columns import Columns
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind, Range
from longtail.server.catalogue.columns.matching import matching
from longtail.server.store.records import ItemChange, State

ITEMS = 50
ROUNDS, BATCHES = 30, 50
SECONDS = 30.0
IDS = [f"item {number}" for number in range(ITEMS)]


@pytest.fixture(autouse=True)
def _threads_take_turns_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def version(item: int, revision: int) -> ItemChange:
    # Everything of a row can be told from its revision, so a half-written row shows.
    return ItemChange(
        id=IDS[item],
        revision=revision,
        removed=False,
        title=str(revision),
        prior=float(revision),
        state=State.ACTIVE,
        available_from=revision,
        available_until=None,
        attributes={"revision": revision, "parity": "odd" if revision % 2 else "even"},
        vector=None,
    )


class Writer:
    """Replaces random items batch by batch, and says which revision readers may go by.

    `moments`: the revisions that were read, one for each reading. However busy the machine, each
    round of batches has a reading of its own: the writer does not begin the next without one.
    """

    def __init__(self) -> None:
        self.columns = Columns()
        self.columns.append([version(item, item + 1) for item in range(ITEMS)])
        self.revision = ITEMS
        self.moments: list[int] = []
        self.failures: list[BaseException] = []
        self.done = False

    def run(self) -> None:
        random = np.random.default_rng(1)
        try:
            for _ in range(ROUNDS):
                for _ in range(BATCHES):
                    self._append(random.choice(ITEMS, random.integers(1, 12)).tolist())
                self._wait_for_a_reading()
        finally:
            self.done = True

    def _append(self, items: list[int]) -> None:
        first = self.revision + 1
        self.columns.append([version(item, at) for at, item in enumerate(items, first)])
        self.revision += len(items)

    def _wait_for_a_reading(self) -> None:
        before = len(self.moments)
        deadline = time.monotonic() + SECONDS
        while len(self.moments) == before and not self.failures:
            assert time.monotonic() < deadline, "nobody reads"
            time.sleep(1e-4)


def read(writer: Writer) -> int:
    """Check one moment, and return it: every item is there once, and whole."""
    columns = writer.columns
    revision = writer.revision
    count = columns.count
    rows = np.flatnonzero(columns.visible(revision, count))
    assert sorted(columns.ids[row] for row in rows.tolist()) == sorted(IDS)
    born = columns.born[rows]
    assert [columns.titles[row] for row in rows.tolist()] == list(map(str, born))
    assert columns.mass(rows).tolist() == born.tolist()
    assert columns.offered(revision, count, revision)[rows].all()
    assert sorted(columns.rows_at(IDS, revision).tolist()) == rows.tolist()
    odd = matching(columns.attributes, ODD, count)
    assert (odd[rows] == (born % 2 == 1)).all()
    later = matching(columns.attributes, LATER, count)
    assert (later[rows] == (born >= 1000)).all()
    return revision


ODD = Filter((Condition("parity", Equals(Kind.TEXT, "odd")),))
LATER = Filter((Condition("revision", Range(Kind.NUMBER, at_least=1000.0)),))


def test_a_reader_sees_each_item_once_and_whole_while_versions_are_appended() -> None:
    writer = Writer()

    def keep_reading() -> None:
        try:
            while not writer.done and not writer.failures:
                writer.moments.append(read(writer))
        except BaseException as failure:
            writer.failures.append(failure)

    readers = [threading.Thread(target=keep_reading) for _ in range(3)]
    for reader in readers:
        reader.start()
    writer.run()
    for reader in readers:
        reader.join()
    assert writer.failures == []
    read(writer)
    assert writer.columns.live_count == ITEMS
