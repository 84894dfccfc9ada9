"""Fewer layers: drops those that the vectors miss least, as measured.

Greedy, after Peer, Stabinger, Engl and Rodriguez-Sanchez, "Greedy-layer pruning: Speeding up
transformer models for natural language processing" (2022): again and again the one layer goes
whose removal does the least damage. Damage is measured on the unit vectors of texts, so that no
labels are needed.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
from longtail.export.errors import ExportError
from longtail.worker.vectors import Vectors
from torch.nn import Module, ModuleList
from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


def choose(model: PreTrainedModel, encode: Callable[[], Vectors], count: int) -> tuple[int, ...]:
    """Return the layers to keep when `count` are dropped, from first to last.

    `encode` gives the unit vectors of some texts, by `model` as it is at that moment; it is called
    about `count` times the number of layers. Raises ExportError when no layer would be left.
    """
    kept = tuple(range(len(_layers(model))))
    if not 1 <= count < len(kept):
        raise ExportError(
            f"{count} layers cannot be dropped of {len(kept)}: 1 to {len(kept) - 1} can"
        )
    original = encode()
    for _ in range(count):
        candidates = [tuple(k for k in kept if k != layer) for layer in kept]
        cosines = [_cosine(model, candidate, encode, original) for candidate in candidates]
        best = int(np.argmax(cosines))
        logger.info("dropping layer %d leaves a mean cosine of %.4f", kept[best], cosines[best])
        kept = candidates[best]
    return kept


def layers(model: PreTrainedModel) -> int:
    """Return how many layers `model` has."""
    return len(_layers(model))


def prune(model: PreTrainedModel, keep: Sequence[int]) -> PreTrainedModel:
    """Return a copy of `model` that has the layers `keep` alone."""
    count = layers(model)
    if not keep or list(keep) != sorted(set(keep)) or not 0 <= keep[0] <= keep[-1] < count:
        raise ExportError(f"layers {list(keep)} cannot be kept of {count}, in their order")
    with _only(model, keep):
        pruned = copy.deepcopy(model)
    pruned.config.num_hidden_layers = len(keep)
    return pruned


def _cosine(
    model: PreTrainedModel, keep: Sequence[int], encode: Callable[[], Vectors], original: Vectors
) -> float:
    with _only(model, keep):
        return float(np.mean(np.sum(encode() * original, axis=1)))


@contextmanager
def _only(model: PreTrainedModel, keep: Sequence[int]) -> Iterator[None]:
    """Let `model` have the layers `keep` alone for a while; no weight is copied."""
    stack, whole = _stack(model), _layers(model)
    stack.layer = ModuleList(whole[index] for index in keep)
    try:
        yield
    finally:
        stack.layer = whole


def _layers(model: PreTrainedModel) -> ModuleList:
    return cast(ModuleList, _stack(model).layer)


def _stack(model: PreTrainedModel) -> Module:
    name = "transformer" if model.config.model_type == "distilbert" else "encoder"
    return cast(Module, getattr(model, name))
