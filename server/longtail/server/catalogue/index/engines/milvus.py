"""Collections of a Milvus. The only module that knows its client.

Reads are bounded: what was just written may not be seen, and needs not be, as it is compared beside
the graph. A strong read would wait for the next tick of Milvus's clock, 200 ms.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import numpy as np
from longtail.server.catalogue.index.engines.backend import (
    CALL_SECONDS,
    SEARCH_SECONDS,
    CollectionLost,
    EngineError,
)
from longtail.server.catalogue.index.graph import IndexParameters, Matrix, Rows
from pymilvus import DataType, MilvusClient
from pymilvus.client.types import LoadState
from pymilvus.exceptions import MilvusException

# It logs each failure, with a traceback, before whoever called knows what it means.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)

BULK_SECONDS = 300.0
WAIT_SECONDS = 0.5
INDEX = "vector"
NOT_FOUND = 100
# Fewer rows of a segment get no index, and are compared one by one.
LEAST_INDEXED = 1024
# The most that Milvus returns.
MOST = 16_384


class Milvus:
    """The collections of the Milvus at `url`, a database of it where the URL has a path.

    See backend.Backend.
    """

    kind = "milvus"

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: MilvusClient | None = None

    def prepare(self) -> None:
        """See that it answers."""
        self.collections("")

    def create(self, name: str, parameters: IndexParameters) -> None:
        """Make an empty collection, in place of any that has its name."""
        with self._client() as client:
            client.drop_collection(name, timeout=CALL_SECONDS)
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("row_id", DataType.INT64, is_primary=True)
            schema.add_field("revision", DataType.INT64)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=parameters.dimension)
            client.create_collection(
                name, schema=schema, consistency_level="Bounded", timeout=BULK_SECONDS
            )

    def append(self, name: str, rows: Rows, revisions: Rows, vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) as `rows` (n,), each with its revision."""
        columns = zip(rows.tolist(), revisions.tolist(), vectors, strict=True)
        data = [
            {"row_id": row, "revision": revision, "vector": vector}
            for row, revision, vector in columns
        ]
        with self._client() as client:
            client.insert(name, data, timeout=BULK_SECONDS)

    def finish(self, name: str, parameters: IndexParameters, waiting: Callable[[], None]) -> None:
        """Seal what was added, and return when it is indexed and loaded."""
        with self._client() as client:
            client.flush(name, timeout=BULK_SECONDS)
            if not client.list_indexes(name, timeout=CALL_SECONDS):
                wanted = MilvusClient.prepare_index_params()
                wanted.add_index(
                    field_name="vector",
                    index_name=INDEX,
                    index_type="HNSW",
                    metric_type="IP",
                    params={"M": parameters.links, "efConstruction": parameters.ef_construction},
                )
                client.create_index(name, wanted, sync=False, timeout=BULK_SECONDS)
            client.load_collection(name, _async=True, timeout=BULK_SECONDS)
        while not self._is_ready(name):
            waiting()
            # In the thread that builds; nothing tells of it.
            time.sleep(WAIT_SECONDS)

    def revision(self, name: str, row: int) -> int | None:
        """Return the revision of a row, None where there is no such row."""
        found = self._query(name, f"row_id == {row}")
        return int(found[0]["revision"]) if found else None

    def reaches(self, name: str, row: int) -> bool:
        """Say whether there is any row from `row` on."""
        return bool(self._query(name, f"row_id >= {row}"))

    def search(self, name: str, vectors: Matrix, k: int, width: int) -> Sequence[Rows]:
        """Return about the `k` rows nearest to each of `vectors` (n, d), in one call."""
        with self._client() as client:
            found = client.search(
                name,
                data=list(vectors),
                limit=min(k, MOST),
                anns_field="vector",
                search_params={"params": {"ef": max(width, k)}},
                consistency_level="Bounded",
                timeout=SEARCH_SECONDS,
            )
        return [np.array(hits.ids, np.int64) for hits in found]

    def collections(self, prefix: str) -> list[str]:
        """Return the names of the collections that begin with `prefix`."""
        with self._client() as client:
            names = client.list_collections(timeout=CALL_SECONDS)
        return [name for name in names if name.startswith(prefix)]

    def drop(self, name: str) -> None:
        """Drop a collection, if it is there."""
        with self._client() as client:
            client.drop_collection(name, timeout=CALL_SECONDS)

    def close(self) -> None:
        """Give up the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _query(self, name: str, rows: str) -> list[dict[str, int]]:
        with self._client() as client:
            found: list[dict[str, int]] = client.query(
                name,
                filter=rows,
                output_fields=["revision"],
                limit=1,
                consistency_level="Strong",
                timeout=CALL_SECONDS,
            )
        return found

    @contextmanager
    def _client(self) -> Iterator[MilvusClient]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            yield self._connection
        except Exception as error:
            # Its own errors, and those of gRPC and of values that come through it.
            lost = isinstance(error, MilvusException) and error.code == NOT_FOUND
            raise (CollectionLost if lost else EngineError)(_said(error)) from None

    def _connect(self) -> MilvusClient:
        found = urlsplit(self._url)
        host = found.netloc.rpartition("@")[2]
        return MilvusClient(
            f"{found.scheme}://{host}",
            user=unquote(found.username or ""),
            password=unquote(found.password or ""),
            db_name=found.path.strip("/"),
            timeout=CALL_SECONDS,
        )

    def _is_ready(self, name: str) -> bool:
        """Say whether all that is sealed is indexed and loaded: else searches miss much."""
        with self._client() as client:
            index = client.describe_index(name, INDEX, timeout=CALL_SECONDS)
            # Of what was just added the state alone says nothing, nor that it is loaded.
            if index["state"] != "Finished" or index["indexed_rows"] < index["total_rows"]:
                return False
            state = client.get_load_state(name, timeout=CALL_SECONDS)["state"]
            sealed = client.list_persistent_segments(name, timeout=CALL_SECONDS)
            loaded = client.list_loaded_segments(name, timeout=CALL_SECONDS)
        # Until its own index is loaded a segment is searched by one that is made up meanwhile.
        graphed = [each for each in loaded if each.index_id or each.num_rows < LEAST_INDEXED]
        present, wanted = (sum(each.num_rows for each in part) for part in (graphed, sealed))
        return bool(state == LoadState.Loaded) and present >= wanted


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
