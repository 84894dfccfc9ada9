"""Matrix products in int8, each planned on the inputs that it will meet.

A row of inputs has a scale of its own, so that a text's vector does not depend on its neighbours.
The few channels that would stretch every row's scale are multiplied in fp32 (LLM.int8(), Dettmers
et al., 2022, arXiv:2208.07339); the rest of the unevenness between channels is moved into the
weights (SmoothQuant, Xiao et al., 2023, arXiv:2211.10438).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from longtail.export.row_int8 import gptq
from longtail.export.row_int8.weights import Linear
from torch import Tensor

LARGEST = 127
# Exponents of SmoothQuant: how much of a channel's range goes to the weights, and of theirs back.
_SMOOTHING = 0.6
_QUANTILE = 0.999
# GELU never goes below this, so its rows are shifted by it and keep all eight bits.
GELU_FLOOR = 0.17


@dataclass(frozen=True)
class Int8Linear:
    """y = rows(x * inverse) @ (codes * scales) + x[:, outliers] @ outlier_weight + bias.

    inverse (in,) is zero at the outliers, codes int8 (in, out), scales and bias (out,),
    outlier_weight (outliers, out).
    """

    inverse: Tensor
    codes: Tensor
    scales: Tensor
    outliers: Sequence[int]
    outlier_weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Int8Gelu:
    """A block's two last products: `first`, GELU, `second`, with the outlier units set apart.

    `outlier_units` gives the units whose GELU stays in fp32, `outlier_weight` (units, out) is what
    they are multiplied by; codes int8 (other units, out), scales and bias (out,).
    """

    first: Int8Linear
    outlier_units: Linear
    codes: Tensor
    scales: Tensor
    outlier_weight: Tensor
    bias: Tensor


def plan(linear: Linear, inputs: Tensor, *, outliers: int, smooth: bool) -> Int8Linear:
    """Plan `linear` for `inputs` (tokens, in), with `outliers` channels in fp32."""
    chosen = _outliers(inputs, outliers)
    if smooth:
        range_of_inputs = _quantile(inputs.abs())
        range_of_weights = linear.weight.abs().amax(dim=1).clamp_min(1e-6)
        smoothing = range_of_inputs**_SMOOTHING / range_of_weights ** (1 - _SMOOTHING)
        smoothing = smoothing / smoothing.log().mean().exp()
    else:
        smoothing = torch.ones(inputs.shape[1])
    inverse = 1 / smoothing
    inverse[chosen] = 0
    smoothed = inputs * inverse
    codes, scales = gptq.quantise(linear.weight * smoothing[:, None], smoothed.T @ smoothed)
    return Int8Linear(
        inverse=inverse,
        codes=codes,
        scales=scales,
        outliers=chosen,
        outlier_weight=linear.weight[chosen],
        bias=linear.bias,
    )


def plan_gelu(
    first: Linear, second: Linear, inputs: Tensor, *, outliers: int, outlier_units: int
) -> Int8Gelu:
    """Plan `first`, GELU and `second` for `inputs` (tokens, in)."""
    units = torch.nn.functional.gelu(inputs @ first.weight + first.bias)
    apart = _outliers(units, outlier_units)
    kept = [unit for unit in range(units.shape[1]) if unit not in set(apart)]
    units = units[:, kept]
    codes, scales = gptq.quantise(second.weight[kept], units.T @ units)
    return Int8Gelu(
        first=plan(
            Linear(first.weight[:, kept], first.bias[kept]), inputs, outliers=outliers, smooth=True
        ),
        outlier_units=Linear(first.weight[:, apart], first.bias[apart]),
        codes=codes,
        scales=scales,
        outlier_weight=second.weight[apart],
        bias=second.bias,
    )


def _outliers(inputs: Tensor, count: int) -> list[int]:
    """Return the channels whose removal, one after the other, shrinks the rows' ranges most."""
    magnitude = inputs.abs()
    chosen: list[int] = []
    for _ in range(min(count, inputs.shape[1] - 2)):
        largest, channels = magnitude.topk(2, dim=1)
        gain = largest[:, 0].square() - largest[:, 1].square()
        total = torch.zeros(inputs.shape[1]).index_add_(0, channels[:, 0], gain)
        chosen.append(int(total.argmax()))
        magnitude[:, chosen[-1]] = 0
    return sorted(chosen)


def _quantile(magnitude: Tensor) -> Tensor:
    """Return the value (in,) that each channel passes once in a thousand tokens."""
    rank = max(1, round(_QUANTILE * len(magnitude)))
    return magnitude.kthvalue(rank, dim=0).values.clamp_min(1e-5)
