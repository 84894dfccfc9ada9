"""Collections as tables with an HNSW index of pgvector's, over vectors of half precision.

A table is filled, indexed and from then on only searched and added to: nothing is updated or
deleted, so that VACUUM, which repairs such an index row by row, has nothing to do.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np
import psycopg
from longtail.server.catalogue.index.engines.backend import (
    CALL_SECONDS,
    SEARCH_SECONDS,
    CollectionLost,
    EngineError,
)
from longtail.server.catalogue.index.engines.pgvector.exchange import Exchange, Statement
from longtail.server.catalogue.index.graph import IndexParameters, Matrix, Rows
from psycopg import sql

# Before it, concurrent writes and a failed repair could damage an index.
LEAST_VERSION = (0, 8, 5)
# The most that pgvector takes.
WIDEST = 1000
WAIT_SECONDS = 0.2
# The least that libpq takes; who answers seldom connects, as `Engine.check` has done so before.
CONNECT_SECONDS = 2
# So much memory is asked for to build a graph in, where the server is not set to more; it takes a
# row's vector, its links on level 0 and about as much again for whatever else it keeps of a row.
BUILD_BYTES, LINK_BYTES, ROW_BYTES = 2**31, 16, 300
# The planner is to go by the index, which alone bounds the time that a search takes; and a search
# for more rows than the graph was walked for walks on.
SESSION = (
    "SET enable_seqscan = off",
    "SET enable_sort = off",
    "SET hnsw.iterative_scan = relaxed_order",
    "SET plan_cache_mode = force_generic_plan",
)
SET_WIDTH = "SELECT set_config('hnsw.ef_search', convert_from($1::bytea, 'UTF8'), false)"
VERSION = "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
MAY_CREATE = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
REVISION = "SELECT (SELECT revision FROM {} WHERE row_id = $1)"
REACHES = "SELECT EXISTS (SELECT FROM {} WHERE row_id >= $1)"
NEAREST = (
    "SELECT string_agg(int8send(row_id), ''::bytea) FROM "
    "(SELECT row_id FROM {} ORDER BY vector <#> $1::halfvec LIMIT $2::int8) AS nearest"
)


class PgVector:
    """The tables of the database at `url`: see backend.Backend."""

    kind = "pgvector"

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        # Those that nobody searches by now, the latest used last.
        self._idle: list[tuple[Exchange, int]] = []

    def prepare(self) -> None:
        """See that tables can be made, and have the extension be there."""
        asked = [Statement(VERSION, ()), Statement(MAY_CREATE, ())]
        version, may_create = self._asked(asked, CALL_SECONDS)
        if version is None:
            with self._connected() as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            version, may_create = self._asked(asked, CALL_SECONDS)
        _check_version((version or b"none").decode())
        if may_create != b"\1":
            raise EngineError("the user may not make tables in the database")

    def create(self, name: str, parameters: IndexParameters) -> None:
        """Make an empty table, in place of any that has its name."""
        self.prepare()
        with self._connected() as connection:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {} (row_id int8 PRIMARY KEY, revision int8 NOT NULL, "
                    "vector halfvec({}) NOT NULL)"
                ).format(sql.Identifier(name), parameters.dimension)
            )

    def append(self, name: str, rows: Rows, revisions: Rows, vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) as `rows` (n,), each with its revision, all or none."""
        statement = sql.SQL("COPY {} (row_id, revision, vector) FROM STDIN (FORMAT binary)")
        with (
            self._connected() as connection,
            connection.cursor() as cursor,
            cursor.copy(statement.format(sql.Identifier(name))) as copy,
        ):
            copy.write(_copied(rows, revisions, vectors))

    def finish(self, name: str, parameters: IndexParameters, waiting: Callable[[], None]) -> None:
        """Index the table, unless it is: then what was added is in the index already."""
        with self._connected() as connection:
            indexed = connection.execute(
                "SELECT 1 FROM pg_index WHERE indrelid = to_regclass(%s) AND NOT indisprimary",
                (_quoted(name),),
            ).fetchone()
            if indexed:
                return
            _give_memory(connection, name, parameters)
            built = sql.SQL(
                "CREATE INDEX ON {} USING hnsw (vector halfvec_ip_ops) "
                "WITH (m = {}, ef_construction = {})"
            ).format(
                sql.Identifier(name),
                parameters.links,
                max(parameters.ef_construction, 2 * parameters.links),
            )
            with ThreadPoolExecutor(1, "pgvector") as thread:
                work = thread.submit(connection.execute, built)
                try:
                    while not wait([work], WAIT_SECONDS).done:
                        waiting()
                except BaseException:
                    connection.cancel_safe(timeout=CALL_SECONDS)
                    raise
                work.result()

    def revision(self, name: str, row: int) -> int | None:
        """Return the revision of a row, None where there is no such row."""
        query = REVISION.format(_quoted(name))
        [found] = self._asked([Statement(query, (_int8(row),))], CALL_SECONDS)
        return None if found is None else int.from_bytes(found, "big")

    def reaches(self, name: str, row: int) -> bool:
        """Say whether there is any row from `row` on."""
        query = REACHES.format(_quoted(name))
        [found] = self._asked([Statement(query, (_int8(row),))], CALL_SECONDS)
        return found == b"\1"

    def search(self, name: str, vectors: Matrix, k: int, width: int) -> Sequence[Rows]:
        """Return about the `k` rows nearest to each of `vectors` (n, d), in one round trip."""
        query = NEAREST.format(_quoted(name))
        found = self._asked(
            [Statement(query, (_halfvec(vector), _int8(k))) for vector in vectors],
            SEARCH_SECONDS,
            min(WIDEST, max(width, k)),
        )
        return [np.frombuffer(rows or b"", ">i8").astype(np.int64) for rows in found]

    def collections(self, prefix: str) -> list[str]:
        """Return the names of the tables that begin with `prefix`."""
        query = (
            "SELECT string_agg(tablename, ' ') FROM pg_tables "
            "WHERE schemaname = current_schema() AND starts_with(tablename, $1::text)"
        )
        [found] = self._asked([Statement(query, (prefix.encode(),))], CALL_SECONDS)
        return (found or b"").decode().split()

    def drop(self, name: str) -> None:
        """Drop a table, if it is there."""
        with self._connected() as connection:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))

    def close(self) -> None:
        """Give up the connections that nobody searches by."""
        with self._lock:
            idle, self._idle = self._idle, []
        for exchange, _ in idle:
            exchange.close()

    def _asked(
        self, statements: Sequence[Statement], seconds: float, width: int = 0
    ) -> list[bytes | None]:
        """Return the value that each statement gives; `width`: that of a search, 0 for any."""
        exchange, present = self._taken()
        width = width or present
        first = [Statement(SET_WIDTH, (str(width).encode(),))] if present != width else []
        try:
            found = exchange.run([*first, *statements], seconds)[len(first) :]
        except CollectionLost:
            exchange.close()
            raise
        except (EngineError, psycopg.Error) as error:
            exchange.close()
            self.close()
            raise EngineError(_said(error)) from None
        with self._lock:
            self._idle.append((exchange, width))
        return found

    def _taken(self) -> tuple[Exchange, int]:
        """Return a connection to search by, and how wide it searches."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            connection = self._connect()
            for statement in SESSION:
                connection.execute(statement)
        except psycopg.Error as error:
            raise EngineError(_said(error)) from None
        return Exchange(connection), 0

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        try:
            with self._connect() as connection:
                # Who holds a table holds nobody up for ever.
                connection.execute("SET lock_timeout = '5s'")
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise CollectionLost(_said(error)) from None
        except psycopg.Error as error:
            raise EngineError(_said(error)) from None

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            self._url,
            autocommit=True,
            application_name="longtail index",
            connect_timeout=CONNECT_SECONDS,
            # What is sent and not taken by the other side ends the connection.
            tcp_user_timeout=round(1000 * CALL_SECONDS),
            keepalives_idle=10,
            keepalives_interval=5,
        )


def _check_version(version: str) -> None:
    if tuple(map(int, re.findall(r"\d+", version))) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise EngineError(f"pgvector is {version}, at least {least} is needed")


def _give_memory(connection: psycopg.Connection, name: str, parameters: IndexParameters) -> None:
    """Let the graph be built in memory, where it fits: beyond it takes ten times as long."""
    row = 2 * parameters.dimension + 2 * LINK_BYTES * parameters.links + ROW_BYTES
    connection.execute(
        sql.SQL(
            "SELECT set_config('maintenance_work_mem', greatest(setting::int8, "
            "least(%s, (SELECT %s + %s * count(*) FROM {}) / 1024))::text || 'kB', false) "
            "FROM pg_settings WHERE name = 'maintenance_work_mem'"
        ).format(sql.Identifier(name)),
        (BUILD_BYTES // 1024, 2**26, row),
    )


def _copied(rows: Rows, revisions: Rows, vectors: Matrix) -> bytes:
    """Return rows of a table as COPY takes them in binary."""
    n, dimension = vectors.shape
    fields = [
        ("fields", ">i2"),
        ("row_bytes", ">i4"),
        ("row", ">i8"),
        ("revision_bytes", ">i4"),
        ("revision", ">i8"),
        ("vector_bytes", ">i4"),
        ("dimension", ">i2"),
        ("unused", ">i2"),
        ("vector", ">f2", (dimension,)),
    ]
    table = np.zeros(n, np.dtype(fields))
    table["fields"] = 3
    table["row_bytes"] = table["revision_bytes"] = 8
    table["row"], table["revision"] = rows, revisions
    table["vector_bytes"], table["dimension"] = 4 + 2 * dimension, dimension
    table["vector"] = vectors
    header = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    return b"".join((header, table.tobytes(), b"\xff\xff"))


def _halfvec(vector: Matrix) -> bytes:
    """Return a vector (d,) of half precision as pgvector has it in binary."""
    return len(vector).to_bytes(2, "big") + bytes(2) + vector.astype(">f2").tobytes()


def _int8(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _said(error: Exception) -> str:
    """Return the first line of what an error says; of what it was called with, nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
