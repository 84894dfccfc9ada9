"""10,000 real items with the default encoder's vectors, which are made once and kept."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from longtail.v1.item_pb2 import Item
from numpy.typing import NDArray

from tests.faults.items import batches, read_packages
from tests.processes import ROOT

ITEMS, QUESTIONS = 10_000, 100
CACHE = Path(os.environ.get("LONGTAIL_HOME", ROOT / "var")) / "cache" / "conformance"
TEXTS_PER_CALL = 256


@dataclass(frozen=True)
class RealItems:
    """Items, and vectors (n, d) of other texts of the same kind to ask with."""

    items: Sequence[Item]
    asked: NDArray[np.float32]

    @classmethod
    def of(cls, worker_address: str) -> "RealItems":
        """Return packages and their texts' vectors, from the file where those are kept."""
        rows = read_packages(ITEMS + QUESTIONS)
        vectors = _vectors(worker_address, [text for _, text in rows])
        items = [
            Item(id=item_id, title=item_id, text=text, vector=vector.tobytes())
            for (item_id, text), vector in zip(rows[:ITEMS], vectors, strict=False)
        ]
        for number, item in enumerate(items):
            item.attributes["percent"] = number * 37 % 100
        return cls(items, vectors[ITEMS:])


def _vectors(worker_address: str, texts: Sequence[str]) -> NDArray[np.float32]:
    with grpc.insecure_channel(worker_address) as channel:
        worker = EmbeddingServiceStub(channel)
        model = worker.GetModel(pb.GetModelRequest(), timeout=10).model
        name = hashlib.sha256("\0".join([model.model_id, *texts]).encode()).hexdigest()[:16]
        file = CACHE / f"{name}.npy"
        if not file.exists():
            parts = [
                worker.Embed(
                    pb.EmbedRequest(texts=batch, role=pb.ROLE_ITEM, lane=pb.LANE_BULK), timeout=120
                ).vectors
                for batch in batches(texts, TEXTS_PER_CALL)
            ]
            CACHE.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(".unfinished")
            with unfinished.open("wb") as stream:
                np.save(stream, np.frombuffer(b"".join(parts), "<f4").reshape(len(texts), -1))
            unfinished.rename(file)
    kept: NDArray[np.float32] = np.load(file)
    return kept
