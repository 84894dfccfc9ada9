"""An open database, as the records see it: what its kind does in its own way behind one face."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from longtail.server.store.transaction import Transaction
from sqlalchemy import Connection, Engine


class Rows(Protocol):
    """What a statement found."""

    def fetchall(self) -> list[Any]:
        """Return all rows."""


class Read(Protocol):
    """Runs a statement, with ? for each of its parameters, without SQLAlchemy."""

    def __call__(self, statement: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Return what it finds."""


@dataclass(frozen=True)
class Database:
    """A database that is open.

    `name`: what it goes by in messages. `file`: where it lies, None where a server has it.
    `size`: the bytes that it takes, about.
    `shared`: whether other machines may write to it. `engine`: for reading; all that a connection
    reads between two ends of a transaction is as of one revision. `single`: for reading with one
    statement at a time, which needs no transaction. `writing`: for the one that
    writes; its transactions have the lock of all writers from their beginning. `reading`: a read of
    several statements at the cost of the driver, as of one revision.

    `is_whole`: whether a transaction is still there after one of its statements failed. `announce`:
    to be called at the end of a transaction, tells others of it once it is committed. `written`:
    what anybody wrote, by the revision, as soon as it is committed; None where nobody is told.
    `maintains`: whether this process is the one of all that have the database open which maintains
    it; to be asked again and again, by one thread at a time. `write_anew`: rids the database of
    what was deleted, as far as that is in its hands. `back_up`: copies it, as of one revision and
    with an identity of its own, into one file of SQLite, flushed; it tells the bytes done and in
    all, and leaves no file where it fails.

    What the engines raise is of `longtail.runtime.errors` where a retry, room or a sound file is
    all it takes.
    """

    name: str
    file: Path | None
    shared: bool
    size: Callable[[], int]
    engine: Engine
    single: Engine
    writing: Engine
    reading: Callable[[], AbstractContextManager[Read]]
    is_whole: Callable[[Connection], bool]
    announce: Callable[[Transaction], None]
    written: Callable[[], AsyncIterator[int]] | None
    maintains: Callable[[], bool]
    write_anew: Callable[[], None]
    back_up: Callable[[Path, Callable[[int, int], None]], None]
    close: Callable[[], None]
