"""An encoder with an adapter on it: few weights that learn, over many that stay as they are."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from longtail.export.checkpoint import Checkpoint
from longtail.worker.tokenizer import Role
from longtail.worker.vectors import Vectors
from peft import (
    AdaLoraConfig,
    AdaLoraModel,
    LoraConfig,
    PeftModel,
    get_peft_model,
)
from torch import Tensor

from training.reading import Reading

# Every linear layer of a BERT: https://arxiv.org/abs/2106.09685 adapts attention alone, and gains
# from the others are reported since https://arxiv.org/abs/2305.14314.
# What BERT pools by itself is not among them: it is in no vector.
_TARGETS = r"(?!.*pooler).*\.(query|key|value|dense)"
# In the names of the weights of an adapter.
_ADAPTER = ("lora_", "ranknum")


class Kind(StrEnum):
    """Ways to adapt a linear layer: arXiv 2106.09685, 2402.09353 and 2303.10512."""

    LORA = "lora"
    DORA = "dora"
    ADALORA = "adalora"


class AdaptedEncoder:
    """A checkpoint whose vectors can be moved. Texts are read up to `max_tokens`.

    What its adapter begins with follows from `seed`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        kind: Kind,
        rank: int,
        steps: int,
        max_tokens: int,
        seed: int = 0,
    ) -> None:
        self._reading = Reading(checkpoint, max_tokens)
        self._before: dict[tuple[str, Role], Vectors] = {}
        torch.manual_seed(seed)
        self.model: PeftModel = get_peft_model(
            self._reading.model, _config(kind, rank, steps)
        ).eval()
        # What is called to compute: the same, or what spreads it over processes.
        self.forward: torch.nn.Module = self.model

    def vectors(self, texts: Sequence[str], role: Role) -> Tensor:
        """Return the unit vectors (n, d) of texts, through which what learns is reached."""
        return self._reading.vectors(self.forward, texts, role)

    def remember(self, texts: Sequence[str], role: Role) -> None:
        """Keep the vectors that texts had before anything was learned, so as to ask for them."""
        self._before |= zip(((text, role) for text in texts), self.before(texts, role), strict=True)

    def before(self, texts: Sequence[str], role: Role) -> Vectors:
        """Return the unit vectors (n, d) that the texts had before anything was learned."""
        known = [self._before.get((text, role)) for text in texts]
        found = [each for each in known if each is not None]
        if len(found) == len(known):
            return np.stack(found)
        with self.model.disable_adapter():
            return self._reading.encode(self.model, texts, role)

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Return the unit vectors (n, d) of texts as they are now."""
        return self._reading.encode(self.model, texts, role)

    def weights(self) -> dict[str, Tensor]:
        """Return what was learned so far."""
        return {
            name: weight.detach().cpu().clone()
            for name, weight in self.model.state_dict().items()
            if any(mark in name for mark in _ADAPTER)
        }

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from what was learned."""
        self.model.load_state_dict(weights, strict=False)

    def allocate(self, step: int) -> None:
        """Let an adapter that moves its rank to where it counts do so, after a step."""
        if isinstance(self.model.base_model, AdaLoraModel):
            self.model.base_model.update_and_allocate(step)

    def write(self, folder: Path) -> None:
        """Write a checkpoint like the one that this began with, with what was learned in it.

        The adapter is merged into the weights, after which nothing more can be learned: one that is
        saved beside them is loaded wrongly by sentence-transformers (its issue 3246).
        """
        self._reading.write(self.model.merge_and_unload(safe_merge=True), folder)


def _config(kind: Kind, rank: int, steps: int) -> LoraConfig:
    shared = {"lora_alpha": 2 * rank, "lora_dropout": 0.0, "target_modules": _TARGETS}
    if kind is Kind.ADALORA:
        # Twice the rank to begin with, which is cut down while it learns.
        return AdaLoraConfig(init_r=2 * rank, target_r=rank, total_step=steps, **shared)
    return LoraConfig(r=rank, use_dora=kind is Kind.DORA, **shared)
