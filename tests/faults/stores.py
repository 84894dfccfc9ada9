"""The files of a store, looked at from outside."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from longtail.server.catalogue.index.generation import PREFIX, UNFINISHED
from longtail.server.store.record_store import DATABASE
from longtail.server.store.sqlite.check import check_database

WAIT_SECONDS = 60.0


def copy_without_index(home: Path, target: Path) -> Path:
    """Copy the store under `home`, of which nobody has it open, as a server finds it; return it."""
    target.mkdir()
    for path in (home / "data").glob(f"{DATABASE}*"):
        (target / "data").mkdir(exist_ok=True)
        shutil.copy(path, target / "data")
    return target


def check_store(home: Path) -> None:
    """Fail unless SQLite finds the store sound, and its tables agree with each other."""
    store = home / "data" / DATABASE
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert check_database(store) == []


def generations(home: Path) -> set[int]:
    """Return the numbers of the generations of the index that are there."""
    folders = (home / "data" / "index").glob(f"*/{PREFIX}*")
    return {int(folder.name.removeprefix(PREFIX)) for folder in folders}


def newest_generation(home: Path) -> Path:
    """Return the folder of the newest generation."""
    folders = (home / "data" / "index").glob(f"*/{PREFIX}*")
    return max(folders, key=lambda folder: folder.name)


def is_writing_generation(home: Path) -> bool:
    """Return whether a generation is being written."""
    index = home / "data" / "index"
    try:
        return any(
            name.startswith(UNFINISHED)
            for encoder in os.listdir(index)
            if encoder.startswith("encoder-")
            for name in os.listdir(index / encoder)
        )
    except FileNotFoundError:
        return False


def wait_for(
    condition: Callable[[], bool], seconds: float = WAIT_SECONDS, pause: float = 0.02
) -> None:
    """Return when `condition` holds; fail when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{condition} never held"
        time.sleep(pause)
