"""Prepared statements, several in one round trip, with a deadline: what psycopg itself lacks.

psycopg waits for an answer as long as the connection lasts. A search has to end in time even where
the other side keeps the connection and says nothing.
"""

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from longtail.server.catalogue.index.engines.backend import CollectionLost, EngineError
from psycopg import pq

NO_SUCH_TABLE = b"42P01"


@dataclass(frozen=True)
class Statement:
    """A statement, `parameters` as PostgreSQL has them in binary."""

    sql: str
    parameters: Sequence[bytes]


class Exchange:
    """A connection that is used for this alone."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._owner = connection
        self._connection = connection.pgconn
        self._prepared: dict[str, bytes] = {}
        self._poll = select.poll()
        self._connection.nonblocking = 1
        self._connection.enter_pipeline_mode()

    def close(self) -> None:
        """End the connection."""
        self._owner.close()

    def run(self, statements: Sequence[Statement], seconds: float) -> list[bytes | None]:
        """Return the first value of the first row of each statement's result, in binary.

        Raises EngineError, after which the connection is of no more use.
        """
        connection = self._connection
        for statement in statements:
            name = self._prepared.get(statement.sql)
            if name is None:
                name = self._prepared[statement.sql] = f"longtail_{len(self._prepared)}".encode()
                connection.send_prepare(name, statement.sql.encode())
            connection.send_query_prepared(
                name,
                statement.parameters,
                [pq.Format.BINARY] * len(statement.parameters),
                pq.Format.BINARY,
            )
        connection.pipeline_sync()
        results = self._results(time.monotonic() + seconds)
        found = [each for each in results if each.status == pq.ExecStatus.TUPLES_OK]
        if len(found) != len(statements):
            raise _failure(results)
        return [each.get_value(0, 0) for each in found]

    def _results(self, deadline: float) -> list[pq.abc.PGresult]:
        connection = self._connection
        results: list[pq.abc.PGresult] = []
        while True:
            unsent = connection.flush()
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    continue
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    return results
                results.append(result)
            self._wait(deadline, select.POLLIN | (select.POLLOUT if unsent else 0))
            connection.consume_input()

    def _wait(self, deadline: float, events: int) -> None:
        self._poll.register(self._connection.socket, events)
        left = deadline - time.monotonic()
        if left <= 0 or not self._poll.poll(1000 * left):
            raise EngineError("PostgreSQL did not answer in time")


def _failure(results: Sequence[pq.abc.PGresult]) -> EngineError:
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            state = result.error_field(pq.DiagnosticField.SQLSTATE)
            said = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode()
            return (CollectionLost if state == NO_SUCH_TABLE else EngineError)(said)
    return EngineError("PostgreSQL answered with nothing")
