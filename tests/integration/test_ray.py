"""A change of encoder on Ray, where Ray is installed: actors encode with workers of their own."""

import asyncio
import os
import sys
from contextlib import closing
from pathlib import Path

import pytest
from longtail.server.store.leases import TextRange
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import EncoderBinding, OperationKind
from longtail.worker.artefact import load

from tests.processes import ROOT
from tests.unit.server.store_records import Opened, new_item

pytest.importorskip("ray", reason="no Ray: pip install ray")
pytestmark = pytest.mark.model


async def test_actors_encode_what_was_divided_and_end_with_the_change(
    postgresql_url: str, artefact: Path, tmp_path: Path
) -> None:
    manifest = load(artefact).manifest
    coming = EncoderBinding(manifest.model_id, manifest.dimension)
    with (
        closing(RecordStore.open(postgresql_url)) as store,
        store.group_commit(lambda: None, max_waiting=100) as commit,
    ):
        it = Opened(store, commit)
        ids = [f"{n}" for n in range(5)]
        last = it.upsert(*(new_item(name, f"Title {name}") for name in ids))
        kind = OperationKind.REBUILD_INDEX
        operation = it.do(lambda tx: store.operations.create(tx, kind, {}))
        encoder_id = it.do(lambda tx: store.encoders.prepare(tx, coming)).id
        ranges = [TextRange(0, last, len(ids))]
        it.do(lambda tx: store.leases.divide(tx, operation.id, encoder_id, ranges))
        variables = {
            "LONGTAIL_STORE": postgresql_url,
            "LONGTAIL_HOME": str(tmp_path),
            "LONGTAIL_MODEL": str(artefact),
            "RAY_USAGE_STATS_ENABLED": "0",
            # It would leave a token in the home folder.
            "RAY_AUTH_MODE": "disabled",
        }
        command = (sys.executable, "examples/encode_on_ray.py", "--actors", "1")
        job = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=os.environ | variables)
        try:
            async with asyncio.timeout(120):
                while True:
                    if not store.leases.unfinished():
                        break
                    await asyncio.sleep(0.1)
                assert store.changes.vectors(encoder_id, ids).keys() == set(ids)
                it.do(lambda tx: store.encoders.switch(tx, encoder_id, last))
                assert await job.wait() == 0
        finally:
            if job.returncode is None:
                job.kill()
