"""Graphs in a real Milvus: what holds of every engine, and what is peculiar to it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.index.build import build
from longtail.server.catalogue.index.engines.backend import Backend, EngineError
from longtail.server.catalogue.index.engines.milvus import Milvus
from longtail.server.catalogue.index.graph import IndexParameters
from longtail.server.catalogue.index.vector_index import VectorIndex
from pymilvus import MilvusClient

from tests import milvus
from tests.unit.server.engine_checks import CHECKS, folders
from tests.unit.server.index_material import everything, ignore, source, vectors

# A collection is loaded tens of seconds after its server is there again.
LOADED_SECONDS = 150.0


@pytest.fixture
def backend(milvus_server: milvus.Milvus) -> Iterator[Milvus]:
    backend = Milvus(milvus_server.uri)
    yield backend
    for name in backend.collections("longtail_"):
        backend.drop(name)
    backend.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_engine(check: Callable[[Backend, Path], None], backend: Milvus, tmp_path: Path) -> None:
    check(backend, tmp_path / "index")


def test_what_is_finished_is_searched_by_its_graph(
    milvus_server: milvus.Milvus, backend: Milvus
) -> None:
    rows, parameters = 10_000, IndexParameters(384, links=16, ef_construction=200, ef_search=400)
    drawn = np.random.default_rng(1).standard_normal((rows, 384), np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    backend.create("longtail_x", parameters)
    backend.append("longtail_x", np.arange(rows), np.arange(rows), drawn)
    backend.finish("longtail_x", parameters, lambda: None)
    # Milvus serves a segment at first by an index that it makes up, which misses a tenth.
    loaded = MilvusClient(milvus_server.uri).list_loaded_segments("longtail_x")
    assert sum(each.num_rows for each in loaded) >= rows
    assert all(each.index_id for each in loaded)


def test_one_that_hangs_or_dies_is_scanned_around_and_found_again(
    milvus_server: milvus.Milvus, backend: Milvus, tmp_path: Path
) -> None:
    rows, scope = vectors(1500), everything(1500)
    query = vectors(1, seed=2)[0]
    with folders(backend, tmp_path / "index") as (engine, there):
        index = VectorIndex.of(build(there, source(rows), None, ignore))
        expected = index.scan(query, 40, scope)[0].tolist()

        def answers() -> None:
            started = time.monotonic()
            for k in range(20, 40):
                assert index.search(query, k, scope)[0].tolist() == expected[:k]
            # At most one of them has waited for the engine.
            assert time.monotonic() - started < 5

        milvus_server.pause()
        try:
            answers()
            with pytest.raises(EngineError):
                engine.check()
        finally:
            milvus_server.go_on()
        _wait_for(engine.check)
        milvus_server.kill()
        answers()
        milvus_server.start()
        # It answers, but what it holds is not loaded yet: that is no loss, and nothing is wrong.
        with pytest.raises(EngineError):
            engine.check()
        answers()
        _wait_for(engine.check)
        assert not index.is_lost
        found = [index.search(each, 1, scope)[0].tolist() for each in rows[:20]]
        assert found == [[row] for row in range(20)]


def _wait_for(check: Callable[[], None]) -> None:
    deadline = time.monotonic() + LOADED_SECONDS
    while True:
        try:
            return check()
        except EngineError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
