"""The texts of one lane that wait for inference: whose turn it is, and which others fit in."""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from longtail.worker.lengths import LengthIndex
from longtail.worker.vectors import TokenIds

Answer = TypeVar("Answer")


class Lane(Enum):
    """Whether somebody waits for the answer; an import does not."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(slots=True, eq=False)
class Entry(Generic[Answer]):
    """One waiting text; times are in seconds of the queue's clock."""

    ids: TokenIds
    deadline: float
    queued: float
    answer: Answer
    caller: "Caller[Answer]"
    length: int
    waiting: bool = True


@dataclass(slots=True, eq=False)
class Caller(Generic[Answer]):
    """What one caller has waiting; `virtual` is how far in virtual time it has been served."""

    name: str
    virtual: float
    tokens: int = 0
    entries: deque[Entry[Answer]] = field(default_factory=deque)


class LaneQueue(Generic[Answer]):
    """Texts in the order of their callers' turns and, at the same time, by their length.

    The next turn has the caller that was served least. That is fair queueing by virtual time
    (Demers, Keshav and Shenker 1989): a caller that comes begins at the virtual time of now, which
    advances by the tokens served over the callers present, and never stays behind all of them (as
    in WF2Q+ of Bennett and Zhang 1997). So one text of one caller is not behind ten thousand of
    another, callers with one text each are served in order of arrival, and since virtual time
    passes everybody, nobody starves. Deadlines do not order the turns: whoever asks for a short one
    would go before the others.
    """

    def __init__(self, *, max_waste: float, lead_tokens: float) -> None:
        self.tokens = self.texts = 0
        self.callers: dict[str, Caller[Answer]] = {}
        self._max_waste = max_waste
        self._lead_tokens = lead_tokens
        self._virtual = 0.0
        self._turns: list[tuple[float, int, Caller[Answer]]] = []
        self._numbers = itertools.count()
        self._lengths: LengthIndex[Entry[Answer]] = LengthIndex()

    def add(
        self, ids: TokenIds, answer: Answer, *, deadline: float, caller: str, now: float
    ) -> Entry[Answer]:
        """Queue one text behind the other texts of its caller."""
        owner = self.callers.get(caller)
        if owner is None:
            owner = self.callers[caller] = Caller(caller, self._virtual)
            heapq.heappush(self._turns, (self._virtual, next(self._numbers), owner))
        entry = Entry(ids, deadline, now, answer, owner, len(ids))
        self._lengths.file(entry, owner.virtual + owner.tokens)
        owner.entries.append(entry)
        owner.tokens += entry.length
        self.tokens += entry.length
        self.texts += 1
        return entry

    def discard(self, entry: Entry[Answer]) -> None:
        """Take a text out, if it still waits; its caller is not charged for it."""
        if entry.waiting:
            entry.waiting = False
            self._uncount(entry)

    def clear(self) -> list[Entry[Answer]]:
        """Take all texts out."""
        entries = [e for caller in self.callers.values() for e in caller.entries if e.waiting]
        for entry in entries:
            self.discard(entry)
        return entries

    def cut(
        self,
        budget: float,
        affordable: Callable[[float], float],
        give_up: Callable[[Entry[Answer]], None],
    ) -> list[Entry[Answer]]:
        """Take the text whose turn it is and its neighbours in length, and charge their callers.

        Longest text times texts stays within `budget` and within `affordable` of each deadline, the
        padded tokens that can be computed before it; at most `max_waste` of them are padding. A
        text beyond the budget is taken alone. Texts that cannot be afforded are taken out and given
        to `give_up` when they are met. While several callers wait, nobody's texts are taken more
        than `lead_tokens` before their turn, since what they fill delays the others' turns.
        """
        seed = self._first()
        while seed and affordable(seed.deadline) < seed.length:
            self.discard(seed)
            give_up(seed)
            seed = self._first()
        return self._cut_around(seed, budget, affordable, give_up) if seed else []

    def _first(self) -> Entry[Answer] | None:
        """Return the oldest text of the caller that was served least."""
        while self._turns:
            virtual, number, caller = self._turns[0]
            while caller.entries and not caller.entries[0].waiting:
                caller.entries.popleft()
            if not caller.entries:
                heapq.heappop(self._turns)
            elif virtual < caller.virtual:
                heapq.heapreplace(self._turns, (caller.virtual, number, caller))
            else:
                return caller.entries[0]
        return None

    def _cut_around(
        self,
        seed: Entry[Answer],
        budget: float,
        affordable: Callable[[float], float],
        give_up: Callable[[Entry[Answer]], None],
    ) -> list[Entry[Answer]]:
        callers = len(self.callers)
        # The caller whose turn it is was served least, so nobody is behind it in virtual time.
        self._virtual = max(self._virtual, seed.caller.virtual)
        horizon = self._virtual + self._lead_tokens if callers > 1 else math.inf

        def eligible(entry: Entry[Answer]) -> bool:
            return entry.caller.virtual <= horizon

        below = self._lengths.position(seed.length)
        above = below + 1
        batch, tokens, longest = [seed], seed.length, seed.length
        budget = min(budget, affordable(seed.deadline))
        gone: list[Entry[Answer]] = []
        self._take(seed)
        while True:
            below, shorter = self._lengths.nearest(below, -1, eligible)
            above, longer = self._lengths.nearest(above, 1, eligible)
            for entry in _by_padding(shorter, longer, longest, len(batch)):
                room = affordable(entry.deadline)
                if room < entry.length:
                    entry.waiting = False
                    gone.append(entry)
                    break
                length = max(longest, entry.length)
                padded = length * (len(batch) + 1)
                room = min(budget, room)
                waste = padded - tokens - entry.length
                if padded <= room and waste <= self._max_waste * padded:
                    batch.append(entry)
                    tokens, longest, budget = tokens + entry.length, length, room
                    self._take(entry)
                    break
            else:
                break
        self._virtual += tokens / callers
        # No length goes before the end, so that the positions above stay right.
        for entry in itertools.chain(batch, gone):
            self._lengths.tidy(entry.length)
            self._uncount(entry)
        for entry in gone:
            give_up(entry)
        return batch

    def _take(self, entry: Entry[Answer]) -> None:
        entry.waiting = False
        entry.caller.virtual += entry.length

    def _uncount(self, entry: Entry[Answer]) -> None:
        owner = entry.caller
        owner.tokens -= entry.length
        self.tokens -= entry.length
        self.texts -= 1
        if not owner.tokens:
            owner.entries.clear()
            del self.callers[owner.name]
        if self.texts:
            self._lengths.compact(self.texts)
        else:
            # Where nobody waits, nobody is owed anything.
            self._turns.clear()
            self._lengths.clear()
            self._virtual = 0.0


def _by_padding(
    shorter: Entry[Answer] | None, longer: Entry[Answer] | None, longest: int, texts: int
) -> tuple[Entry[Answer], ...]:
    """Order the candidates by the padding that each would add."""
    if shorter is None:
        return () if longer is None else (longer,)
    if longer is None:
        return (shorter,)
    if (longer.length - longest) * texts < longest - shorter.length:
        return (longer, shorter)
    return (shorter, longer)
