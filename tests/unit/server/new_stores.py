"""New stores, made once for all tests: to make one is to go through every migration."""

import tempfile
from functools import cache
from pathlib import Path

from longtail.server.store.record_store import DATABASE, RecordStore

from tests.postgresql import PostgreSQL


def open_store(path: Path) -> RecordStore:
    """Open the store at `path`; one that is not there begins as a copy of an empty one.

    Such copies have one key for tokens and persons: a test of two stores makes its own.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_empty())
    return RecordStore.open(path)


def shared_store(postgresql: PostgreSQL) -> str:
    """Make a store in a database of its own, a copy of an empty one; return where it is found."""
    return postgresql.new_database(_empty_shared(postgresql))


@cache
def _empty_shared(postgresql: PostgreSQL) -> str:
    url = postgresql.new_database()
    RecordStore.open(url).close()
    return url.rpartition("/")[2]


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        RecordStore.open(Path(folder) / DATABASE).close()
        return (Path(folder) / DATABASE).read_bytes()
