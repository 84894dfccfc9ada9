"""What a store has to be for a server to start on it: there, whole, and not emptied.

SQLite makes an empty database where it finds none or an empty file, and passes over a log that it
cannot read. So what was lost while no server ran is looked for before anything is opened.
"""

from collections.abc import Iterator
from pathlib import Path

from longtail.runtime.errors import StoreDamaged
from longtail.server.catalogue.index.generation import PREFIX, indexed_rows
from longtail.server.process.at_rest import SUFFIX, changed
from longtail.server.store.record_store import DATABASE
from longtail.server.store.sqlite.check import check_structure, read_beginning, version_of
from longtail.server.store.sqlite.opening import COMPANIONS, UNFINISHED


def check_store(data: Path, index: Path, snapshots: Path) -> None:
    """Raise StoreDamaged unless the folder `data` holds a store that is sound, or none at all.

    `index` and `snapshots` are the folders of the generations of its index and of its copies.
    Nobody may have the folder but the processes of one server.
    """
    path = data / DATABASE
    for unfinished in data.glob(f"{DATABASE}{UNFINISHED}*"):
        unfinished.unlink(missing_ok=True)
    if not path.exists():
        for left in _left_behind(data, index, snapshots):
            raise StoreDamaged(f"{path} is missing, but {left} is there")
        return
    check_structure(path)
    identity, revision = read_beginning(path)
    if problem := changed(path, version_of(path)):
        raise StoreDamaged(problem)
    if not revision and (rows := indexed_rows(index, identity)):
        raise StoreDamaged(f"{path} is emptied: it holds no write, but its index has {rows} items")


def _left_behind(data: Path, index: Path, snapshots: Path) -> Iterator[Path]:
    """Yield what tells that there was a store."""
    for suffix in (*COMPANIONS, SUFFIX):
        path = data / f"{DATABASE}{suffix}"
        if path.exists() and path.stat().st_size:
            yield path
    for folder, pattern in ((index, f"*/{PREFIX}*"), (snapshots, "*")):
        yield from sorted(folder.glob(pattern))
