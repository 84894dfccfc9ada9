"""Checkpoint to 8-bit ONNX graph: optimum's export, with pooling and unit length added.

With pooling in the graph, nobody who runs it can pool differently. MatMulNBits quantises
activations in blocks of a row, so that a text's vector does not depend on the texts beside it; the
usual dynamic int8 has one scale for the whole batch.
"""

import logging
import warnings
from pathlib import Path

import onnx
import onnx.parser
from onnx import ModelProto, helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from optimum.exporters.onnx import export
from optimum.exporters.tasks import TasksManager
from transformers import PreTrainedModel

from export.checkpoint import Pooling

PRECISION = "nbits8"

_SIGNATURE = """
head (int64[batch, tokens] attention_mask, float[batch, tokens, hidden] last_hidden_state)
  => (float[batch, hidden] embedding)
  <int64[1] token_axis = {1}, int64[1] hidden_axis = {-1}, float tiny = {1e-12},
   int64 first = {0}, float lowest = {-3.4e38}>
"""
_POOLING = {
    Pooling.MEAN: """
        mask = Cast <to = 1> (attention_mask)
        weights = Unsqueeze (mask, hidden_axis)
        kept = Mul (last_hidden_state, weights)
        total = ReduceSum <keepdims = 0> (kept, token_axis)
        count = ReduceSum <keepdims = 0> (weights, token_axis)
        pooled = Div (total, count)
    """,
    Pooling.CLS: """
        pooled = Gather <axis = 1> (last_hidden_state, first)
    """,
    Pooling.MAX: """
        mask = Cast <to = 9> (attention_mask)
        present = Unsqueeze (mask, hidden_axis)
        kept = Where (present, last_hidden_state, lowest)
        pooled = ReduceMax <keepdims = 0> (kept, token_axis)
    """,
}
_UNIT_LENGTH = """
        length = ReduceL2 <keepdims = 1> (pooled, hidden_axis)
        bounded = Max (length, tiny)
        embedding = Div (pooled, bounded)
"""


def build(model: PreTrainedModel, pooling: Pooling, folder: Path) -> ModelProto:
    """Return the 8-bit graph of `model`; `folder` takes an intermediate file.

    Inputs `input_ids` and `attention_mask`: int64 (batch, tokens). Output `embedding`: float32
    (batch, dimension), each row of unit length.
    """
    graph = _quantise(_add_head(_export(model, folder), pooling))
    onnx.checker.check_model(graph)
    return graph


def _export(model: PreTrainedModel, folder: Path) -> ModelProto:
    constructor = TasksManager.get_exporter_config_constructor(
        "onnx", model, task="feature-extraction", library_name="transformers"
    )
    path = folder / "encoder.fp32.onnx"
    with warnings.catch_warnings():
        # optimum uses the exporter that torch has superseded.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.|optimum\.")
        # Conditions and constants in the encoders' code, which are the same for any input.
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python")
        warnings.filterwarnings("ignore", message="torch.tensor results are registered")
        export(model, constructor(model.config), path)
    graph = onnx.load(path)
    path.unlink()
    return graph


def _add_head(model: ModelProto, pooling: Pooling) -> ModelProto:
    graph = model.graph
    text = f"{_SIGNATURE} {{ {_POOLING[pooling]} {_UNIT_LENGTH} }}"
    head = onnx.parser.parse_graph(text)
    used = {name for node in head.node for name in node.input}
    graph.initializer.extend(value for value in head.initializer if value.name in used)
    graph.node.extend(head.node)
    dimension = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    embedding = helper.make_tensor_value_info(
        "embedding", onnx.TensorProto.FLOAT, ["batch_size", dimension]
    )
    del graph.output[:]
    graph.output.append(embedding)
    _fix_segment(model)
    return model


def _fix_segment(model: ModelProto) -> None:
    """Replace the input `token_type_ids`, where there is one, by zeros: a text is one segment."""
    graph = model.graph
    inputs = [value for value in graph.input if value.name != "token_type_ids"]
    if len(inputs) == len(graph.input):
        return
    del graph.input[:]
    graph.input.extend(inputs)
    graph.node.insert(0, helper.make_node("Sub", ["input_ids", "input_ids"], ["token_type_ids"]))


def _quantise(model: ModelProto) -> ModelProto:
    # It logs every node that it passes.
    logging.getLogger("onnxruntime.quantization").setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(
        model, bits=8, block_size=32, is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    quantised: ModelProto = quantizer.model.model
    return quantised
