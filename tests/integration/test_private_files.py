"""What the real server writes: that nobody else on the machine can read it."""

import stat
from contextlib import suppress
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.server.store.record_store import DATABASE

from tests import processes, walking
from tests.films import films, liked

pytestmark = pytest.mark.model


def test_what_a_server_writes_is_its_owners_alone(tmp_path: Path, worker_address: str) -> None:
    data = tmp_path / "data"
    with (
        processes.server(tmp_path, worker_address, LONGTAIL_INDEX_MERGE_ROWS="1") as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        client.wait_for_operation(client.create_snapshot().operation.id)
        assert running.stop() == 0
    for path in (data, *data.rglob("*")):
        # As one finds it that was copied here.
        path.chmod(0o755 if path.is_dir() else 0o644)
    with (
        processes.server(tmp_path, worker_address, LONGTAIL_INDEX_MERGE_ROWS="1") as running,
        LongtailClient(running.address) as client,
    ):
        client.write_interactions([liked("you", "alien")])
        client.wait_for_operation(client.create_snapshot().operation.id)
        client.wait_for_operation(client.rebuild_index().operation.id)
        found = {}
        for path in walking.paths(data):
            with suppress(FileNotFoundError):
                found[path] = path.lstat().st_mode
        assert running.stop() == 0
    names = {path.name for path in found}
    assert {f"{DATABASE}-wal", f"{DATABASE}-shm", "graph.hnsw", "manifest.json", "lock"} <= names
    for path, mode in found.items():
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path
