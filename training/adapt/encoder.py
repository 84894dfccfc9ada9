"""An encoder with an adapter on it: few weights that learn, over many that stay as they are."""

import shutil
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import torch
from longtail.export.checkpoint import Checkpoint
from longtail.export.reference import POOLING, Reference
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

# Every linear layer of a BERT: https://arxiv.org/abs/2106.09685 adapts attention alone, and gains
# from the others are reported since https://arxiv.org/abs/2305.14314.
# What BERT pools by itself is not among them: it is in no vector.
_TARGETS = r"(?!.*pooler).*\.(query|key|value|dense)"
# In the names of the weights of an adapter.
_ADAPTER = ("lora_", "ranknum")
# Encoded at a time where nothing is learned.
_BATCH = 64


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
        self._checkpoint = checkpoint
        self._reference = Reference(checkpoint)
        self._max_tokens = min(max_tokens, checkpoint.max_tokens)
        torch.manual_seed(seed)
        self.model: PeftModel = get_peft_model(
            self._reference.model, _config(kind, rank, steps)
        ).eval()
        # What is called to compute: the same, or what spreads it over processes.
        self.forward: torch.nn.Module = self.model

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._reference.dimension

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        found: torch.device = next(self.model.parameters()).device
        return found

    def vectors(self, texts: Sequence[str], role: Role) -> Tensor:
        """Return the unit vectors (n, d) of texts, through which what learns is reached."""
        return self._computed(self.forward, texts, role)

    @torch.no_grad()
    def before(self, texts: Sequence[str], role: Role) -> Tensor:
        """Return the unit vectors (n, d) that the texts had before anything was learned."""
        with self.model.disable_adapter():
            return self._computed(self.model, texts, role)

    @torch.no_grad()
    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Return the unit vectors (n, d) of texts as they are now."""
        # Texts of like length together, so that little padding is computed.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        found = torch.empty((len(texts), self.dimension))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            found[rows] = self._computed(self.model, [texts[row] for row in rows], role).cpu()
        vectors: Vectors = found.numpy()
        return vectors

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
        # What is there may be of an earlier run, or what this one began with.
        unfinished = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        root = self._checkpoint.folder
        if (root.parent / "modules.json").exists():
            root = root.parent
        weights = shutil.ignore_patterns("*.safetensors", "*.bin")
        shutil.copytree(root, unfinished, ignore=weights)
        merged = self.model.merge_and_unload(safe_merge=True)
        merged.save_pretrained(unfinished / self._checkpoint.folder.relative_to(root))
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)

    def _computed(self, model: torch.nn.Module, texts: Sequence[str], role: Role) -> Tensor:
        checkpoint = self._checkpoint
        prompts = checkpoint.prompts
        prompt = prompts.query if role is Role.QUERY else prompts.item
        prompted = [prompt + text for text in texts]
        if checkpoint.lower_case:
            prompted = [text.lower() for text in prompted]
        inputs = self._reference.tokenizer(
            prompted,
            padding=True,
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        ).to(self.device)
        hidden = model(**inputs).last_hidden_state
        pooled = POOLING[checkpoint.pooling](hidden.float(), inputs["attention_mask"])
        return torch.nn.functional.normalize(pooled)


def _config(kind: Kind, rank: int, steps: int) -> LoraConfig:
    shared = {"lora_alpha": 2 * rank, "lora_dropout": 0.0, "target_modules": _TARGETS}
    if kind is Kind.ADALORA:
        # Twice the rank to begin with, which is cut down while it learns.
        return AdaLoraConfig(init_r=2 * rank, target_r=rank, total_step=steps, **shared)
    return LoraConfig(r=rank, use_dora=kind is Kind.DORA, **shared)
