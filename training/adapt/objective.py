"""What is made small: pairs that are not told from others, and vectors that moved far."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Objective:
    """Contrast within a batch, and restraint.

    `restraint` is what it costs to move a vector away from where it was: without any, contrast
    wrecks the space for everything else. `lengths`: of how many numbers vectors are to be good
    vectors, by Matryoshka representation learning (arXiv 2205.13147); the whole is among them.
    """

    restraint: float = 3.0
    temperature: float = 0.05
    lengths: Sequence[int] = ()

    def loss(
        self, first: Tensor, second: Tensor, before: tuple[Tensor, Tensor], same: Tensor
    ) -> Tensor:
        """Return the loss of n pairs of unit vectors `first` and `second` (n, d), a number.

        `before`: the vectors that they had. `same` (n, n): where the second of another pair is no
        counterexample to the first of one.
        """
        contrast = torch.stack(
            [
                self._contrast(_beginning(first, m), _beginning(second, m), same)
                for m in dict.fromkeys((*self.lengths, first.shape[1]))
            ]
        ).mean()
        moved = [1 - (now * was).sum(1) for now, was in zip((first, second), before, strict=True)]
        return contrast + self.restraint * torch.stack(moved).mean()

    def _contrast(self, first: Tensor, second: Tensor, same: Tensor) -> Tensor:
        logits = (first @ second.T / self.temperature).masked_fill(same, -torch.inf)
        right = torch.arange(len(first), device=first.device)
        forward = functional.cross_entropy(logits, right)
        return (forward + functional.cross_entropy(logits.T, right)) / 2


def _beginning(vectors: Tensor, length: int) -> Tensor:
    return functional.normalize(vectors[:, :length])
