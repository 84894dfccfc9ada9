"""What a smaller encoder gains: its time for a text beside the whole one's."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from longtail.worker.vectors import TokenIds, Vectors

Encode: TypeAlias = Callable[[Sequence[TokenIds]], Vectors]

_BATCH = 16


@dataclass(frozen=True)
class Cost:
    """Seconds for one text, on one thread of this machine."""

    before: float
    after: float

    @property
    def speedup(self) -> float:
        """Return how many times faster it became."""
        return self.before / self.after


def compare(before: Encode, after: Encode, texts: Sequence[TokenIds], rounds: int = 5) -> Cost:
    """Return the time of two encoders, which take turns at every batch.

    Taking turns, both meet the same moods of the machine; of each batch the median counts.
    """
    # Texts of like length together, as the worker batches them.
    ordered = sorted(texts, key=len)
    batches = [ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH)]
    times = np.array([_round(before, after, batches) for _ in range(rounds + 1)])
    # The first round only warms up.
    totals = np.median(times[1:], axis=0).sum(axis=0) / len(texts)
    return Cost(before=float(totals[0]), after=float(totals[1]))


def _round(
    before: Encode, after: Encode, batches: Sequence[Sequence[TokenIds]]
) -> list[tuple[float, float]]:
    return [(_seconds(before, batch), _seconds(after, batch)) for batch in batches]


def _seconds(encode: Encode, batch: Sequence[TokenIds]) -> float:
    start = time.perf_counter()
    encode(batch)
    return time.perf_counter() - start
