"""The end of every graph: pooling and unit length.

With pooling in the graph, nobody who runs it can pool differently.
"""

import onnx
import onnx.parser
from longtail.export.checkpoint import Pooling
from onnx import ModelProto, helper

_SIGNATURE = """
head (int64[batch, tokens] attention_mask, float[batch, tokens, hidden] last_hidden_state)
  => (float[batch, hidden] embedding)
  <int64[1] token_axis = {1}, int64[1] hidden_axis = {-1}, float tiny = {1e-12},
   int64 first = {0}, float lowest = {-3.4e38}>
"""
# Sums are matrix products: a ReduceSum adds up in another order when the batch has another shape,
# and the vector would depend on it in its last bit. So would a product with a single row over
# tokens, whose kernel adds up in fours; that of two rows adds one after the other.
_POOLING = {
    Pooling.MEAN: """
        mask = Cast <to = 1> (attention_mask)
        count = ReduceSum <keepdims = 1> (mask, token_axis)
        weights = Unsqueeze (mask, token_axis)
        twice = Concat <axis = 1> (weights, weights)
        totals = MatMul (twice, last_hidden_state)
        total = Gather <axis = 1> (totals, first)
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
        {prefix}row = Unsqueeze ({vector}, {prefix}token_axis)
        {prefix}column = Unsqueeze ({vector}, {prefix}hidden_axis)
        {prefix}squares = MatMul ({prefix}row, {prefix}column)
        {prefix}square = Squeeze ({prefix}squares, {prefix}token_axis)
        {prefix}length = Sqrt ({prefix}square)
        {prefix}bounded = Max ({prefix}length, {prefix}tiny)
        embedding = Div ({vector}, {prefix}bounded)
"""


def unit_length(vector: str, prefix: str = "") -> str:
    """Return the nodes that bring `vector` (batch, numbers) to unit length, as `embedding`.

    `prefix` is before the names of their values and of the constants token_axis, hidden_axis, tiny.
    """
    return _UNIT_LENGTH.format(vector=vector, prefix=prefix)


def add(encoder: ModelProto, pooling: Pooling) -> ModelProto:
    """Return a graph of `input_ids` and `attention_mask` alone, both int64 (batch, tokens).

    `encoder` gives `last_hidden_state`, float32 (batch, tokens, hidden); it is changed. The
    output `embedding` is float32 (batch, hidden), each row of unit length.
    """
    graph = encoder.graph
    text = f"{_SIGNATURE} {{ {_POOLING[pooling]} {unit_length('pooled')} }}"
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
    _fix_segment(encoder)
    return encoder


def _fix_segment(model: ModelProto) -> None:
    """Replace the input `token_type_ids`, where there is one, by zeros: a text is one segment."""
    graph = model.graph
    inputs = [value for value in graph.input if value.name != "token_type_ids"]
    if len(inputs) == len(graph.input):
        return
    del graph.input[:]
    graph.input.extend(inputs)
    graph.node.insert(0, helper.make_node("Sub", ["input_ids", "input_ids"], ["token_type_ids"]))
