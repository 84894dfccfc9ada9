"""The GPU's graph: its structure, and its vectors as far as a machine without a GPU can tell."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from longtail.export import fp16, fp32, head
from longtail.export.errors import ExportError
from longtail.worker.vectors import Vectors
from onnx import ModelProto, TensorProto
from onnx.reference import ReferenceEvaluator

from tests.unit.export import checkpoints
from tests.unit.export.contrib_operators import OPERATORS
from tests.unit.export.graphs import MIXED, Tiny, lowest_cosine, some_slow

FUSED: dict[str, dict[str, Any]] = {
    "bert": {},
    "bert, wide and deep": {"hidden": 64, "layers": 5, "pooling": "cls_token"},
    "electra": {"model_type": "electra", "pooling": "max_tokens"},
    "roberta": {"model_type": "roberta"},
    "xlm-roberta": {"model_type": "xlm-roberta", "sentencepiece": True},
}


@pytest.fixture(scope="module", params=some_slow(FUSED, ("bert", "xlm-roberta")))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    settings = {"max_seq_length": None, **FUSED[request.param]}
    return Tiny(checkpoints.write(tmp_path_factory.mktemp("tiny"), **settings))


@pytest.fixture(scope="module")
def packed(tiny: Tiny) -> ModelProto:
    return fp16.build(tiny.model, tiny.pooling, tiny.folder)


def operators(graph: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph.node)


def interface(graph: ModelProto) -> list[tuple[str, int, int]]:
    """Return name, type and last dimension (0: any) of all inputs and outputs."""
    values = [(v.name, v.type.tensor_type) for v in [*graph.graph.input, *graph.graph.output]]
    return [(name, kind.elem_type, kind.shape.dim[-1].dim_value) for name, kind in values]


def run_packed(tiny: Tiny, graph: ModelProto, texts: list[str]) -> Vectors:
    """Return the vectors of one padded batch, by the operators' definitions."""
    tokens = tiny.tokens(texts)
    ids = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
    for row, text in zip(ids, tokens, strict=True):
        row[: len(text)] = text
    counts = np.array([len(text) for text in tokens])
    mask = (np.arange(ids.shape[1]) < counts[:, np.newaxis]).astype(np.int64)
    feed = {"input_ids": ids, "attention_mask": mask}
    (vectors,) = ReferenceEvaluator(graph, new_ops=OPERATORS).run(["embedding"], feed)
    return np.asarray(vectors)


def test_the_fused_graph_gives_the_vectors_of_torch(tiny: Tiny) -> None:
    fused = head.add(fp16.fuse(tiny.model, tiny.folder), tiny.pooling)
    onnx.checker.check_model(fused)
    assert lowest_cosine(tiny.run(fused), tiny.original()) > 0.99999


def test_half_precision_stays_near_the_vectors_of_torch(tiny: Tiny) -> None:
    halved = head.add(fp16.halve(fp16.fuse(tiny.model, tiny.folder)), tiny.pooling)
    assert lowest_cosine(tiny.run(halved), tiny.original()) > 0.9999


def test_the_packed_graph_gives_the_vectors_of_torch(tiny: Tiny, packed: ModelProto) -> None:
    assert lowest_cosine(run_packed(tiny, packed, MIXED), tiny.original()) > 0.9999


def test_the_layers_are_fused_and_packed(tiny: Tiny, packed: ModelProto) -> None:
    count = operators(packed)
    layers = tiny.model.config.num_hidden_layers
    assert count["PackedAttention"] == count["BiasGelu"] == layers
    assert count["SkipLayerNormalization"] == 2 * layers
    assert count["RemovePadding"] == count["RestorePadding"] == 1
    assert not {"Attention", "Softmax", "Erf"} & set(count)


def test_weights_are_in_half_and_pooling_in_full_precision(packed: ModelProto) -> None:
    graph = packed.graph
    wide = {v.name for v in graph.initializer if v.data_type == TensorProto.FLOAT}
    assert wide <= {"tiny", "lowest"}
    assert sum(v.data_type == TensorProto.FLOAT16 for v in graph.initializer) > 10
    restore = next(node for node in graph.node if node.op_type == "RestorePadding")
    (after,) = [node for node in graph.node if restore.output[0] in node.input]
    assert (after.op_type, after.attribute[0].i) == ("Cast", TensorProto.FLOAT)
    assert list(after.output) == ["last_hidden_state"]


def test_outside_it_looks_like_the_graph_in_full_precision(tiny: Tiny, packed: ModelProto) -> None:
    plain = fp32.build(tiny.model, tiny.pooling, tiny.folder)
    assert interface(packed) == interface(plain)
    # The tiny tables are half of it; the rest is names.
    assert packed.ByteSize() < 0.75 * plain.ByteSize()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model_type": "distilbert"}, "'distilbert' cannot .* does not fuse its attention"),
        ({"model_type": "mpnet"}, "'mpnet' cannot .* relative positions"),
        ({"settings": {"hidden_act": "relu"}}, "activation 'relu' cannot"),
    ],
)
def test_what_does_not_fuse_is_refused_by_name(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny", **settings))
    with pytest.raises(ExportError, match=reason):
        fp16.build(tiny.model, tiny.pooling, tiny.folder)


def test_a_layer_that_did_not_fuse_ends_the_export(tmp_path: Path) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny"))
    # As if the pattern of one of three layers had not been found.
    tiny.model.config.num_hidden_layers = 3
    with pytest.raises(ExportError, match="the graph has 2 Attention, not 3"):
        fp16.build(tiny.model, tiny.pooling, tiny.folder)


def test_an_unfused_graph_is_not_taken_for_a_packed_one(tmp_path: Path) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny"))
    with pytest.raises(ExportError, match="0 RemovePadding, not 1"):
        fp16.pack(fp32.encoder(tiny.model, tiny.folder))
