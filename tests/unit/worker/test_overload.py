"""Scheduling and admission together, under more load than there is, on a simulated clock.

The slots are events in a heap and inference takes what a formula says, so that time passes at
once and every run is the same.
"""

import heapq
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from longtail.runtime.errors import Overloaded
from longtail.worker.admission import Admission
from longtail.worker.scheduler import Batch, Scheduler
from longtail.worker.waiting import Entry, Lane

BATCH_TOKENS = 256


@dataclass
class Machine:
    """What is simulated; `noise` is the spread of the logarithm of an inference's time."""

    slots: int
    fixed: float = 0.002
    per_token: float = 0.0002
    noise: float = 0.2
    callers: int = 50

    @property
    def tokens_per_second(self) -> float:
        """Return what full batches without padding would reach."""
        return self.slots * BATCH_TOKENS / (self.fixed + self.per_token * BATCH_TOKENS)


@dataclass
class Outcome:
    """Tokens by what became of their texts, and the share of the slots' time that was used."""

    tokens: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    busy: float = 0.0

    def count(self, what: str, tokens: int) -> None:
        self.tokens[what] += tokens
        self.texts[what] += 1


class Simulation:
    """One text per call, arriving at random times, with heavy-tailed lengths."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._chance = random.Random(7)
        self._outcome = Outcome()
        self._scheduler: Scheduler[str] = Scheduler(
            slots=machine.slots,
            batch_tokens=BATCH_TOKENS,
            max_waste=0.1,
            bulk_seconds=0.025,
            bulk_share=0.05,
            drop=self._drop,
        )
        self._admission = Admission(self._scheduler, max_queued_tokens=100_000)
        self._running: list[tuple[float, int, Batch[str]]] = []
        self._numbers = itertools.count()

    def _drop(self, entry: Entry[str], reason: str) -> None:
        self._outcome.count(reason, entry.length)

    def _length(self) -> int:
        return min(256, max(3, int(self._chance.lognormvariate(3, 1))))

    def add_bulk(self, texts: int) -> None:
        lane = self._scheduler.lanes[Lane.BULK]
        for _ in range(texts):
            lane.add([0] * self._length(), "bulk", deadline=1e9, caller="import", now=0)

    def run(self, *, load: float, patience: float, seconds: float) -> Outcome:
        """Offer `load` times the capacity, in calls that wait for `patience` seconds."""
        mean = sum(self._length() for _ in range(5_000)) / 5_000
        rate = load * self._machine.tokens_per_second / mean
        now = 0.0
        while (now := now + self._chance.expovariate(rate)) < seconds:
            while self._running and self._running[0][0] <= now:
                self._finish()
            self._arrive(now, patience)
            self._fill_slots(now)
        self._outcome.busy /= seconds * self._machine.slots
        return self._outcome

    def _arrive(self, now: float, patience: float) -> None:
        length, caller = self._length(), str(self._chance.randrange(self._machine.callers))
        lane, deadline = Lane.INTERACTIVE, now + patience
        try:
            self._admission.check(
                texts=1, tokens=length, lane=lane, deadline=deadline, caller=caller, now=now
            )
        except Overloaded:
            self._outcome.count("refused", length)
            return
        self._scheduler.lanes[lane].add(
            [0] * length, "interactive", deadline=deadline, caller=caller, now=now
        )

    def _fill_slots(self, now: float) -> None:
        while len(self._running) < self._machine.slots:
            batch = self._scheduler.next_batch(now)
            if batch is None:
                return
            machine = self._machine
            seconds = machine.fixed + machine.per_token * batch.padded
            seconds *= self._chance.lognormvariate(0, machine.noise)
            self._outcome.busy += seconds
            heapq.heappush(self._running, (now + seconds, next(self._numbers), batch))

    def _finish(self) -> None:
        ended, _, batch = heapq.heappop(self._running)
        self._scheduler.finished(batch)
        self._scheduler.cost.observe(batch.tokens, batch.padded, ended - batch.started)
        for entry in batch.entries:
            in_time = ended <= entry.deadline
            self._outcome.count(entry.answer if in_time else "late", entry.length)
        self._fill_slots(ended)


@pytest.mark.parametrize("slots", [1, 2, 8])
@pytest.mark.parametrize("callers", [1, 50, 1_000_000])
def test_under_twice_the_load_goodput_stays_near_what_the_machine_can_do(
    slots: int, callers: int
) -> None:
    machine = Machine(slots, callers=callers)
    # With no deadlines the queue grows without end, which makes the fullest batches there can be.
    capacity = Simulation(machine).run(load=1.2, patience=1e6, seconds=20)
    overloaded = Simulation(machine).run(load=2, patience=0.2, seconds=20)
    assert capacity.busy > 0.98
    assert overloaded.tokens["interactive"] >= 0.88 * capacity.tokens["interactive"]
    assert overloaded.busy > 0.98


def test_hardly_anything_is_computed_in_vain() -> None:
    outcome = Simulation(Machine(2)).run(load=2, patience=0.2, seconds=20)
    assert outcome.texts["late"] < 0.02 * outcome.texts["interactive"]


def test_hardly_anything_is_taken_only_to_be_given_up() -> None:
    outcome = Simulation(Machine(2)).run(load=2, patience=0.2, seconds=20)
    given_up = outcome.texts["expired"] + outcome.texts["hopeless"]
    assert given_up < 0.05 * outcome.texts["interactive"]


def test_what_can_be_done_is_not_refused() -> None:
    outcome = Simulation(Machine(2)).run(load=0.5, patience=0.2, seconds=20)
    assert outcome.texts["refused"] == 0
    assert outcome.texts["late"] + outcome.texts["expired"] + outcome.texts["hopeless"] == 0


def test_an_import_uses_what_interactive_calls_leave_and_does_them_no_harm() -> None:
    simulation = Simulation(Machine(2))
    simulation.add_bulk(20_000)
    outcome = simulation.run(load=0.5, patience=0.2, seconds=20)
    assert outcome.busy > 0.98
    assert outcome.tokens["bulk"] > 0.3 * outcome.tokens["interactive"]
    failed = sum(outcome.texts[what] for what in ("refused", "late", "expired", "hopeless"))
    assert failed < 0.01 * outcome.texts["interactive"]


def test_an_import_goes_on_under_overload() -> None:
    simulation = Simulation(Machine(2))
    simulation.add_bulk(20_000)
    outcome = simulation.run(load=2, patience=0.2, seconds=20)
    computed = outcome.tokens["bulk"] + outcome.tokens["interactive"]
    assert outcome.tokens["bulk"] == pytest.approx(0.05 * computed, rel=0.4)
