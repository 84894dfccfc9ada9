"""`longtail-encode`: it takes leases of a store on PostgreSQL until it is stopped."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from longtail.server import encode
from longtail.server.settings import Settings
from longtail.server.store.leases import TextRange
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import EncoderBinding, OperationKind

from tests.unit.server.fake_worker import FakeWorker
from tests.unit.server.store_records import Opened, new_item

OTHER = EncoderBinding("tiny@2", 3)


async def test_it_encodes_what_was_divided(postgresql_url: str) -> None:
    worker = await FakeWorker(2, OTHER.model_id, OTHER.dimension).start()
    with (
        closing(RecordStore.open(postgresql_url)) as store,
        store.group_commit(lambda: None, max_waiting=100) as commit,
    ):
        it = Opened(store, commit)
        last = it.upsert(*(new_item(f"{n}", f"Title {n}") for n in range(5)))
        kind = OperationKind.REBUILD_INDEX
        operation = it.do(lambda tx: store.operations.create(tx, kind, {}))
        coming = it.do(lambda tx: store.encoders.prepare(tx, OTHER)).id
        ranges = [TextRange(0, last, 5)]
        it.do(lambda tx: store.leases.divide(tx, operation.id, coming, ranges))
        settings = Settings(store=postgresql_url, worker_address=worker.address)
        encoding = asyncio.create_task(encode.encode(settings))
        async with asyncio.timeout(60):
            while True:
                if encoding.done() or not store.leases.unfinished():
                    break
                await asyncio.sleep(0.05)
        encoding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await encoding
        assert len(store.changes.vectors(coming, [f"{n}" for n in range(5)])) == 5
    await worker.stop()


def test_a_store_in_a_file_is_left_to_its_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))
    monkeypatch.delenv("LONGTAIL_STORE", raising=False)
    assert encode.main([]) == 2
    assert "LONGTAIL_STORE is not set" in capsys.readouterr().err
    assert encode.main(["--check"]) == 0
