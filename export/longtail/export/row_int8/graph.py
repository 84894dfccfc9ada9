"""The int8 graph: hidden states are rows of all texts' tokens, (texts * tokens, width).

The residual sums are Sum nodes: ONNX Runtime fuses an Add with the normalisation behind it into a
kernel that is slower on the CPU than the two.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from longtail.export.row_int8.calibration import Int8Layer
from longtail.export.row_int8.linear import GELU_FLOOR, LARGEST, Int8Gelu, Int8Linear
from longtail.export.row_int8.weights import Linear, Norm, Weights
from longtail.export.row_int8.writer import MICROSOFT, GraphWriter
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from torch import Tensor

# What a masked position's score is lowered by; exp() of it is zero.
_MASKED = -1e9
# A bias whose GELU is itself: a unit of it puts a constant among the outlier units.
_GELU_CONSTANT = 16.0


def write(weights: Weights, layers: Iterable[Int8Layer]) -> ModelProto:
    """Return the encoder with inputs `input_ids` and `attention_mask`, int64 (texts, tokens).

    Its output is `last_hidden_state`, float32 (texts, tokens, width).
    """
    graph = _Encoder(weights)
    for layer in layers:
        graph.add(layer)
    return graph.finish()


class _Encoder:
    def __init__(self, weights: Weights) -> None:
        self._writer = GraphWriter()
        self._width, self._heads = weights.width, weights.heads
        writer = self._writer
        self._shape = writer.op("Shape", "input_ids")
        self._hidden = self._embed(weights)
        rows = writer.op("Shape", self._hidden, start=0, end=1)
        column = writer.op("Concat", rows, self._integers(1), axis=0)
        self._midpoints = writer.op("Expand", writer.constant(np.array([[128]], np.uint8)), column)
        mask = writer.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        absent = writer.op("Sub", self._number(1), mask)
        lowered = writer.op("Mul", absent, self._number(_MASKED))
        self._mask = writer.op("Unsqueeze", lowered, self._integers(1, 2))

    def add(self, layer: Int8Layer) -> None:
        """Write one block behind those that are there."""
        writer = self._writer
        context = self._attend(self._product(self._hidden, layer.qkv))
        attended = self._product(context, layer.attention_output)
        hidden = self._normalise(writer.op("Sum", attended, self._hidden), layer.attention_norm)
        output = self._feed_forward(hidden, layer.feed_forward)
        self._hidden = self._normalise(writer.op("Sum", output, hidden), layer.output_norm)

    def finish(self) -> ModelProto:
        """Return the model."""
        writer = self._writer
        shape = writer.op("Concat", self._shape, self._integers(self._width), axis=0)
        writer.rename(writer.op("Reshape", self._hidden, shape), "last_hidden_state")
        texts = ["texts", "tokens"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, texts)
            for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info(
            "last_hidden_state", TensorProto.FLOAT, [*texts, self._width]
        )
        return writer.model(inputs, [output])

    def _embed(self, weights: Weights) -> str:
        """Write the sum of word and position, words as int8 with a scale each."""
        writer = self._writer
        words = _array(weights.words)
        scales = np.maximum(np.abs(words).max(axis=1, keepdims=True), 1e-9) / LARGEST
        codes = writer.constant(np.rint(words / scales).astype(np.int8))
        word = writer.op("Cast", writer.op("Gather", codes, "input_ids"), to=TensorProto.FLOAT)
        scale = writer.op("Gather", writer.constant(scales), "input_ids")
        length = writer.op("Shape", "input_ids", start=1, end=2)
        position = writer.op(
            "Slice", writer.constant(_array(weights.positions)), self._integers(0), length
        )
        summed = writer.op("Add", writer.op("Mul", word, scale), position)
        rows = writer.op("Reshape", summed, self._integers(-1, self._width))
        return self._normalise(rows, weights.embedding_norm)

    def _product(self, rows: str, linear: Int8Linear) -> str:
        """Write `linear`: int8 with a scale for each row, the outliers and the bias in fp32."""
        writer = self._writer
        smoothed = writer.op("Mul", rows, self._array(linear.inverse)) if _smooths(linear) else rows
        largest = writer.op("ReduceMax", writer.op("Abs", smoothed), self._integers(1), keepdims=1)
        # A row of zeros has no scale of its own.
        bounded = writer.op("Max", largest, self._number(1e-9))
        scale = writer.op("Mul", bounded, self._number(1 / LARGEST))
        codes = writer.op(
            "QuantizeLinear",
            smoothed,
            scale,
            self._midpoints,
            axis=1,
            block_size=len(linear.inverse),
        )
        product = self._int8_product(codes, linear.codes, linear.scales, midpoint=128)
        scaled = writer.op("Mul", product, scale)
        if not linear.outliers:
            return writer.op("Add", scaled, self._array(linear.bias))
        # One small product picks the outlier channels and puts a one beside them for the bias.
        picks = np.zeros((len(linear.inverse), len(linear.outliers) + 1), np.float32)
        picks[linear.outliers, range(len(linear.outliers))] = 1
        ones = np.zeros(len(linear.outliers) + 1, np.float32)
        ones[-1] = 1
        outliers = writer.op("Gemm", rows, writer.constant(picks), writer.constant(ones))
        weight = np.vstack([_array(linear.outlier_weight), _array(linear.bias)])
        return writer.op("Gemm", outliers, writer.constant(weight), scaled)

    def _feed_forward(self, rows: str, plan: Int8Gelu) -> str:
        """Write both products and the GELU between them.

        GELU's values begin at -0.17: each row is shifted by it, and what the shift adds to the
        product is taken off again in fp32, beside the outlier units and the bias.
        """
        writer = self._writer
        units = writer.op("Gelu", self._product(rows, plan.first), domain=MICROSOFT)
        floor = self._number(GELU_FLOOR)
        largest = writer.op("ReduceMax", units, self._integers(1), keepdims=1)
        range_ = writer.op("Add", writer.op("Max", largest, self._number(0)), floor)
        scale = writer.op("Mul", range_, self._number(1 / 255))
        shift = writer.op("Round", writer.op("Div", floor, scale))
        codes = writer.op(
            "QuantizeLinear",
            units,
            scale,
            writer.op("Cast", shift, to=TensorProto.UINT8),
            axis=1,
            block_size=len(plan.codes),
        )
        product = self._int8_product(codes, plan.codes, plan.scales, midpoint=0)
        scaled = writer.op("Mul", product, scale)
        outliers = writer.op(
            "Gelu", self._gemm(rows, _with_constant(plan.outlier_units)), domain=MICROSOFT
        )
        shifted = writer.op("Mul", shift, scale)
        columns = writer.op("Concat", outliers, shifted, axis=1)
        added = _array(plan.codes).astype(np.float32).sum(axis=0) * _array(plan.scales)
        weight = np.vstack(
            [_array(plan.outlier_weight), _array(plan.bias) / _GELU_CONSTANT, -added]
        )
        return writer.op("Gemm", columns, writer.constant(weight), scaled)

    def _attend(self, qkv: str) -> str:
        """Write self-attention over `qkv` (rows, 3 * width), the queries scaled already."""
        writer = self._writer
        head_width = self._width // self._heads
        split = self._integers(3, self._heads, head_width)
        shape = writer.op("Concat", self._shape, split, axis=0)
        heads = writer.op("Transpose", writer.op("Reshape", qkv, shape), perm=[2, 0, 3, 1, 4])
        query, key, value = writer.ops("Split", heads, outputs=3, axis=0, num_outputs=3)
        scores = writer.op("FusedMatMul", query, key, domain=MICROSOFT, transB=1)
        masked = writer.op("Add", scores, self._mask)
        context = writer.op("MatMul", writer.op("Softmax", masked, axis=-1), value)
        together = writer.op("Transpose", context, perm=[0, 1, 3, 2, 4])
        return writer.op("Reshape", together, self._integers(-1, self._width))

    def _int8_product(self, codes: str, weight: Tensor, scales: Tensor, *, midpoint: int) -> str:
        writer = self._writer
        return writer.op(
            "MatMulIntegerToFloat",
            codes,
            self._array(weight),
            self._number(1),
            self._array(scales),
            writer.constant(np.array(midpoint, np.uint8)),
            domain=MICROSOFT,
        )

    def _gemm(self, rows: str, linear: Linear) -> str:
        return self._writer.op("Gemm", rows, self._array(linear.weight), self._array(linear.bias))

    def _normalise(self, rows: str, norm: Norm) -> str:
        return self._writer.op(
            "LayerNormalization",
            rows,
            self._array(norm.scale),
            self._array(norm.shift),
            epsilon=norm.epsilon,
        )

    def _array(self, tensor: Tensor) -> str:
        return self._writer.constant(_array(tensor))

    def _number(self, value: float) -> str:
        return self._writer.constant(np.array(value, np.float32))

    def _integers(self, *values: int) -> str:
        return self._writer.constant(np.array(values, np.int64))


def _smooths(linear: Int8Linear) -> bool:
    return bool((linear.inverse != 1).any())


def _with_constant(units: Linear) -> Linear:
    """Return `units` and one more, which is _GELU_CONSTANT whatever comes in."""
    width = units.weight.shape[0]
    return Linear(
        weight=torch.cat([units.weight, torch.zeros(width, 1)], dim=1),
        bias=torch.cat([units.bias, torch.tensor([_GELU_CONSTANT])]),
    )


# Codes are int8, all else is float32.
def _array(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().numpy()
    return array
