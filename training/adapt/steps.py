"""The steps of learning: tasks in turn, large batches in little memory, and a state that survives.

A batch is larger than what is computed at a time: its vectors are computed without a memory of how,
the loss tells what each of them is to become, and each part is computed once more to hand that on
(Gao, Zhang, Han and Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup", RepL4NLP 2021).
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from longtail.worker.tokenizer import Role
from torch import Tensor

from training.adapt.encoder import AdaptedEncoder
from training.adapt.objective import Objective, same_things
from training.adapt.tasks import Batch, Task

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


class StateError(ValueError):
    """A state cannot be gone on from; the message says why."""


def learn(
    encoder: AdaptedEncoder,
    tasks: Sequence[Task],
    objective: Objective,
    plan: Plan,
    folder: Path,
    judge: Judge,
    tell: Callable[[Progress], None],
    accelerator: Accelerator,
) -> Progress:
    """Learn, from the state in `folder` if there is one, and leave the encoder with the best.

    Raises StateError when the state there is of something else.
    """
    trained = [each for each in encoder.model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=plan.rate, weight_decay=0.01)
    encoder.forward, prepared = accelerator.prepare(encoder.model, optimizer)
    random = np.random.default_rng([plan.seed, accelerator.process_index])
    torch.manual_seed(plan.seed + accelerator.process_index)
    state = _State(folder, _fingerprint(tasks, objective, plan, accelerator), accelerator)
    progress = state.read(encoder, optimizer, random)
    if progress.kept is None:
        progress.best = judge(progress)
        progress.kept = encoder.weights()
    while progress.step < plan.steps:
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * _schedule(progress.step, plan.steps)
        task = tasks[progress.step % len(tasks)]
        batch = task.draw(random, plan.batch)
        progress.loss = _step(encoder, batch, objective, plan.part, accelerator)
        accelerator.clip_grad_norm_(trained, 1.0)
        prepared.step()
        encoder.allocate(progress.step)
        prepared.zero_grad()
        progress.step += 1
        if progress.step % plan.look == 0 or progress.step == plan.steps:
            score = judge(progress)
            if score > progress.best:
                progress.best, progress.best_step = score, progress.step
                progress.kept = encoder.weights()
            state.write(progress, encoder, optimizer, random)
        tell(progress)
    encoder.set_weights(progress.kept)
    return progress


def _step(
    encoder: AdaptedEncoder,
    batch: Batch,
    objective: Objective,
    part: int,
    accelerator: Accelerator,
) -> float:
    """Hand the gradients of a batch on to what learns; return its loss."""
    encoder.model.train(batch.dropout)
    sides = [(batch.first, batch.role), (batch.second, Role.ITEM)]
    parts = [
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
    lengths = [len(each) for each in vectors]
    now = torch.cat(vectors).requires_grad_()
    before = torch.cat([encoder.before(*each) for each in parts])
    count = len(batch.first)
    same = same_things(batch.keys).to(now.device)
    loss = objective.loss(now[:count], now[count:], (before[:count], before[count:]), same)
    torch.autograd.backward(loss)
    assert now.grad is not None  # noqa: S101  # of a leaf
    wanted = torch.split_with_sizes(now.grad, lengths)
    for at, ((texts, role), gradient, moment) in enumerate(
        zip(parts, wanted, moments, strict=True)
    ):
        last = at == len(parts) - 1
        # Processes wait for each other once, with all that there is.
        together = contextlib.nullcontext() if last else accelerator.no_sync(encoder.forward)
        with together, moment.again(), accelerator.autocast():
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


class _State:
    """The file that learning goes on from, whole at any moment; written by the first process."""

    def __init__(self, folder: Path, fingerprint: str, accelerator: Accelerator) -> None:
        name = f"{accelerator.process_index}-{STATE}" if accelerator.num_processes > 1 else STATE
        self._file = folder / name
        self._fingerprint = fingerprint

    def read(
        self, encoder: AdaptedEncoder, optimizer: torch.optim.Optimizer, random: np.random.Generator
    ) -> Progress:
        if not self._file.exists():
            return Progress()
        content = torch.load(self._file, weights_only=True)
        if content["fingerprint"] != self._fingerprint:
            raise StateError(
                f"{self._file} is of other data or settings: give another folder, or remove it"
            )
        encoder.set_weights(content["weights"])
        optimizer.load_state_dict(content["optimizer"])
        random.bit_generator.state = json.loads(content["random"])
        torch.set_rng_state(content["torch"])
        return Progress(**content["progress"])

    def write(
        self,
        progress: Progress,
        encoder: AdaptedEncoder,
        optimizer: torch.optim.Optimizer,
        random: np.random.Generator,
    ) -> None:
        content: dict[str, Any] = {
            "fingerprint": self._fingerprint,
            "weights": encoder.weights(),
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


def _fingerprint(
    tasks: Sequence[Task], objective: Objective, plan: Plan, accelerator: Accelerator
) -> str:
    """Return what tells what is learned, and how, from anything else."""
    probes = [task.draw(np.random.default_rng(0), 8) for task in tasks]
    said = [
        [task.name, *each.first, *each.second] for task, each in zip(tasks, probes, strict=True)
    ]
    whole = json.dumps([said, repr(objective), repr(plan), accelerator.num_processes])
    return hashlib.sha256(whole.encode()).hexdigest()
