"""Statistics of the catalogue: counted once for each revision, and never behind what is known."""

import asyncio
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest
from longtail.server.process.pools import Pools
from longtail.server.rpc.insight import InsightService
from longtail.server.store.records import Counts
from longtail.v1 import insight_service_pb2 as pb

from tests.unit.server.catalogues import Written, interaction, item, opened, view_of


class Statistics:
    """The service, and how often it counted."""

    def __init__(
        self, written: Written, folder: Path, pools: Pools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.view = view_of(written, folder)
        self.counted = 0
        count = written.store.counts

        def counts() -> Counts:
            self.counted += 1
            return count()

        monkeypatch.setattr(written.store, "counts", counts)
        self._service = InsightService(written.store, self.view, lambda: self.view.revision, pools)

    async def ask(self) -> tuple[int, int, int, int]:
        request = pb.GetCatalogStatsRequest()
        # It has no use for the call's context.
        told = await self._service.GetCatalogStats(request, None)  # type: ignore[arg-type]
        assert told.revision == self.view.revision
        return told.item_count, told.interaction_count, told.user_count, told.tail.item_count


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    with opened(tmp_path) as store:
        store.upsert(item("first", 1), item("second", 2))
        yield store


@pytest.fixture
def statistics(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Statistics]:
    with Pools() as pools:
        yield Statistics(written, tmp_path, pools, monkeypatch)


async def test_they_are_counted_once_for_each_revision(
    written: Written, statistics: Statistics
) -> None:
    assert [await statistics.ask() for _ in range(2)] == 2 * [(2, 0, 0, 2)]
    written.interact(interaction("1", "first", "ann"), interaction("2", "first", "bob"))
    statistics.view.follow()
    assert [await statistics.ask() for _ in range(2)] == 2 * [(2, 2, 2, 1)]
    written.remove("second")
    statistics.view.follow()
    assert [await statistics.ask() for _ in range(2)] == 2 * [(1, 2, 2, 0)]
    assert statistics.counted == 3


async def test_of_those_who_come_at_once_one_counts(statistics: Statistics) -> None:
    told = await asyncio.gather(*(statistics.ask() for _ in range(12)))
    assert told == 12 * [(2, 0, 0, 2)]
    assert statistics.counted == 1


async def test_they_are_counted_anew_when_the_scale_of_popularity_has_caught_up(
    statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    await statistics.ask()
    popularity = statistics.view.state.popularity
    later = copy(popularity.scale())
    monkeypatch.setattr(popularity, "scale", lambda: later)
    await statistics.ask()
    await statistics.ask()
    assert statistics.counted == 2
