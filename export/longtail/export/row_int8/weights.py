"""The weights of a BERT-like encoder under one set of names, whatever its makers call them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from longtail.export.errors import ExportError
from torch import Tensor, nn
from transformers import PreTrainedModel


class UnsupportedEncoder(ExportError):
    """The blocks are not BERT's; the message names what is different."""


@dataclass(frozen=True)
class Linear:
    """y = x @ weight + bias: weight (in, out), bias (out,)."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Norm:
    """Layer normalisation: scale and shift (width,)."""

    scale: Tensor
    shift: Tensor
    epsilon: float


@dataclass(frozen=True)
class Layer:
    """One block, normalised behind each of its two residual sums; `qkv` is (width, 3 * width)."""

    qkv: Linear
    attention_output: Linear
    attention_norm: Norm
    intermediate: Linear
    output: Linear
    output_norm: Norm


@dataclass(frozen=True)
class Weights:
    """An encoder: words (vocabulary, width), positions (longest input, width), its blocks.

    The embedding of the one segment that a text has is added to the positions.
    """

    words: Tensor
    positions: Tensor
    embedding_norm: Norm
    layers: Sequence[Layer]
    heads: int

    @property
    def width(self) -> int:
        """Return the length of a token's hidden state."""
        return int(self.words.shape[1])


@torch.no_grad()
def read(model: PreTrainedModel, max_tokens: int) -> Weights:
    """Return the weights of `model`; raise UnsupportedEncoder when its blocks are not BERT's."""
    config = model.config
    kind = config.model_type
    reader = _READERS.get(kind)
    if reader is None:
        raise UnsupportedEncoder(
            f"row-int8 is not written for the architecture {kind!r}, only {', '.join(_READERS)}"
        )
    activation = config.activation if kind == "distilbert" else config.hidden_act
    if activation != "gelu":
        raise UnsupportedEncoder(f"row-int8 is not written for the activation {activation!r}")
    if getattr(model, "embeddings_project", None) is not None:
        raise UnsupportedEncoder("row-int8 needs embeddings as wide as the hidden states")
    return reader(model, max_tokens)


def _bert(model: PreTrainedModel, max_tokens: int, first_position: int = 0) -> Weights:
    embeddings = model.embeddings
    positions = embeddings.position_embeddings.weight[first_position : first_position + max_tokens]
    return Weights(
        words=embeddings.word_embeddings.weight.detach(),
        positions=positions + embeddings.token_type_embeddings.weight[0],
        embedding_norm=_norm(embeddings.LayerNorm),
        layers=[
            Layer(
                qkv=_side_by_side(
                    layer.attention.self.query, layer.attention.self.key, layer.attention.self.value
                ),
                attention_output=_side_by_side(layer.attention.output.dense),
                attention_norm=_norm(layer.attention.output.LayerNorm),
                intermediate=_side_by_side(layer.intermediate.dense),
                output=_side_by_side(layer.output.dense),
                output_norm=_norm(layer.output.LayerNorm),
            )
            for layer in model.encoder.layer
        ],
        heads=model.config.num_attention_heads,
    )


def _roberta(model: PreTrainedModel, max_tokens: int) -> Weights:
    # Positions are numbered from behind the padding token's id.
    return _bert(model, max_tokens, first_position=model.config.pad_token_id + 1)


def _distilbert(model: PreTrainedModel, max_tokens: int) -> Weights:
    embeddings = model.embeddings
    return Weights(
        words=embeddings.word_embeddings.weight.detach(),
        positions=embeddings.position_embeddings.weight[:max_tokens].detach(),
        embedding_norm=_norm(embeddings.LayerNorm),
        layers=[
            Layer(
                qkv=_side_by_side(
                    layer.attention.q_lin, layer.attention.k_lin, layer.attention.v_lin
                ),
                attention_output=_side_by_side(layer.attention.out_lin),
                attention_norm=_norm(layer.sa_layer_norm),
                intermediate=_side_by_side(layer.ffn.lin1),
                output=_side_by_side(layer.ffn.lin2),
                output_norm=_norm(layer.output_layer_norm),
            )
            for layer in model.transformer.layer
        ],
        heads=model.config.n_heads,
    )


_READERS: dict[str, Callable[[PreTrainedModel, int], Weights]] = {
    "bert": _bert,
    "distilbert": _distilbert,
    "electra": _bert,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
}


def _side_by_side(*linears: nn.Linear) -> Linear:
    return Linear(
        weight=torch.cat([linear.weight.detach().T for linear in linears], dim=1),
        bias=torch.cat([linear.bias.detach() for linear in linears]),
    )


def _norm(norm: nn.LayerNorm) -> Norm:
    return Norm(norm.weight.detach(), norm.bias.detach(), norm.eps)
