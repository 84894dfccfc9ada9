"""How texts become vectors that can still move, and how what computes them is written again."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from longtail.export.checkpoint import Checkpoint
from longtail.export.reference import POOLING, Reference
from longtail.worker.tokenizer import Role
from longtail.worker.vectors import Vectors
from torch import Tensor
from transformers import PreTrainedModel

# Encoded at a time where nothing is learned.
_BATCH = 64


class Reading:
    """The way of a checkpoint from texts, read up to `max_tokens`, to unit vectors of a model.

    `model` is the checkpoint's own; any of its kind may compute.
    """

    def __init__(self, checkpoint: Checkpoint, max_tokens: int) -> None:
        self._checkpoint = checkpoint
        self._max_tokens = min(max_tokens, checkpoint.max_tokens)
        reference = Reference(checkpoint)
        self._tokenizer, self.dimension = reference.tokenizer, reference.dimension
        self.model: PreTrainedModel = reference.model

    def vectors(self, model: torch.nn.Module, texts: Sequence[str], role: Role) -> Tensor:
        """Return the unit vectors (n, d) of texts, through which what learns is reached."""
        checkpoint = self._checkpoint
        prompts = checkpoint.prompts
        prompt = prompts.query if role is Role.QUERY else prompts.item
        prompted = [prompt + text for text in texts]
        if checkpoint.lower_case:
            prompted = [text.lower() for text in prompted]
        inputs = self._tokenizer(
            prompted,
            padding=True,
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        ).to(next(model.parameters()).device)
        hidden = model(**inputs).last_hidden_state
        pooled = POOLING[checkpoint.pooling](hidden.float(), inputs["attention_mask"])
        return torch.nn.functional.normalize(pooled)

    @torch.no_grad()
    def encode(self, model: torch.nn.Module, texts: Sequence[str], role: Role) -> Vectors:
        """Return the unit vectors (n, d) of texts as they are now."""
        # Texts of like length together, so that little padding is computed.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        found = torch.empty((len(texts), self.dimension))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            found[rows] = self.vectors(model, [texts[row] for row in rows], role).cpu()
        vectors: Vectors = found.numpy()
        return vectors

    def write(self, model: PreTrainedModel, folder: Path) -> None:
        """Write a checkpoint like the one that this began with, with the weights of `model`."""
        # What is there may be of an earlier run, or what this one began with.
        unfinished = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        root = self._checkpoint.folder
        if (root.parent / "modules.json").exists():
            root = root.parent
        weights = shutil.ignore_patterns("*.safetensors", "*.bin")
        shutil.copytree(root, unfinished, ignore=weights)
        model.save_pretrained(unfinished / self._checkpoint.folder.relative_to(root))
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
