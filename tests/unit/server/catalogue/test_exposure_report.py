"""Exposure from the store to the report, the metrics and the columns."""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from longtail.runtime.errors import InvalidArgument, StorageFull
from longtail.runtime.settings import load
from longtail.server.catalogue.exposure_report import ExposureReport, measure_exposure
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import CatalogueState
from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.process.pools import Pools
from longtail.server.rpc.insight import InsightService
from longtail.server.settings import Settings
from longtail.server.store.clock import now
from longtail.server.store.impressions import EXPOSURE, ImpressionRecords
from longtail.server.store.records import Impression
from longtail.server.upkeep import exposure_watch
from longtail.server.upkeep.exposure_watch import (
    DAY,
    PRUNED_AT_ONCE,
    keep_impressions,
    prune,
    watch_exposure,
)
from longtail.v1 import insight_service_pb2 as pb
from prometheus_client import REGISTRY

from tests.unit.server.catalogues import (
    SETTINGS,
    Written,
    indexer_of,
    interaction,
    item,
    opened,
    view_of,
)

HOUR = 3600 * 10**6


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    with opened(tmp_path) as store:
        store.upsert(item("head", 1, 60.0), item("mid", 2, 40.0), item("tail", 3), item("new", 4))
        yield store


def show(written: Written, name: str, *item_ids: str, time: int, loss: float = 0.0) -> None:
    shown = [
        Impression(name.encode(), item_id, at, "ann", time, loss, 1.0)
        for at, item_id in enumerate(item_ids, 1)
    ]
    written.write(lambda tx: written.store.impressions.write(tx, shown, 2**63))


def exposure(view: CatalogueReplica) -> dict[str, float]:
    columns = view.state.columns
    rows = columns.rows_at(("head", "mid", "tail", "new"), view.revision)
    return dict(zip(("head", "mid", "tail", "new"), columns.exposure(rows).tolist(), strict=True))


def report(written: Written, view: CatalogueReplica, **span: int) -> pb.GetExposureReportResponse:
    service = InsightService(written.store, view, lambda: view.revision, Pools())
    request = pb.GetExposureReportRequest(
        **{name: Timestamp(seconds=seconds) for name, seconds in span.items()}
    )
    return asyncio.run(service.GetExposureReport(request, None))  # type: ignore[arg-type]


def test_a_span_is_reported(written: Written, tmp_path: Path) -> None:
    show(written, "first", "head", "mid", time=10_000_000, loss=0.1)
    show(written, "second", "head", "tail", "gone", time=19_999_999, loss=0.2)
    show(written, "before", "new", time=9_999_999)
    show(written, "after", "new", time=20_000_000)
    view = view_of(written, tmp_path)
    found = report(written, view, start_time=10, end_time=20)
    assert (found.impression_count, found.list_count, found.item_count) == (5, 2, 3)
    assert (found.coverage, found.revision) == (3 / 4, view.revision)
    assert found.gini == pytest.approx(3 / 8)
    assert found.mean_popularity == pytest.approx((60 + 40 + 60 + 0) / 4)
    # A third of a list that has still two thirds of it in the catalogue.
    assert found.tail_fraction == pytest.approx((1 / 3) / (1 + 2 / 3))
    assert found.mean_relevance_loss == pytest.approx(0.15)
    assert (found.shares.head, found.shares.tail) == pytest.approx((2 / 4, 1 / 4))
    assert found.shares.head + found.shares.mid + found.shares.tail == pytest.approx(1)
    assert (found.start_time.seconds, found.end_time.seconds) == (10, 20)


def test_the_last_day_is_the_default(written: Written, tmp_path: Path) -> None:
    show(written, "today", "mid", time=now() - HOUR)
    show(written, "yesterday", "tail", time=now() - 25 * HOUR)
    view = view_of(written, tmp_path)
    found = report(written, view)
    assert (found.impression_count, found.shares.mid) == (1, 1)
    assert found.end_time.ToMicroseconds() - found.start_time.ToMicroseconds() == DAY
    assert abs(found.end_time.ToMicroseconds() - now()) < HOUR
    day_before = now() // 10**6 - 24 * 3600
    assert report(written, view, end_time=day_before).shares.tail == 1
    assert report(written, view, start_time=day_before - 2 * 3600).impression_count == 2


