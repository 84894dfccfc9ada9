"""A catalogue whose graphs are in a real engine: kept up, taken over, lost, and built again."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from longtail.server.catalogue import indexer as indexer_module
from longtail.server.catalogue.index.engines.backend import EngineError
from longtail.server.catalogue.index.engines.engine import Engine, EngineGraphs
from longtail.server.catalogue.index.engines.pgvector.pgvector import PgVector
from longtail.server.catalogue.replica import CatalogueReplica

from tests.unit.server.catalogue.test_indexer import running, until
from tests.unit.server.catalogues import (
    SETTINGS,
    Written,
    contents,
    indexer_of,
    item,
    nearest,
    opened,
    pictured,
    view_of,
)

ITEMS = range(1000)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(indexer_module, "RETRY_SECONDS", 0.02)


@contextmanager
def view_over(
    written: Written, folder: Path, url: str
) -> Iterator[tuple[Engine, CatalogueReplica]]:
    """Give a process's own engine and view."""
    engine = Engine(PgVector(url))
    with suppress(EngineError):
        engine.check()
    index = folder / "index"
    index.mkdir(exist_ok=True)
    try:
        graphs = EngineGraphs(engine, index)
        yield engine, CatalogueReplica(written.store, written.encoder, SETTINGS, index, graphs)
    finally:
        engine.close()


def test_a_catalogue_is_built_followed_and_taken_over(tmp_path: Path, postgresql_url: str) -> None:
    with opened(tmp_path) as written, view_over(written, tmp_path, postgresql_url) as (_, view):
        pictures = written.declare("pictures", 16)
        written.upsert(*(item(f"i{number}", number) for number in ITEMS))
        written.upsert(*(pictured(f"p{number}", pictures, number) for number in range(60)))
        view.follow()
        with running(indexer_of(written, view, tmp_path)):
            until(lambda: view.state.index.graph_rows == 1060)
            until(lambda: view.state.spaces["pictures"].index.graph_rows == 60)
            # Read at once, dead at once, and merged into the same collection.
            written.upsert(*(item(f"i{number}", number + 5000) for number in range(60)))
            written.remove("i900")
            view.follow()
            assert nearest(view, 5001, 1) == ["i1"]
            assert nearest(view, 900, 1) != ["i900"]
            until(lambda: view.state.index.graph_rows > 1060)
            with view_over(written, tmp_path, postgresql_url) as (_, follower):
                assert follower.state.index.graph_rows == view.state.index.graph_rows
                for seed in (3, 5001, 700):
                    assert nearest(follower, seed) == nearest(view, seed)
        in_memory = view_of(written, tmp_path / "memory")
        assert contents(view) == contents(in_memory)
        for seed in (3, 5001, 700, 900):
            assert len(set(nearest(view, seed)) & set(nearest(in_memory, seed))) >= 9
        assert view.state.index.nbytes < in_memory.state.index.nbytes


def test_what_the_engine_lost_is_built_anew_by_itself(tmp_path: Path, postgresql_url: str) -> None:
    with opened(tmp_path) as written:
        with view_over(written, tmp_path, postgresql_url) as (_, view):
            written.upsert(*(item(f"i{number}", number) for number in ITEMS))
            view.follow()
            with running(indexer_of(written, view, tmp_path)):
                until(lambda: view.state.index.graph_rows == 1000)
        with view_over(written, tmp_path, postgresql_url) as (engine, view):
            [name] = engine.backend.collections("longtail_")
            engine.backend.drop(name)
            # It starts all the same, and answers.
            assert view.state.index.graph_rows == 1000
            assert nearest(view, 7, 1) == ["i7"]
            engine.check()
            assert view.state.index.is_lost
            with running(indexer_of(written, view, tmp_path)):
                until(lambda: not view.state.index.is_lost)
            assert nearest(view, 7, 1) == ["i7"]
            assert engine.backend.collections("longtail_") not in ([], [name])


def test_a_start_without_the_engine_answers_from_the_vectors(
    tmp_path: Path, postgresql_url: str
) -> None:
    with opened(tmp_path) as written:
        with view_over(written, tmp_path, postgresql_url) as (_, view):
            written.upsert(*(item(f"i{number}", number) for number in ITEMS))
            view.follow()
            with running(indexer_of(written, view, tmp_path)):
                until(lambda: view.state.index.graph_rows == 1000)
            expected = nearest(view, 7)
        nowhere = "postgresql://ann@127.0.0.1:1/nowhere"
        with view_over(written, tmp_path, nowhere) as (_, view):
            assert view.state.index.graph_rows == 1000
            assert nearest(view, 7) == expected
            written.upsert(item("new", 12_345))
            view.follow()
            assert nearest(view, 12_345, 1) == ["new"]
