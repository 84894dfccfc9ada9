"""Which texts are computed next: the lane, the size of the batch, and who is past helping."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic

from longtail.worker.cost import Cost
from longtail.worker.waiting import Answer, Entry, Lane, LaneQueue

# Below this many tokens, halving a batch costs more in inferences than a second slot gives back.
_SMALLEST_SPLIT = 64
# A caller's texts may fill others' batches until it is this many batches ahead of its turn.
_LEAD_BATCHES = 2
_SMOOTHING = 0.1
# A deadline may make a batch smaller while its tokens per second are this part of a full one's.
_LEAST_PACE = 0.7
# A prediction is the middle of what happens; this much is added where a deadline depends on it.
MARGIN = 0.2


@dataclass(slots=True, eq=False)
class Batch(Generic[Answer]):
    """Texts for one inference; `ends` is when it should be over."""

    lane: Lane
    entries: list[Entry[Answer]]
    tokens: int
    padded: int
    started: float
    ends: float


class Scheduler(Generic[Answer]):
    """The two lanes and what the slots are at; it neither waits nor computes, and reads no clock.

    The interactive lane goes first. While both lanes wait, the bulk lane gets `bulk_share` of the
    tokens: it is owed that share of every interactive batch and takes a batch as soon as it is owed
    one. A bulk batch lasts about `bulk_seconds`, because an interactive call may have to wait for
    it. Lanes are never mixed in a batch: the bulk texts would lengthen what somebody waits for.
    `drop` is told of each text that is given up, and whether it "expired" or is "hopeless".
    """

    def __init__(
        self,
        *,
        slots: int,
        batch_tokens: int,
        max_waste: float,
        bulk_seconds: float,
        bulk_share: float,
        drop: Callable[[Entry[Answer], str], None],
    ) -> None:
        self.slots = slots
        self.batch_tokens = batch_tokens
        self.lead_tokens = _LEAD_BATCHES * batch_tokens
        self.lanes: dict[Lane, LaneQueue[Answer]] = {
            lane: LaneQueue(max_waste=max_waste, lead_tokens=self.lead_tokens) for lane in Lane
        }
        self.cost = Cost()
        self._interactive, self._bulk = self.lanes[Lane.INTERACTIVE], self.lanes[Lane.BULK]
        self._bulk_seconds = bulk_seconds
        self._bulk_share = bulk_share
        self._owed_to_bulk = 0.0
        self._drop = drop
        # The batches that hold a slot.
        self.running: set[Batch[Answer]] = set()
        self._rested = True
        # How much of what its budget and the queue allow a batch really takes: lengths differ.
        self._fill = 1.0

    @property
    def texts(self) -> int:
        """Return how many texts wait in both lanes."""
        return self._interactive.texts + self._bulk.texts

    @property
    def idle(self) -> bool:
        """Say whether nothing waits and nothing runs."""
        return not (self.running or self.texts)

    def next_batch(self, now: float) -> Batch[Answer] | None:
        """Take the next batch for a free slot, or nothing when nothing waits.

        What waits is shared between all free slots when it is less than their budgets together.
        """
        free_slots = max(1, self.slots - len(self.running))
        while lane := self._lane():
            queue = self.lanes[lane]
            share = max(math.ceil(queue.tokens / free_slots), _SMALLEST_SPLIT)
            budget = min(self._budget(lane), share)
            affordable = self._affordable(now, budget)
            possible = min(budget, queue.tokens)
            if entries := queue.cut(budget, affordable, partial(self._give_up, now)):
                batch = self._start(lane, entries, now)
                self._fill += _SMOOTHING * (min(1.0, batch.tokens / possible) - self._fill)
                return batch
        return None

    def finished(self, batch: Batch[Answer]) -> None:
        """Take note that the batch holds its slot no longer."""
        self.running.discard(batch)
        self._rested = self.idle

    def busy_seconds(self, now: float) -> float:
        """Return when a slot will be free, on average; 0 when one is."""
        if len(self.running) < self.slots:
            return 0.0
        return sum(max(0.0, batch.ends - now) for batch in self.running) / self.slots

    def drain_seconds(self, tokens: float, lane: Lane) -> float:
        """Return the time in which the slots compute `tokens` of what waits in `lane`."""
        if not tokens:
            return 0.0
        depth = min(max(tokens, self.lanes[lane].tokens), self.batch_tokens)
        batches = tokens / (self._fill * depth)
        padded = tokens * self.cost.padding
        seconds = batches * self.cost.per_inference + padded * self.cost.per_token
        shared = lane is Lane.INTERACTIVE and self._bulk.texts
        return seconds / self.slots / (1 - self._bulk_share if shared else 1)

    def _lane(self) -> Lane | None:
        if not self._interactive.texts:
            return Lane.BULK if self._bulk.texts else None
        if self._bulk.texts and self._owed_to_bulk >= self._budget(Lane.BULK):
            return Lane.BULK
        return Lane.INTERACTIVE

    def _budget(self, lane: Lane) -> float:
        if lane is Lane.INTERACTIVE:
            return self.batch_tokens
        if not self.cost.measured:
            return min(self.batch_tokens, _SMALLEST_SPLIT)
        return max(1, min(self.batch_tokens, self.cost.affordable(self._bulk_seconds)))

    def _give_up(self, now: float, entry: Entry[Answer]) -> None:
        self._drop(entry, "expired" if entry.deadline <= now else "hopeless")

    def _affordable(self, now: float, budget: float) -> Callable[[float], float]:
        """Return how many tokens can be computed before a deadline; 0 when it is not worth it.

        It is not when the batch would have to be so small that the slot computed much less than it
        could: one late text would cost many others their deadlines. The first batch after a rest
        is never too late to be tried: a cost that is estimated too high would otherwise stop the
        very measurements that put it right.
        """
        if self._rested or not self.cost.per_token:
            return lambda deadline: math.inf if deadline > now else 0.0
        fixed = (1 + MARGIN) * self.cost.per_inference
        per_token = (1 + MARGIN) * self.cost.per_token
        # Tokens per second are x / (fixed + per_token x); solved for x at the least pace.
        pace = _LEAST_PACE * budget / (fixed + per_token * budget)
        least = pace * fixed / (1 - pace * per_token)

        def affordable(deadline: float) -> float:
            tokens = (deadline - now - fixed) / per_token
            return tokens if tokens >= least else 0.0

        return affordable

    def _start(self, lane: Lane, entries: list[Entry[Answer]], now: float) -> Batch[Answer]:
        padded = max(entry.length for entry in entries) * len(entries)
        tokens = sum(entry.length for entry in entries)
        batch = Batch(lane, entries, tokens, padded, now, now + self.cost.seconds(padded))
        self.running.add(batch)
        self._rested = False
        if lane is Lane.BULK and self._interactive.texts:
            self._owed_to_bulk -= padded
        elif lane is Lane.BULK or not self._bulk.texts:
            self._owed_to_bulk = 0.0
        else:
            self._owed_to_bulk += self._bulk_share * padded
        return batch
