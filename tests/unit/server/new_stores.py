"""New stores, made once for all tests: to make one is to go through every migration."""

import tempfile
from functools import cache
from pathlib import Path

from longtail.server.store.record_store import DATABASE, RecordStore


def open_store(path: Path) -> RecordStore:
    """Open the store at `path`; one that is not there begins as a copy of an empty one.

    Such copies have one key for tokens and persons: a test of two stores makes its own.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_empty())
    return RecordStore.open(path)


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        RecordStore.open(Path(folder) / DATABASE).close()
        return (Path(folder) / DATABASE).read_bytes()
