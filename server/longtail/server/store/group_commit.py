"""Group commit: writes that wait together share one transaction, and so one flush to the disk."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from longtail.runtime.errors import Overloaded, ServiceError, StoreDamaged, Unavailable
from longtail.runtime.tracing import Trace, current_trace
from longtail.server.store.database import Database
from longtail.server.store.transaction import Transaction
from prometheus_client import Gauge, Histogram
from sqlalchemy import Connection

logger = logging.getLogger(__name__)

T = TypeVar("T")

# After this long a group takes in no more: the first of it wait for the last, and so does every
# writer of another process.
GROUP_SECONDS = 0.05
RETRY_SECONDS = 1.0

COMMIT_SECONDS = Histogram(
    "longtail_store_commit_seconds",
    "From the begin of a transaction of writes until it is on the disk.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
WAITING = Gauge("longtail_store_waiting_writes", "Writes that wait for the writer.")


@dataclass(frozen=True)
class _Waiting:
    write: Callable[[Transaction], Any]
    future: Future[Any]
    trace: Trace | None
    submitted: float


@dataclass(frozen=True)
class _Written:
    future: Future[Any]
    result: Any = None
    error: BaseException | None = None


class GroupCommit:
    """A thread that does the writes given to it, in their order, while the block lasts.

    Whatever waits when the thread is free becomes one transaction; a write that comes alone does
    not wait for others. Leaving the block waits for what was given before.
    """

    def __init__(self, database: Database, committed: Callable[[], None], max_waiting: int) -> None:
        self._database = database
        self._committed = committed
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._open = False
        self._damage: StoreDamaged | None = None
        # One connection, as long as it is good: what it has in its cache goes with it.
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="writer")

    def __enter__(self) -> Self:
        self._open = True
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join()

    @property
    def damage(self) -> StoreDamaged | None:
        """Return what ended the writing for good; None while it goes on."""
        return self._damage

    def submit(self, write: Callable[[Transaction], T]) -> Future[T]:
        """Have `write` done in a transaction; the future has its result once that is on disk.

        An exception of `write` undoes what it did, and nothing else, and is the future's. When the
        transaction fails, all futures of the group fail and nothing is kept: StorageFull,
        Unavailable when another process keeps the lock, StoreDamaged. A future that is cancelled
        before its turn is passed over. Raises Overloaded when too many wait, Unavailable when the
        block was left, StoreDamaged once the store was found to be so.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._damage is not None:
                raise StoreDamaged(self._damage.problem)
            if not self._open:
                raise Unavailable("the server is stopping: nothing of this write was kept")
            if len(self._waiting) >= self._max_waiting:
                message = f"{self._max_waiting} writes wait already"
                raise Overloaded(message, retry_seconds=RETRY_SECONDS)
            submitted = time.perf_counter()
            self._waiting.append(_Waiting(write, future, current_trace(), submitted))
            WAITING.set(len(self._waiting))
            self._changed.notify()
        return future

    def _run(self) -> None:
        while group := self._take():
            self._do(group)
        self._discard_connection()

    def _take(self) -> deque[_Waiting]:
        """Return what waits; nothing once the block is left and all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._open)
            group, self._waiting = self._waiting, deque()
            WAITING.set(0)
            return group

    def _give_back(self, group: deque[_Waiting]) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(group))
            WAITING.set(len(self._waiting))

    def _do(self, group: deque[_Waiting]) -> None:
        """Do what waits, or the first of it, and have the futures know."""
        begun: list[_Waiting] = []
        started = time.perf_counter()
        try:
            written = self._commit(group, begun)
        except BaseException as error:
            if not isinstance(error, ServiceError):
                logger.exception("writes failed count=%d", len(begun))
            # The transaction may be given up or not: a new connection is in neither state.
            self._discard_connection()
            for waiting in begun:
                waiting.future.set_exception(error)
            self._look_for_damage(error)
        else:
            committed = time.perf_counter()
            failure = self._follow(len(written))
            _observe(begun, started, committed)
            self._acknowledge(written, failure)
        self._give_back(group)

    def _commit(self, group: deque[_Waiting], begun: list[_Waiting]) -> list[_Written]:
        """Do writes of `group` in one transaction, moving each to `begun`; return how they went."""
        try:
            if self._damage is not None:
                raise StoreDamaged(self._damage.problem)
            if self._connection is None:
                self._connection = self._database.writing.connect()
            transaction = self._connection.begin()
        except BaseException:
            # Who cannot have the lock waits long for it: once for all of them.
            begun.extend(_still_wanted(group))
            raise
        until = time.monotonic() + GROUP_SECONDS
        written = []
        with transaction:
            for waiting in _still_wanted(group):
                begun.append(waiting)
                written.append(self._attempt(self._connection, waiting))
                if time.monotonic() > until:
                    break
            self._database.announce(self._connection)
        return written

    def _attempt(self, connection: Connection, waiting: _Waiting) -> _Written:
        savepoint = connection.begin_nested()
        try:
            result = waiting.write(connection)
            savepoint.commit()
        except BaseException as error:
            if not self._database.is_whole(connection):
                raise
            savepoint.rollback()
            return _Written(waiting.future, error=error)
        return _Written(waiting.future, result)

    def _follow(self, count: int) -> Exception | None:
        """Have so many writes taken in; return why they were not."""
        try:
            self._committed()
        except Unavailable as error:
            logger.warning("writes are durable but not followed count=%d error=%s", count, error)
            return Unavailable(
                "the write is durable, but could not be followed: sent again, it is known by its "
                "request_id or ids",
                retry_seconds=RETRY_SECONDS,
            )
        except BaseException as error:
            logger.exception("writes are durable but not followed count=%d", count)
            failure = RuntimeError("the write is durable, but the server could not follow it")
            failure.__cause__ = error
            self._look_for_damage(error)
            return failure
        return None

    def _acknowledge(self, written: Sequence[_Written], failure: Exception | None) -> None:
        for done in written:
            self._look_for_damage(done.error)
            outcome = done.error or failure
            if outcome is None:
                done.future.set_result(done.result)
            else:
                done.future.set_exception(outcome)

    def _look_for_damage(self, error: BaseException | None) -> None:
        if isinstance(error, StoreDamaged) and self._damage is None:
            self._damage = error

    def _discard_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _still_wanted(group: deque[_Waiting]) -> Iterator[_Waiting]:
    while group:
        waiting = group.popleft()
        if waiting.future.set_running_or_notify_cancel():
            yield waiting


def _observe(writes: Sequence[_Waiting], started: float, committed: float) -> None:
    """Tell how long writes took that were committed together, and followed now."""
    followed, exemplar = time.perf_counter(), None
    for each in writes:
        if each.trace is not None:
            exemplar = each.trace.context.exemplar
            each.trace.note("write queue", each.submitted, started)
            together = {"longtail.writes": len(writes)}
            each.trace.note("commit", started, committed, attributes=together)
            each.trace.note("follow", committed, followed)
    COMMIT_SECONDS.observe(committed - started, exemplar)
