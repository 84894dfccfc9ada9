"""Statistics of the catalogue: counted once for each revision, and never behind what is known."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.server.process.pools import Pools
from longtail.server.rpc.insight import InsightService
from longtail.server.store.records import Counts
from longtail.v1 import insight_service_pb2 as pb

from tests.unit.server.catalogues import Written, interaction, item, opened, view_of


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    with opened(tmp_path) as store:
        store.upsert(item("first", 1), item("second", 2))
        yield store


def test_they_are_counted_once_for_each_revision(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(written, tmp_path)
    counted, count = [], written.store.counts

    def counts() -> Counts:
        counted.append(view.revision)
        return count()

    monkeypatch.setattr(written.store, "counts", counts)
    with Pools() as pools:
        service = InsightService(written.store, view, lambda: view.revision, pools)

        def stats() -> tuple[int, int, int, int]:
            request = pb.GetCatalogStatsRequest()
            told = asyncio.run(service.GetCatalogStats(request, None))  # type: ignore[arg-type]
            assert told.revision == view.revision
            return told.item_count, told.interaction_count, told.user_count, told.tail.item_count

        first = view.revision
        assert [stats(), stats()] == 2 * [(2, 0, 0, 2)]
        written.interact(interaction("1", "first", "ann"), interaction("2", "first", "bob"))
        view.follow()
        assert [stats(), stats()] == 2 * [(2, 2, 2, 1)]
        written.remove("second")
        view.follow()
        assert [stats(), stats()] == 2 * [(1, 2, 2, 0)]
    assert counted == sorted({first, *counted})
    assert len(counted) == 3
