"""A step of contrast: large batches in little memory.

A batch is larger than what is computed at a time: its vectors are computed without a memory of how,
the loss tells what each of them is to become, and each part is computed once more to hand that on
(Gao, Zhang, Han and Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup", RepL4NLP 2021). The last part is remembered, and computed once.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from accelerate import Accelerator
from longtail.worker.tokenizer import Role

from training.adapt.encoder import AdaptedEncoder
from training.adapt.objective import Objective
from training.adapt.tasks import Batch


def contrast(
    encoder: AdaptedEncoder,
    batch: Batch,
    objective: Objective,
    part: int,
    accelerator: Accelerator,
) -> float:
    """Hand the gradients of a batch on to what learns, `part` texts at a time; return its loss."""
    encoder.model.train(batch.dropout)
    sides = [(batch.first, batch.role), (batch.second, Role.ITEM)]
    *parts, last = [
        (texts[start : start + part], role)
        for texts, role in sides
        for start in range(0, len(texts), part)
    ]
    moments: list[_Random] = []
    vectors = []
    with torch.no_grad(), accelerator.autocast():
        for texts, role in parts:
            moments.append(_Random())
            vectors.append(encoder.vectors(texts, role).float())
    with accelerator.no_sync(encoder.forward), accelerator.autocast():
        remembered = encoder.vectors(*last).float()
    lengths = [*map(len, vectors), len(remembered)]
    now = torch.cat([*vectors, remembered.detach()]).requires_grad_()
    before = torch.from_numpy(
        np.concatenate([encoder.before(texts, role) for texts, role in sides])
    ).to(now.device)
    count = len(batch.first)
    same = torch.from_numpy(batch.same).to(now.device)
    loss = objective.loss(now[:count], now[count:], (before[:count], before[count:]), same)
    torch.autograd.backward(loss)
    assert now.grad is not None  # noqa: S101  # of a leaf
    *wanted, wanted_last = torch.split_with_sizes(now.grad, lengths)
    with accelerator.no_sync(encoder.forward):
        accelerator.backward((remembered * wanted_last).sum())
    for at, ((texts, role), gradient, moment) in enumerate(
        zip(parts, wanted, moments, strict=True), start=1
    ):
        # Processes wait for each other once, with all that there is.
        together = at == len(parts)
        alone = contextlib.nullcontext() if together else accelerator.no_sync(encoder.forward)
        with alone, moment.again(), accelerator.autocast():
            accelerator.backward((encoder.vectors(texts, role).float() * gradient).sum())
    encoder.model.eval()
    return float(loss.detach())


class _Random:
    """What chance had to give at a moment, so that dropout leaves out the same once more."""

    def __init__(self) -> None:
        self._host = torch.get_rng_state()
        self._device = torch.cuda.get_rng_state() if torch.cuda.is_available() else None

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        with torch.random.fork_rng():
            torch.set_rng_state(self._host)
            if self._device is not None:
                torch.cuda.set_rng_state(self._device)
            yield