@pytest.mark.parametrize(
    ("span", "field"),
    [
        ({"start_time": 10, "end_time": 10}, "end_time"),
        ({"start_time": 10, "end_time": 9}, "end_time"),
        ({"start_time": 9_000_000_000}, "start_time"),
        ({"start_time": 2**60}, "start_time"),
        ({"end_time": -(2**60)}, "end_time"),
        # The day before would be before all that a Timestamp can hold.
        ({"end_time": -62_135_596_800}, "end_time"),
    ],
)
def test_what_is_no_span_is_refused(
    written: Written, tmp_path: Path, span: dict[str, int], field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        report(written, view_of(written, tmp_path), **span)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_a_catalogue_without_items_is_reported(tmp_path: Path) -> None:
    with opened(tmp_path) as written:
        show(written, "list", "gone", time=10_000_000)
        found = report(written, view_of(written, tmp_path), start_time=1, end_time=20)
        assert (found.impression_count, found.item_count, found.coverage, found.gini) == (
            1,
            0,
            0,
            0,
        )


def test_views_follow_exposure(written: Written, tmp_path: Path) -> None:
    show(written, "first", "head", "tail", time=0)
    loaded = view_of(written, tmp_path)
    assert exposure(loaded) == pytest.approx({"head": 2, "mid": 0, "tail": 2, "new": 0})
    show(written, "second", "head", "new", time=7 * DAY)
    loaded.follow()
    expected = {"head": 1.5 * 4 / 3, "mid": 0, "tail": 0.5 * 4 / 3, "new": 1 * 4 / 3}
    assert exposure(loaded) == pytest.approx(expected)
    assert exposure(view_of(written, tmp_path)) == pytest.approx(expected)
    written.upsert(item("head", 9, 61.0))
    written.remove("mid")
    loaded.follow()
    expected = {name: value * 3 / 4 for name, value in expected.items()}
    for view in (loaded, view_of(written, tmp_path)):
        rows = view.state.columns.rows_at(("head", "tail", "new"), view.revision)
        found = view.state.columns.exposure(rows)
        assert found == pytest.approx([expected[name] for name in ("head", "tail", "new")])


def test_views_follow_another_half_life(written: Written, tmp_path: Path) -> None:
    late = 10_000 * DAY
    show(written, "first", "head", "tail", time=late)
    show(written, "second", "head", "new", time=late + 7 * DAY)
    view = view_of(written, tmp_path)
    assert view.state.columns.mean_exposure() == pytest.approx((1.5 + 0.5 + 1) / 4)
    for half_life, old in ((70 * DAY, 0.5**0.1), (DAY, 0.5**7), (float("inf"), 1.0)):
        written.write(lambda tx, to=half_life: written.store.impressions.set_half_life(tx, to))  # type: ignore[misc]
        view.follow()
        mean = (1 + old + old + 1) / 4
        expected = {"head": (1 + old) / mean, "mid": 0, "tail": old / mean, "new": 1 / mean}
        for each in (view, view_of(written, tmp_path)):
            assert each.state.columns.mean_exposure() == pytest.approx(mean)
            assert exposure(each) == pytest.approx(expected)


def test_exposure_stays_when_the_index_is_merged(written: Written, tmp_path: Path) -> None:
    written.upsert(*(item(f"i{number}", number + 10) for number in range(60)))
    show(written, "list", "head", "tail", time=0)
    view = view_of(written, tmp_path)
    before = exposure(view)
    assert before["head"] == pytest.approx(32)
    indexer_of(written, view, tmp_path).rebuild(view.state.encoder, lambda _done, _total: None)
    assert exposure(view) == pytest.approx(before)


def test_an_item_says_what_came_of_showing_it(written: Written, tmp_path: Path) -> None:
    show(written, "first", "head", "tail", time=0)
    show(written, "second", "head", "gone", time=0)
    written.interact(
        replace(interaction("1", "head"), recommendation_token="first"),
        replace(interaction("2", "head", "bob"), recommendation_token="second"),
        interaction("3", "head", "eve"),
    )
    view = view_of(written, tmp_path)
    service = InsightService(written.store, view, lambda: view.revision, Pools())

    def popularity(item_id: str) -> pb.GetItemPopularityResponse:
        request = pb.GetItemPopularityRequest(item_id=item_id)
        return asyncio.run(service.GetItemPopularity(request, None))  # type: ignore[arg-type]

    # Two of the four impressions of all items were answered.
    head, mid = popularity("head"), popularity("mid")
    assert (head.impression_count, mid.impression_count) == (2, 0)
    assert head.response_rate == pytest.approx((2 + 20 * 0.5) / 22)
    assert mid.response_rate == 0.5


def metrics() -> dict[str, float | None]:
    names = ("coverage", "gini", "tail_fraction", "mean_popularity", "mean_relevance_loss")
    return {name: REGISTRY.get_sample_value(f"longtail_exposure_{name}") for name in names}


async def run(part: Part, watch: Coroutine[None, None, None], rounds: int = 1) -> Part:
    """Let a watch run so many rounds; return its part."""
    exported, left = asyncio.Event(), rounds

    async def rest(_seconds: float) -> None:
        nonlocal left
        left -= 1
        if left:
            return
        exported.set()
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", rest)
        task = asyncio.create_task(watch)
        await asyncio.wait_for(exported.wait(), 60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return part


async def watched(written: Written, view: CatalogueReplica, rounds: int = 1) -> Part:
    part = Part("exposure")
    return await run(part, watch_exposure(written.store, view, part), rounds)


async def kept(written: Written, settings: Settings) -> Part:
    part, office = Part("impressions"), Office()
    office.set(True)
    keeping = keep_impressions(written.store, written._commit, settings, office, part)
    return await run(part, keeping)


async def test_the_watch_keeps_metrics_half_life_and_retention(
    written: Written, tmp_path: Path
) -> None:
    show(written, "today", "mid", "tail", time=now() - HOUR, loss=0.125)
    show(written, "old", "head", time=now() - 3 * DAY)
    settings = load(
        Settings, {"LONGTAIL_EXPOSURE_HALF_LIFE_DAYS": "2", "LONGTAIL_IMPRESSION_DAYS": "2"}
    )
    assert (await kept(written, settings)).well
    assert (await watched(written, view_of(written, tmp_path))).well
    assert metrics() == pytest.approx(
        {
            "coverage": 0.5,
            "gini": 0.5,
            "tail_fraction": 0.5,
            "mean_popularity": 20,
            "mean_relevance_loss": 0.125,
        }
    )
    assert written.write(EXPOSURE.half_life) == 2 * DAY
    assert written.store.impressions.shown(0, now()).impressions == 2


async def test_a_full_disk_does_not_end_the_watch(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(written.store.impressions, "prune", full)
    assert not (await kept(written, SETTINGS)).well


async def test_a_fault_does_not_end_the_watch(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [ZeroDivisionError, MemoryError]

    def broken(
        records: ImpressionRecords, state: CatalogueState, start: int, end: int
    ) -> ExposureReport:
        if faults:
            raise faults.pop()
        return measure_exposure(records, state, start, end)

    monkeypatch.setattr(exposure_watch, "measure_exposure", broken)
    view = view_of(written, tmp_path)
    assert (await watched(written, view, rounds=3)).well
    assert not faults


async def test_more_than_a_batch_is_removed(written: Written) -> None:
    count = 2 * PRUNED_AT_ONCE + 1
    show(written, "list", *(f"i{number}" for number in range(count)), time=5)
    assert await prune(written.store, written._commit, 6) == count
    assert written.store.impressions.shown(0, 10).impressions == 0


def test_a_report_goes_by_the_revision_it_names(written: Written, tmp_path: Path) -> None:
    show(written, "list", "head", "tail", time=5)
    view = view_of(written, tmp_path)
    written.remove("tail")
    assert measure_exposure(written.store.impressions, view.state, 0, 9).items == 2
    view.follow()
    found = measure_exposure(written.store.impressions, view.state, 0, 9)
    assert (found.items, found.coverage) == (1, 1 / 3)
