"""Graphs in a real PostgreSQL with pgvector."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psycopg
import pytest
from longtail.server.catalogue.index.build import build
from longtail.server.catalogue.index.engines.backend import Backend, EngineError
from longtail.server.catalogue.index.engines.engine import WELL, Engine
from longtail.server.catalogue.index.engines.pgvector import pgvector as module
from longtail.server.catalogue.index.engines.pgvector.pgvector import PgVector
from longtail.server.catalogue.index.graph import Matrix, Rows
from longtail.server.catalogue.index.vector_index import VectorIndex

from tests.unit.server.engine_checks import CHECKS, folders
from tests.unit.server.index_material import PARAMETERS, everything, ignore, source, vectors

LIMITS = ("CONNECT_SECONDS", "CALL_SECONDS", "SEARCH_SECONDS")


@pytest.fixture
def backend(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PgVector]:
    # Whether it answers in time is for the tests that are about it.
    for limit in LIMITS:
        monkeypatch.setattr(module, limit, 60)
    backend = PgVector(postgresql_url)
    yield backend
    backend.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_engine(
    check: Callable[[Backend, Path], None], backend: PgVector, tmp_path: Path
) -> None:
    check(backend, tmp_path / "index")


def test_vectors_are_those_that_were_given_in_half_precision(
    backend: PgVector, postgresql_url: str
) -> None:
    rows = vectors(3)
    backend.create("longtail_x", PARAMETERS)
    backend.append("longtail_x", np.array([5, 7, 2**40]), np.array([1, 2, 2**50]), rows)
    with psycopg.connect(postgresql_url) as connection:
        found = connection.execute("SELECT row_id, revision, vector::text FROM longtail_x")
        table = found.fetchall()
    assert [(row, revision) for row, revision, _ in table] == [(5, 1), (7, 2), (2**40, 2**50)]
    for (_, _, text), row in zip(table, rows, strict=True):
        given = np.fromstring(text.strip("[]"), sep=",")
        np.testing.assert_allclose(given, row, atol=1e-3)


def test_more_rows_than_the_graph_is_walked_for_are_found(backend: PgVector) -> None:
    rows = vectors(800)
    backend.create("longtail_x", PARAMETERS)
    backend.append("longtail_x", np.arange(800), np.arange(800), rows)
    backend.finish("longtail_x", PARAMETERS, lambda: None)
    [found] = backend.search("longtail_x", rows[:1], 600, 100)
    assert len(np.unique(found)) == 600


def test_an_engine_that_dies_is_scanned_around_and_found_again(
    backend: PgVector, postgresql_url: str, tmp_path: Path
) -> None:
    rows, scope = vectors(1200), everything(1200)
    with folders(backend, tmp_path / "index") as (engine, there):
        index = VectorIndex.of(build(there, source(rows), None, ignore))
        queries = vectors(3, seed=3)
        before = [index.search(query, 10, scope)[0].tolist() for query in queries]
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'longtail index'"
            )
        away = [index.search(query, 11, scope)[0].tolist()[:10] for query in queries]
        assert away == [index.scan(query, 10, scope)[0].tolist() for query in queries]
        asked: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backend, "search", lambda *_: asked.append("again"))
            index.search(queries[0], 12, scope)
            # It is not asked until it was looked at.
            assert not asked
        engine.check()
        assert [index.search(query, 10, scope)[0].tolist() for query in queries] == before


def test_an_engine_that_says_nothing_costs_one_search_its_time(
    backend: PgVector, postgresql_url: str, tmp_path: Path
) -> None:
    rows, scope = vectors(1000), everything(1000)
    with folders(backend, tmp_path / "index") as (engine, there):
        index = VectorIndex.of(build(there, source(rows), None, ignore))
        index.search(rows[0], 5, scope)
        name = backend.collections("longtail_")[0]
        asked: list[int] = []
        search = backend.search

        def counted(name: str, vectors: Matrix, k: int, width: int) -> Sequence[Rows]:
            asked.append(k)
            return search(name, vectors, k, width)

        with (
            psycopg.connect(postgresql_url) as holder,
            pytest.MonkeyPatch.context() as patch,
        ):
            holder.execute(f'LOCK TABLE "{name}" IN ACCESS EXCLUSIVE MODE')
            for limit in ("SEARCH_SECONDS", "CALL_SECONDS"):
                patch.setattr(module, limit, 0.2)
            patch.setattr(backend, "search", counted)
            for k in range(6, 16):
                found, _ = index.search(rows[0], k, scope)
                assert found.tolist() == index.scan(rows[0], k, scope)[0].tolist()
            assert len(asked) == 1
            with pytest.raises(EngineError, match="in time"):
                engine.check()
        engine.check()
        assert index.search(rows[9], 1, scope)[0].tolist() == [9]


def test_an_extension_that_is_too_old_is_refused_in_words(
    backend: PgVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_VERSION", (99, 0))
    with pytest.raises(EngineError, match=r"at least 99\.0 is needed"):
        backend.create("longtail_x", PARAMETERS)


@pytest.mark.parametrize(
    ("lacks", "reason"),
    [("EXTENSION", "permission denied to create extension"), ("TABLE", "may not make tables")],
)
def test_a_user_without_rights_is_no_engine_that_is_well(
    postgresql_url: str, lacks: str, reason: str
) -> None:
    user = f"without_{lacks.lower()}"
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {user} LOGIN".encode())
        if lacks == "TABLE":
            connection.execute("CREATE EXTENSION vector")
        backend = PgVector(postgresql_url.replace("longtail:", f"{user}:"))
        engine = Engine(backend)
        try:
            with pytest.raises(EngineError, match=reason):
                engine.check()
            assert WELL._value.get() == 0
            connection.execute(f"ALTER ROLE {user} SUPERUSER".encode())
            engine.check()
            assert WELL._value.get() == 1
        finally:
            engine.close()
            connection.execute(f"DROP OWNED BY {user} CASCADE".encode())
            connection.execute(f"DROP ROLE {user}".encode())


def test_nobody_there_is_told_without_the_password() -> None:
    backend = PgVector("postgresql://ann:not-to-be-shown@127.0.0.1:1/x")
    for call in (
        lambda: backend.collections("x"),
        lambda: backend.search("x", vectors(1), 1, 1),
    ):
        with pytest.raises(EngineError) as raised:
            call()
        assert "not-to-be-shown" not in str(raised.value)
