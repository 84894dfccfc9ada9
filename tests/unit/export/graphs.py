"""Graphs of tiny checkpoints, run as the worker runs them."""

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeAlias

import onnxruntime
import pytest
from longtail.export import fp32, nbits8
from longtail.export.checkpoint import Checkpoint, Pooling, read
from longtail.export.reference import Reference
from longtail.worker.model import Encoder
from longtail.worker.vectors import TokenIds, Vectors
from onnx import ModelProto
from transformers import PreTrainedModel

from tests.unit.export.checkpoints import CHINESE, TEXTS

Build: TypeAlias = Callable[[PreTrainedModel, Pooling, Path], ModelProto]

# Whatever the limit, the last one is as long as a text can be.
MIXED = [*TEXTS, *CHINESE, "maps " * 100]


class Tiny:
    """A checkpoint beside its original encoder, with room for its graphs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint: Checkpoint = read(str(folder))
        self.pooling: Pooling = self.checkpoint.pooling
        self.reference = Reference(self.checkpoint)
        self.model = self.reference.model

    def tokens(self, texts: list[str]) -> list[TokenIds]:
        limit = self.checkpoint.max_tokens
        encoded = self.reference.tokenizer(texts, truncation=True, max_length=limit)
        ids: list[TokenIds] = encoded["input_ids"]
        return ids

    def original(self, texts: list[str] = MIXED) -> Vectors:
        return self.reference.encode(texts)

    def run(self, graph: ModelProto, texts: list[str] = MIXED) -> Vectors:
        """Return the vectors of one padded batch."""
        return encoder(graph).encode(self.tokens(texts))


def some_slow(names: Iterable[str], quick: Collection[str]) -> list[object]:
    """Return parameters for the names; all that are not `quick` are left to `make test-slow`."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


def eight_bits(model: PreTrainedModel, pooling: Pooling, folder: Path) -> ModelProto:
    return nbits8.quantise(fp32.build(model, pooling, folder))


def encoder(graph: ModelProto) -> Encoder:
    serialised = graph.SerializeToString()
    session = onnxruntime.InferenceSession(serialised, providers=["CPUExecutionProvider"])
    return Encoder(session)


def lowest_cosine(ours: Vectors, theirs: Vectors) -> float:
    return float((ours * theirs).sum(axis=1).min())
