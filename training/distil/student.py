"""A student: a checkpoint's encoder with fewer layers, which learn to do what all of them did."""

import contextlib
from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from longtail.export import pruning
from longtail.worker.tokenizer import Role
from torch import Tensor

from training.reading import Reading

# Every layer is tried with all of them, again and again.
_PRUNING_TEXTS = 64


class Student:
    """The layers that vectors of `texts` miss least, `layers` of them, with the rest as it was.

    What texts are looked up by stays as it is. Raises ExportError when there are no such layers.
    """

    def __init__(self, reading: Reading, layers: int, texts: Sequence[str]) -> None:
        self._reading, self._teacher = reading, reading.model
        sample = texts[:: max(1, len(texts) // _PRUNING_TEXTS)][:_PRUNING_TEXTS]
        kept = pruning.choose(
            self._teacher,
            lambda: reading.encode(self._teacher, sample, Role.ITEM),
            pruning.layers(self._teacher) - layers,
        )
        self.model = pruning.prune(self._teacher, kept)
        for name, weight in self.model.named_parameters():
            weight.requires_grad_(".layer." in name)
        # What is called to compute: the same, or what spreads it over processes.
        self.forward: torch.nn.Module = self.model

    def follow(
        self, texts: Sequence[str], role: Role, part: int, accelerator: Accelerator
    ) -> float:
        """Hand on the gradients of what parts the vectors of texts from the teacher's.

        `part` texts are computed at a time. Returns the mean of 1 - cosine.
        """
        whole = 0.0
        starts = range(0, len(texts), part)
        for start in starts:
            some = texts[start : start + part]
            with torch.no_grad(), accelerator.autocast():
                wanted = self._reading.vectors(self._teacher, some, role)
            # Processes wait for each other once, with all that there is.
            together = start == starts[-1]
            alone = contextlib.nullcontext() if together else accelerator.no_sync(self.forward)
            with alone:
                with accelerator.autocast():
                    found = self._reading.vectors(self.forward, some, role)
                loss = (1 - (found.float() * wanted.float()).sum(1)).sum() / len(texts)
                accelerator.backward(loss)
            whole += float(loss.detach())
        return whole

    def weights(self) -> dict[str, Tensor]:
        """Return what was learned so far."""
        return {
            name: weight.detach().cpu().clone()
            for name, weight in self.model.named_parameters()
            if weight.requires_grad
        }

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from what was learned."""
        self.model.load_state_dict(weights, strict=False)

    def allocate(self, step: int) -> None:
        """Do nothing after a step: layers are as large as they are."""
