"""The indexer: when it merges and rebuilds, who owns the index, and what a failure costs."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from longtail.server.catalogue import indexer as indexer_module
from longtail.server.catalogue.index.build import Progress, Source, build
from longtail.server.catalogue.index.generation import Generation, Target
from longtail.server.catalogue.indexer import LOCK_FILE, Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import CatalogueState
from longtail.server.process.part import Part
from longtail.server.store.changes import ChangeLog
from longtail.server.store.records import BoundEncoder, EncoderBinding
from prometheus_client import REGISTRY

from tests.unit.server.catalogues import (
    Written,
    contents,
    indexer_of,
    item,
    nearest,
    unit,
    view_of,
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(indexer_module, "RETRY_SECONDS", 0.02)


def write(written: Written, view: CatalogueReplica, numbers: range, shift: int = 0) -> None:
    written.upsert(*(item(f"i{number:03}", number + shift) for number in numbers))
    view.follow()


@contextmanager
def running(indexer: Indexer) -> Iterator[threading.Event]:
    owns = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            indexer.run(owns.set)
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield owns
    finally:
        indexer.stop()
        thread.join()
    assert failures == []


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_delta_is_merged_when_it_is_long_enough(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    write(written, view, range(49))
    with running(indexer_of(written, view, tmp_path)) as owns:
        assert owns.wait(60)
        time.sleep(0.1)
        assert view.state.index.graph_rows == 0
        write(written, view, range(49, 50))
        until(lambda: view.state.index.graph_rows == 50)
    assert view.delta_count == 0
    assert nearest(view, 7, 1) == ["i007"]


def test_a_graph_of_many_dead_rows_is_built_anew(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    write(written, view, range(400))
    with running(indexer_of(written, view, tmp_path)):
        until(lambda: view.state.index.graph_rows == 400)
        # Three in four stay: not enough to build anew, and too few for a merge.
        write(written, view, range(49), shift=1000)
        time.sleep(0.1)
        assert (view.state.index.graph_rows, view.tombstone_count) == (400, 49)
    # Nobody looks meanwhile: half of these would be merged before the others are dead.
    write(written, view, range(49, 110), shift=1000)
    with running(indexer_of(written, view, tmp_path)):
        until(lambda: view.tombstone_count == 0)
    assert view.state.index.graph_rows == 400
    assert contents(view) == contents(view_of(written, tmp_path / "elsewhere"))


def test_one_process_builds_and_the_others_take_over(written: Written, tmp_path: Path) -> None:
    first, second = view_of(written, tmp_path), view_of(written, tmp_path)
    with running(indexer_of(written, first, tmp_path)) as owns:
        assert owns.wait(60)
        with running(indexer_of(written, second, tmp_path)) as would_own:
            write(written, first, range(120))
            second.follow()
            until(lambda: second.state.index.graph_rows == 120)
            assert not would_own.is_set()
            assert nearest(second, 7, 1) == ["i007"]


def test_the_others_are_ready_for_another_encoder_when_the_switch_comes(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = view_of(written, tmp_path), view_of(written, tmp_path)
    write(written, first, range(30))
    encoders = written.store.encoders
    owner = indexer_of(written, first, tmp_path)
    with running(owner) as owns:
        assert owns.wait(60)
        with running(indexer_of(written, second, tmp_path)):
            binding = EncoderBinding("tiny@2", 16)
            coming = written.write(lambda tx: encoders.prepare(tx, binding))
            rows = [(text.id, text.revision, unit(1)) for text in encoders.pending(coming.id, 99)]
            written.write(lambda tx: encoders.put_vectors(tx, coming.id, rows))
            loaded: list[BoundEncoder] = []
            load = second._load

            def counting(encoder: BoundEncoder) -> CatalogueState:
                loaded.append(encoder)
                return load(encoder)

            monkeypatch.setattr(second, "_load", counting)
            owner.rebuild(coming, lambda _done, _total: None)
            until(lambda: second._staged is not None)
            written.write(lambda tx: encoders.switch(tx, coming.id, after=0))
            until(lambda: second.state.encoder == coming)
    assert second.live_count == 30
    assert loaded == [coming]


def test_another_process_builds_when_the_owner_has_gone(written: Written, tmp_path: Path) -> None:
    first, second = view_of(written, tmp_path), view_of(written, tmp_path)
    with running(indexer_of(written, first, tmp_path)) as owns:
        assert owns.wait(60)
    with running(indexer_of(written, second, tmp_path)) as owns:
        assert owns.wait(60)
        write(written, second, range(60))
        until(lambda: second.state.index.graph_rows == 60)


def test_a_failed_build_is_tried_again_and_costs_no_answer(
    written: Written, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    view = view_of(written, tmp_path)
    folder = view.target(view.state.encoder).folder
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    with running(indexer_of(written, view, tmp_path)):
        write(written, view, range(60))
        until(lambda: "part=indexer" in caplog.text)
        assert nearest(view, 7, 1) == ["i007"]
        folder.unlink()
        until(lambda: view.state.index.graph_rows == 60)


def test_a_generation_that_was_damaged_since_is_not_built_on(
    written: Written, tmp_path: Path
) -> None:
    view = view_of(written, tmp_path)
    with running(indexer_of(written, view, tmp_path)):
        write(written, view, range(60))
        until(lambda: view.state.index.graph_rows == 60)
        for graph in (tmp_path / "index").rglob("graph.hnsw"):
            data = bytearray(graph.read_bytes())
            data[len(data) // 2] ^= 1
            graph.write_bytes(data)
        write(written, view, range(60, 130))
        until(lambda: view.state.index.graph_rows == 130)
    assert contents(view) == contents(view_of(written, tmp_path / "elsewhere"))


def test_the_folder_of_a_retired_encoder_goes(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    retired = tmp_path / "index" / "encoder-99"
    retired.mkdir(parents=True)
    with running(indexer_of(written, view, tmp_path)):
        until(lambda: not retired.exists())


def test_a_lost_folder_is_written_again(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    with running(indexer_of(written, view, tmp_path)):
        write(written, view, range(60))
        until(lambda: view.state.index.graph_rows == 60)
        # moved in one step: the indexer may be writing there at this moment
        view.target(view.state.encoder).folder.rename(tmp_path / "lost")
        write(written, view, range(60, 120))
        until(lambda: view.state.index.graph_rows == 120)
    assert view_of(written, tmp_path).state.index.graph_rows == 120


def test_an_index_that_is_replaced_is_freed_without_the_collector(
    written: Written, tmp_path: Path
) -> None:
    view = view_of(written, tmp_path)
    write(written, view, range(50))
    held: list[object] = [view.state, view.state.index, view.state.columns, view.state.popularity]
    view.state.popularity.scale()
    replaced = [weakref.ref(each) for each in held]
    gc.collect()
    gc.disable()
    try:
        held.clear()
        indexer_of(written, view, tmp_path).rebuild(view.state.encoder, lambda *_: None)
        assert [each() for each in replaced] == [None] * 4
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("no graph"), ValueError("rows")])
def test_no_failure_of_a_build_ends_the_indexer(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    told: list[bool] = []
    failures = [error] * 3

    def failing(
        target: Target, source: Source, previous: Generation | None, progress: Progress
    ) -> Generation:
        if failures:
            raise failures.pop()
        return build(target, source, previous, progress)

    def counted() -> float:
        labels = {"part": "indexer"}
        return REGISTRY.get_sample_value("longtail_part_failures_total", labels) or 0.0

    monkeypatch.setattr(indexer_module, "build", failing)
    view, before = view_of(written, tmp_path), counted()
    with running(indexer_of(written, view, tmp_path, part=Part("indexer", told.append))):
        write(written, view, range(60))
        until(lambda: view.state.index.graph_rows == 60)
        until(lambda: told == [False, True])
    assert counted() - before == 3
    assert nearest(view, 7, 1) == ["i007"]


def test_an_indexer_that_cannot_begin_tries_again(written: Written, tmp_path: Path) -> None:
    told: list[bool] = []
    (tmp_path / "index" / LOCK_FILE).mkdir(parents=True)
    view = view_of(written, tmp_path)
    with running(indexer_of(written, view, tmp_path, part=Part("indexer", told.append))) as owns:
        until(lambda: told == [False])
        (tmp_path / "index" / LOCK_FILE).rmdir()
        assert owns.wait(60)


def test_who_cannot_take_over_tries_again(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    first, second = view_of(written, tmp_path), view_of(written, tmp_path)
    adopt, failures = second.adopt, [MemoryError(), MemoryError()]

    def failing(generation: Generation) -> bool:
        if failures:
            raise failures.pop()
        return adopt(generation)

    monkeypatch.setattr(second, "adopt", failing)
    with running(indexer_of(written, first, tmp_path)) as owns:
        assert owns.wait(60)
        with running(indexer_of(written, second, tmp_path, part=Part("indexer", told.append))):
            write(written, first, range(60))
            until(lambda: second.state.index.graph_rows == 60)
            until(lambda: told == [False, True])


def test_what_is_just_being_taken_in_is_not_merged(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(written, tmp_path)
    indexer = indexer_of(written, view, tmp_path)
    due: list[bool] = []
    count = CatalogueState.count_popularity

    def counting(state: CatalogueState, changes: ChangeLog, *, after: int, until: int) -> None:
        due.append(indexer._is_due(state))
        count(state, changes, after=after, until=until)

    monkeypatch.setattr(CatalogueState, "count_popularity", counting)
    write(written, view, range(60))
    assert (due, indexer._is_due(view.state)) == ([False], True)
