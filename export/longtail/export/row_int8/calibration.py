"""Run the encoder block by block over texts, and plan each product on what really enters it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from longtail.export.row_int8.linear import Int8Gelu, Int8Linear, plan, plan_gelu
from longtail.export.row_int8.weights import Layer, Linear, Norm, Weights
from torch import Tensor
from torch.nn import functional

# More tells the plan nothing new, and the widest inputs of a block are held in memory at once.
MAX_TOKENS = 40_000
_BATCH = 16
# Channels, or GELU units, that are multiplied in fp32.
_OUTLIERS, _OUTLIER_UNITS = 4, 8


@dataclass(frozen=True)
class Int8Layer:
    """One block as it will be written."""

    qkv: Int8Linear
    attention_output: Int8Linear
    attention_norm: Norm
    feed_forward: Int8Gelu
    output_norm: Norm


@dataclass
class _Batch:
    """Hidden states (texts, tokens, width) and which of them are tokens (texts, tokens)."""

    hidden: Tensor
    mask: Tensor


@torch.no_grad()
def quantise(weights: Weights, texts: Sequence[Sequence[int]]) -> Iterator[Int8Layer]:
    """Yield each block of `weights`, planned on `texts` (token ids), of which some may be left out.

    The queries are scaled by 1 / sqrt(head width), so that the graph need not.
    """
    batches = [_embed(weights, batch) for batch in _batches(texts)]
    for layer in weights.layers:
        scaled = _scale_queries(layer.qkv, weights.width // weights.heads)
        qkv = plan(scaled, _tokens(batches), outliers=_OUTLIERS, smooth=True)
        contexts = [_Batch(_attend(batch, scaled, weights.heads), batch.mask) for batch in batches]
        attention_output = plan(layer.attention_output, _tokens(contexts), outliers=0, smooth=False)
        for batch, context in zip(batches, contexts, strict=True):
            attended = _apply(layer.attention_output, context.hidden)
            batch.hidden = _normalise(attended + batch.hidden, layer.attention_norm)
        feed_forward = plan_gelu(
            layer.intermediate,
            layer.output,
            _tokens(batches),
            outliers=_OUTLIERS,
            outlier_units=_OUTLIER_UNITS,
        )
        for batch in batches:
            batch.hidden = _feed_forward(batch.hidden, layer)
        yield Int8Layer(
            qkv, attention_output, layer.attention_norm, feed_forward, layer.output_norm
        )


def _batches(texts: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Yield texts of like length together, spread over all lengths, MAX_TOKENS in all."""
    share = min(1.0, MAX_TOKENS / sum(map(len, texts)))
    count = max(1, int(share * len(texts)))
    chosen = [texts[int(i / share)] for i in range(count)]
    chosen.sort(key=len)
    for start in range(0, len(chosen), _BATCH):
        yield chosen[start : start + _BATCH]


def _embed(weights: Weights, texts: Sequence[Sequence[int]]) -> _Batch:
    longest = max(map(len, texts))
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros(len(texts), longest, dtype=torch.bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = True
    hidden = weights.words[ids] + weights.positions[:longest]
    return _Batch(_normalise(hidden, weights.embedding_norm), mask)


def _scale_queries(qkv: Linear, head_width: int) -> Linear:
    scale = torch.ones(qkv.bias.shape[0])
    scale[: len(scale) // 3] = head_width**-0.5
    return Linear(qkv.weight * scale, qkv.bias * scale)


def _attend(batch: _Batch, qkv: Linear, heads: int) -> Tensor:
    texts, longest, width = batch.hidden.shape
    split = _apply(qkv, batch.hidden).view(texts, longest, 3, heads, width // heads)
    query, key, value = split.permute(2, 0, 3, 1, 4)
    scores = (query @ key.mT).masked_fill(~batch.mask[:, None, None, :], -torch.inf)
    context: Tensor = scores.softmax(dim=-1) @ value
    return context.transpose(1, 2).reshape(texts, longest, width)


def _feed_forward(hidden: Tensor, layer: Layer) -> Tensor:
    units = functional.gelu(_apply(layer.intermediate, hidden))
    return _normalise(_apply(layer.output, units) + hidden, layer.output_norm)


def _apply(linear: Linear, inputs: Tensor) -> Tensor:
    return inputs @ linear.weight + linear.bias


def _normalise(hidden: Tensor, norm: Norm) -> Tensor:
    return functional.layer_norm(hidden, hidden.shape[-1:], norm.scale, norm.shift, norm.epsilon)


def _tokens(batches: Sequence[_Batch]) -> Tensor:
    """Return the hidden states of what is no padding (tokens, width)."""
    return torch.cat([batch.hidden[batch.mask] for batch in batches])
