"""The parts of a product in int8: GPTQ's weights, the outliers, the smoothing."""

import pytest
import torch
from longtail.export.row_int8 import gptq, linear
from longtail.export.row_int8.weights import Linear
from torch import Tensor


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(11)


def correlated(tokens: int = 2_000, channels: int = 32) -> Tensor:
    """Return inputs (tokens, channels) that a few hidden causes explain."""
    return torch.randn(tokens, 6) @ torch.randn(6, channels) + 0.05 * torch.randn(tokens, channels)


def dequantised(plan: linear.Int8Linear, inputs: Tensor) -> Tensor:
    """Return the product as the graph computes it, but for the rounding of its inputs."""
    product = (inputs * plan.inverse) @ (plan.codes.float() * plan.scales)
    return product + inputs[:, list(plan.outliers)] @ plan.outlier_weight + plan.bias


def test_weights_that_make_up_for_each_other_err_less_than_rounded_ones() -> None:
    inputs, weight = correlated(), torch.randn(32, 16)
    codes, scales = gptq.quantise(weight, inputs.T @ inputs)
    nearest = (weight / scales).round().clamp(-127, 127)
    ours = (inputs @ (codes.float() * scales - weight)).square().mean()
    plain = (inputs @ (nearest * scales - weight)).square().mean()
    assert ours < 0.5 * plain


def test_codes_use_the_symmetric_range_and_scales_are_positive() -> None:
    inputs = correlated()
    codes, scales = gptq.quantise(3 * torch.randn(32, 16), inputs.T @ inputs)
    assert codes.dtype == torch.int8
    assert int(codes.abs().max()) == gptq.LARGEST
    assert bool((scales > 0).all())


def test_a_channel_that_is_always_zero_gets_no_weight() -> None:
    inputs = correlated()
    inputs[:, 5] = 0
    codes, _ = gptq.quantise(torch.randn(32, 16), inputs.T @ inputs)
    assert not codes[5].any()
    assert codes[4].any()


def test_the_channels_that_stretch_the_rows_are_set_apart() -> None:
    inputs = correlated()
    inputs[:, 3] *= 40
    inputs[:, 17] *= 25
    plan = linear.plan(
        Linear(torch.randn(32, 16), torch.randn(16)), inputs, outliers=2, smooth=True
    )
    assert plan.outliers == [3, 17]
    assert plan.inverse[[3, 17]].tolist() == [0, 0]
    assert not plan.codes[[3, 17]].any()


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("outliers", [0, 4])
def test_a_plan_gives_the_product(outliers: int, smooth: bool) -> None:
    inputs, whole = correlated(), Linear(torch.randn(32, 16), torch.randn(16))
    plan = linear.plan(whole, inputs, outliers=outliers, smooth=smooth)
    expected = inputs @ whole.weight + whole.bias
    error = (dequantised(plan, inputs) - expected).square().mean()
    assert error < 1e-4 * expected.square().mean()


def test_smoothing_evens_the_ranges_of_the_channels() -> None:
    inputs = correlated() * torch.logspace(-1, 1, 32)
    whole = Linear(torch.randn(32, 16), torch.zeros(16))
    ranges = (inputs * linear.plan(whole, inputs, outliers=0, smooth=True).inverse).abs().amax(0)
    before = inputs.abs().amax(0)
    assert ranges.max() / ranges.min() < 0.5 * before.max() / before.min()


def test_gelu_units_are_set_apart_once_each() -> None:
    inputs = correlated()
    first = Linear(torch.randn(32, 24), torch.zeros(24))
    first.weight[:, 9] *= 30
    second = Linear(torch.randn(24, 32), torch.randn(32))
    plan = linear.plan_gelu(first, second, inputs, outliers=2, outlier_units=3)
    assert plan.outlier_units.weight.shape == (32, 3)
    assert plan.first.codes.shape == (32, 21)
    assert plan.codes.shape == (21, 32)
    # The loudest unit is among those apart, with its own row of the second product.
    position = [
        bool((column == first.weight[:, 9]).all()) for column in plan.outlier_units.weight.T
    ]
    assert torch.equal(plan.outlier_weight[position.index(True)], second.weight[9])
