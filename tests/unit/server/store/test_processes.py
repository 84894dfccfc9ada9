import os
import subprocess
import sys
from pathlib import Path

from longtail.server.store.sqlite.check import check_database

from tests.unit.server.store_records import opened

ROOT = Path(__file__).parents[4]

SCRIPT = """
import sys
from pathlib import Path
from longtail.server.store.record_store import RecordStore
from tests.unit.server.store_records import event, new_item, opened
path, name = Path(sys.argv[1]), sys.argv[2]
RecordStore.open(path).close()
with opened(path) as it:
    for number in range(100):
        revision = it.upsert(new_item(f"{name}-{number}"), new_item("shared", name))
        assert it.store.changes.position().revision >= revision
        it.interact(event(f"{name}-{number}"))
"""


def test_two_processes_open_a_new_store_and_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    places = os.pathsep.join(str(ROOT / part) for part in (".", "protos", "client"))
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(path), name],
            env={"PYTHONPATH": places},
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    with opened(path) as it:
        assert len(it.present()) == 201
        assert it.popularity() == {"film": 200}
        revisions = [change.revision for change in it.store.changes.current()]
        assert revisions == sorted(set(revisions))
        # Each of the writes had revisions of its own: two items and a count at a time.
        assert it.revision == 2 * 100 * 3
    assert check_database(path) == []
