"""Checkpoint to the ONNX graph for a GPU: fused, in half precision, without padding inside.

ONNX Runtime's fusions match patterns, and where a pattern no longer matches they leave a graph
that is right but slow. So the fused operators are counted, and a wrong count ends the export.

Between RemovePadding and RestorePadding only real tokens are computed: the batch's tokens stand in
one row, and PackedAttention is told where a text begins. RestorePadding fills with zeros. Pooling
and unit length, which add up many numbers or square them, stay in fp32.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import onnx
from longtail.export import fp32, head
from longtail.export.checkpoint import Pooling
from longtail.export.errors import ExportError
from onnx import ModelProto, helper
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.convert_to_packing_mode import PackingMode
from onnxruntime.transformers.onnx_model import OnnxModel
from transformers import PretrainedConfig, PreTrainedModel

PRECISION = "fp16"

_CONTRIB = "com.microsoft"
_EMBEDDING = ("EmbedLayerNormalization", "LayerNormalization")
# The norm behind the embeddings: fused with them where positions are simply counted; the relatives
# of RoBERTa count them from the padding token's id, which is no part of that operator.
_EMBEDDING_NORM = {
    "bert": "EmbedLayerNormalization",
    "electra": "EmbedLayerNormalization",
    "roberta": "LayerNormalization",
    "xlm-roberta": "LayerNormalization",
}
_REFUSED = {
    "distilbert": "ONNX Runtime does not fuse its attention",
    "mpnet": "its attention adds a bias of relative positions, which is not fused",
}


def build(model: PreTrainedModel, pooling: Pooling, folder: Path) -> ModelProto:
    """Return the GPU's graph of `model`, with the inputs and the output of `fp32.build`.

    `folder` takes an intermediate file. Batches must be padded on the right. Raises ExportError
    when the architecture does not fuse fully.
    """
    graph = head.add(pack(halve(fuse(model, folder))), pooling)
    onnx.checker.check_model(graph)
    return graph


def fuse(model: PreTrainedModel, folder: Path) -> ModelProto:
    """Return the fused encoder in fp32, without its head; raise ExportError as `build` does."""
    config = model.config
    expected = _expected(config)
    with _quiet():
        fused = optimizer.optimize_by_fusion(
            fp32.encoder(model, folder), "bert", config.num_attention_heads, config.hidden_size
        ).model
    # The optimizer uses the domain without declaring it.
    fused.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    _check(fused, expected)
    return fused


def halve(encoder: ModelProto) -> ModelProto:
    """Return `encoder`, which is changed, in fp16, with its output cast to fp32 at the end."""
    with _quiet():
        model = OnnxModel(encoder)
        model.convert_float_to_float16(keep_io_types=True)
    return model.model


def pack(encoder: ModelProto) -> ModelProto:
    """Return the fused `encoder`, which is changed, computing no padding in its layers."""
    layers = Counter(node.op_type for node in encoder.graph.node)["Attention"]
    with _quiet():
        model = OnnxModel(encoder)
        PackingMode(model).convert(use_symbolic_shape_infer=False)
        model.topological_sort()
    expected = {"Attention": 0, "PackedAttention": layers, "RemovePadding": 1, "RestorePadding": 1}
    _check(model.model, expected)
    return model.model


def _expected(config: PretrainedConfig) -> Mapping[str, int]:
    """Return how often each fused operator must occur in the graph of such an encoder."""
    kind = config.model_type
    if kind not in _EMBEDDING_NORM:
        reason = _REFUSED.get(kind, "nothing is known of its fusion")
        raise ExportError(f"architecture {kind!r} cannot be exported in {PRECISION}: {reason}")
    if config.hidden_act != "gelu":
        raise ExportError(
            f"activation {config.hidden_act!r} cannot be exported in {PRECISION}, only 'gelu'"
        )
    layers = config.num_hidden_layers
    return {
        "Attention": layers,
        "SkipLayerNormalization": 2 * layers,
        "BiasGelu": layers,
        **{name: int(name == _EMBEDDING_NORM[kind]) for name in _EMBEDDING},
    }


def _check(graph: ModelProto, expected: Mapping[str, int]) -> None:
    found = Counter(node.op_type for node in graph.graph.node)
    for name, count in expected.items():
        if found[name] != count:
            raise ExportError(f"the graph has {found[name]} {name}, not {count}: it did not fuse")


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what ONNX Runtime's tools log of each step, under the names of many modules."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
