"""The steps of learning, and a state of it that survives whatever ends it."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

STATE = "state.pt"
# Of all steps, those in which the step size grows.
_WARMUP = 0.1


@dataclass(frozen=True)
class Plan:
    """How long and how large: `part` texts are computed at a time, of batches of `batch` pairs.

    Every `look` steps what was learned is looked at and the state is kept.
    """

    steps: int
    batch: int = 64
    part: int = 32
    look: int = 20
    rate: float = 5e-4
    seed: int = 0


@dataclass
class Progress:
    """`step` of them are done; the `best` score was that of the weights `kept`, at `best_step`."""

    step: int = 0
    loss: float = 0.0
    best: float = -np.inf
    best_step: int = 0
    kept: Mapping[str, Tensor] | None = None


# Given what was learned so far, how good it is, the larger the better.
Judge = Callable[[Progress], float]
# Given how many steps are done, hands the gradients of one more on, and returns its loss.
Step = Callable[[int, np.random.Generator], float]


class Learner(Protocol):
    """What learns: those parameters of `model` that want gradients, computed by `forward`."""

    model: torch.nn.Module
    forward: torch.nn.Module

    def weights(self) -> dict[str, Tensor]:
        """Return what was learned so far."""

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from what was learned."""

    def allocate(self, step: int) -> None:
        """Do what is to be done after a step."""


class StateError(ValueError):
    """A state cannot be gone on from; the message says why."""


def learn(
    learner: Learner,
    take: Step,
    plan: Plan,
    folder: Path,
    what: str,
    judge: Judge,
    tell: Callable[[Progress], None],
    accelerator: Accelerator,
) -> Progress:
    """Learn, from the state in `folder` if there is one, and leave the learner with the best.

    `what` tells what is learned, and how, from anything else. Raises StateError when the state
    there is of something else.
    """
    trained = [each for each in learner.model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=plan.rate, weight_decay=0.01)
    learner.forward, prepared = accelerator.prepare(learner.model, optimizer)
    random = np.random.default_rng([plan.seed, accelerator.process_index])
    torch.manual_seed(plan.seed + accelerator.process_index)
    whole = json.dumps([what, repr(plan), accelerator.num_processes])
    state = _State(folder, hashlib.sha256(whole.encode()).hexdigest(), accelerator)
    progress = state.read(learner, optimizer, random)
    if progress.kept is None:
        progress.best = judge(progress)
        progress.kept = learner.weights()
    while progress.step < plan.steps:
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * _schedule(progress.step, plan.steps)
        progress.loss = take(progress.step, random)
        accelerator.clip_grad_norm_(trained, 1.0)
        prepared.step()
        learner.allocate(progress.step)
        prepared.zero_grad()
        progress.step += 1
        if progress.step % plan.look == 0 or progress.step == plan.steps:
            score = judge(progress)
            if score > progress.best:
                progress.best, progress.best_step = score, progress.step
                progress.kept = learner.weights()
            state.write(progress, learner, optimizer, random)
        tell(progress)
    learner.set_weights(progress.kept)
    return progress


class _State:
    """The file that learning goes on from, whole at any moment; written by the first process."""

    def __init__(self, folder: Path, fingerprint: str, accelerator: Accelerator) -> None:
        name = f"{accelerator.process_index}-{STATE}" if accelerator.num_processes > 1 else STATE
        self._file = folder / name
        self._fingerprint = fingerprint

    def read(
        self, learner: Learner, optimizer: torch.optim.Optimizer, random: np.random.Generator
    ) -> Progress:
        if not self._file.exists():
            return Progress()
        content = torch.load(self._file, weights_only=True)
        if content["fingerprint"] != self._fingerprint:
            raise StateError(
                f"{self._file} is of other data or settings: give another folder, or remove it"
            )
        learner.set_weights(content["weights"])
        optimizer.load_state_dict(content["optimizer"])
        random.bit_generator.state = json.loads(content["random"])
        torch.set_rng_state(content["torch"])
        return Progress(**content["progress"])

    def write(
        self,
        progress: Progress,
        learner: Learner,
        optimizer: torch.optim.Optimizer,
        random: np.random.Generator,
    ) -> None:
        content: dict[str, Any] = {
            "fingerprint": self._fingerprint,
            "weights": learner.weights(),
            "optimizer": optimizer.state_dict(),
            "random": json.dumps(random.bit_generator.state),
            "torch": torch.get_rng_state(),
            "progress": vars(progress),
        }
        unfinished = self._file.with_suffix(".new")
        with unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file)


def _schedule(step: int, steps: int) -> float:
    """Return the share of the full step size: growing at first, then falling to nothing."""
    warm = max(1, round(_WARMUP * steps))
    return min((step + 1) / warm, (steps - step) / max(1, steps - warm))
