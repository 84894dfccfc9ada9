"""`python -m bench.encoding STORE WORKER LOG`: a process that shares in a change of encoder.

It is what a server process does of it and nothing else, and counts in LOG the texts that it asked
a worker for.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from longtail.runtime.logs import configure_logging
from longtail.server.encoder.encoder import Encoder
from longtail.server.encoder.passages import Embedded
from longtail.server.operations.lease_holder import LeaseHolder
from longtail.server.process.part import Part
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb

MAX_WAITING_WRITES = 1000


class CountedEncoder(Encoder):
    """Writes down how many texts it is asked for, before it asks."""

    log: Path

    async def embed(
        self, texts: Sequence[str], role: pb.Role, lane: pb.Lane, binding: EncoderBinding
    ) -> list[Embedded]:
        """Embed, and count."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{len(texts)}\n")
        return await super().embed(texts, role, lane, binding)


async def encode(path: Path, worker: str, log: Path) -> None:
    """Encode until killed."""
    store = RecordStore.open(path)
    encoder = CountedEncoder(worker)
    encoder.log = log
    async with encoder:
        with store.group_commit(lambda: None, MAX_WAITING_WRITES) as commit:
            await LeaseHolder(store, commit, encoder).run(Part("encoding"))


if __name__ == "__main__":
    configure_logging("INFO", "text")
    asyncio.run(encode(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
