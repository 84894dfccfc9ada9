"""The store folder belongs to one server, of however many processes, or to a restore."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "lock"


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """Hold an existing folder alone; yield the descriptor, which child processes may inherit.

    Raises OSError when another server, started by a command of its own, holds it.
    """
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"another server runs on {folder}: set LONGTAIL_HOME") from None
        yield lock.fileno()
