"""GPTQ: int8 weights that make up for each other's rounding.

Frantar et al., "GPTQ: Accurate post-training quantization for generative pre-trained transformers"
(2023, arXiv:2210.17323). Weights are rounded one input channel at a time, most active channels
first; what rounding changes in the output is taken back by the channels that are still to come.
"""

import torch
from torch import Tensor

LARGEST = 127
_DAMPING = 0.01
_BLOCK = 128
# Shares of the largest weight that are tried as the largest code.
_SHRINKS = tuple(1 - 0.02 * step for step in range(16))


def quantise(weight: Tensor, second_moment: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes int8 (in, out) and scales (out,) with `codes * scales` near `weight` (in, out).

    `second_moment` (in, in) is the sum of x xᵀ over the inputs that the weights will meet; an
    input channel that is always zero gets zero weights.
    """
    hessian = second_moment.double().clone()
    active = hessian.diagonal() > 0
    remaining = weight.T.double().clone()
    remaining[:, ~active] = 0
    hessian.diagonal()[~active] = 1
    hessian.diagonal().add_(_DAMPING * hessian.diagonal().mean())

    scales = _scales(remaining, second_moment.diagonal().double())
    order = hessian.diagonal().argsort(descending=True)
    remaining, hessian = remaining[:, order], hessian[order][:, order]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    factor = torch.linalg.cholesky(inverse, upper=True)

    codes = torch.empty_like(remaining)
    channels = remaining.shape[1]
    for start in range(0, channels, _BLOCK):
        end = min(start + _BLOCK, channels)
        errors = torch.empty_like(remaining[:, start:end])
        for channel in range(start, end):
            codes[:, channel] = _codes(remaining[:, channel], scales)
            error = remaining[:, channel] - codes[:, channel] * scales
            errors[:, channel - start] = error / factor[channel, channel]
            remaining[:, channel:end] -= torch.outer(
                errors[:, channel - start], factor[channel, channel:end]
            )
        # The channels behind the block are corrected once for all of it.
        remaining[:, end:] -= errors @ factor[start:end, end:]
    return codes[:, order.argsort()].T.to(torch.int8), scales.float()


def _scales(weight: Tensor, activity: Tensor) -> Tensor:
    """Return the scales (out,) whose plain rounding errs least, weighted by `activity` (in,)."""
    largest = weight.abs().amax(dim=1).clamp_min(1e-12)
    best, lowest = largest / LARGEST, torch.full_like(largest, torch.inf)
    for shrink in _SHRINKS:
        scales = largest * shrink / LARGEST
        rounded = _codes(weight.T, scales).T * scales[:, None]
        error = ((weight - rounded).square() * activity).sum(dim=1)
        best, lowest = torch.where(error < lowest, scales, best), torch.minimum(error, lowest)
    return best


def _codes(values: Tensor, scales: Tensor) -> Tensor:
    return (values / scales).round().clamp(-LARGEST, LARGEST)
