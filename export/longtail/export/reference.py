"""The checkpoint as its makers run it: torch in fp32, with the pooling that it declares."""

import copy
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from longtail.export.checkpoint import Checkpoint, Pooling
from longtail.export.errors import ExportError
from longtail.worker.vectors import Vectors
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

_BATCH = 32


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask.unsqueeze(-1).float()
    return (hidden * weights).sum(1) / weights.sum(1)


def _cls(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[:, 0]


def _max(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).max(1).values


POOLING: dict[Pooling, Callable[[Tensor, Tensor], Tensor]] = {
    Pooling.MEAN: _mean,
    Pooling.CLS: _cls,
    Pooling.MAX: _max,
}


class Reference:
    """The original encoder, loaded from its folder without a look at the network."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        transformers_logging.disable_progress_bar()
        self._checkpoint = checkpoint
        try:
            self.model: PreTrainedModel = AutoModel.from_pretrained(
                checkpoint.folder,
                local_files_only=True,
                # The exporter traces plain matrix products best.
                attn_implementation="eager",
                dtype=torch.float32,
            ).eval()
            tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
        except Exception as error:  # what reads weights and tokenizers raises nothing narrower
            reason = f"{type(error).__name__}: {error}"
            raise ExportError(
                f"{checkpoint.folder}: cannot be loaded: {reason}; fetch the checkpoint again"
            ) from error
        if not tokenizer.is_fast:
            raise ExportError(f"{checkpoint.source}: has no tokenizer that the worker can run")
        self.tokenizer: PreTrainedTokenizerFast = tokenizer

    @property
    def pooling(self) -> Pooling:
        """Return how the tokens' vectors become one."""
        return self._checkpoint.pooling

    @property
    def dimension(self) -> int:
        """Return the length of a whole vector."""
        return int(self.model.config.hidden_size)

    def with_model(self, model: PreTrainedModel) -> Self:
        """Return the same checkpoint with `model` in place of its own."""
        other = copy.copy(self)
        other.model = model
        return other

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (len(texts), dimension) unit vectors of the texts as items."""
        prompt = self._checkpoint.prompts.item
        prompted = [prompt + text for text in texts]
        if self._checkpoint.lower_case:
            prompted = [text.lower() for text in prompted]
        # Texts of like length together, so that little padding is computed.
        order = sorted(range(len(texts)), key=lambda row: len(prompted[row]))
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            vectors[rows] = self._batch([prompted[row] for row in rows])
        return vectors

    @torch.no_grad()
    def _batch(self, texts: Sequence[str]) -> Vectors:
        inputs = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._checkpoint.max_tokens,
            return_tensors="pt",
        )
        hidden = self.model(**inputs).last_hidden_state
        pooled = POOLING[self._checkpoint.pooling](hidden, inputs["attention_mask"])
        vectors: Vectors = torch.nn.functional.normalize(pooled).numpy()
        return vectors
