"""What the scheduler gives a free slot: lane, size, and the texts that it gives up."""

import pytest
from longtail.worker.scheduler import Batch, Scheduler
from longtail.worker.waiting import Entry, Lane

INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK
BATCH_TOKENS, LATER = 256, 1e9
# Seconds for each padded token; an inference has no fixed part.
PER_TOKEN = 0.0002


class Slots:
    """A scheduler and the record of what it dropped."""

    def __init__(
        self, slots: int = 1, *, bulk_seconds: float = 0.025, bulk_share: float = 0.05
    ) -> None:
        self.dropped: list[tuple[int, str]] = []
        self.scheduler: Scheduler[int] = Scheduler(
            slots=slots,
            batch_tokens=BATCH_TOKENS,
            max_waste=0.1,
            bulk_seconds=bulk_seconds,
            bulk_share=bulk_share,
            drop=self._drop,
        )

    def _drop(self, entry: Entry[int], reason: str) -> None:
        self.dropped.append((entry.answer, reason))

    def measured(self) -> "Slots":
        """Let the scheduler know the cost."""
        for padded in (16, 256, 64, 128):
            self.scheduler.cost.observe(padded, padded, padded * PER_TOKEN)
        return self

    def busy(self) -> "Slots":
        """Start one batch, so that the scheduler is not at rest."""
        self.add(1, lane=INTERACTIVE)
        self.cut()
        return self

    def add(
        self, count: int, *, lane: Lane, length: int = 10, deadline: float = LATER, name: int = 0
    ) -> None:
        for _ in range(count):
            self.scheduler.lanes[lane].add([0] * length, name, deadline=deadline, caller="c", now=0)

    def cut(self, now: float = 0.0) -> Batch[int]:
        batch = self.scheduler.next_batch(now)
        assert batch is not None
        return batch


def test_nothing_waits_and_nothing_is_given() -> None:
    assert Slots().scheduler.next_batch(0) is None


def test_the_interactive_lane_goes_first_and_lanes_are_not_mixed() -> None:
    slots = Slots()
    slots.add(2, lane=BULK)
    slots.add(2, lane=INTERACTIVE)
    assert [slots.cut().lane, slots.cut().lane] == [INTERACTIVE, BULK]


@pytest.mark.parametrize("bulk_length", [10, 200])
def test_the_bulk_lane_gets_its_share_while_both_wait(bulk_length: int) -> None:
    slots = Slots(bulk_share=0.05).measured()
    slots.add(2_000, lane=BULK, length=bulk_length)
    tokens = {INTERACTIVE: 0, BULK: 0}
    for _ in range(400):
        slots.add(26, lane=INTERACTIVE)
        batch = slots.cut()
        slots.scheduler.finished(batch)
        tokens[batch.lane] += batch.padded
    assert tokens[BULK] / sum(tokens.values()) == pytest.approx(0.05, abs=0.01)


def test_a_bulk_lane_that_had_its_turn_alone_is_owed_nothing() -> None:
    slots = Slots(bulk_share=0.5)
    slots.add(26, lane=INTERACTIVE)
    slots.add(500, lane=BULK)
    assert [slots.cut().lane for _ in range(3)] == [INTERACTIVE, BULK, BULK]
    slots.add(1, lane=INTERACTIVE)
    assert slots.cut().lane is INTERACTIVE


def test_a_bulk_batch_is_short() -> None:
    slots = Slots(bulk_seconds=0.025).measured()
    slots.add(100, lane=BULK)
    batch = slots.cut()
    assert 0.02 < batch.ends - batch.started <= 0.025


def test_a_bulk_batch_is_small_before_its_cost_is_known() -> None:
    slots = Slots()
    slots.add(100, lane=BULK)
    assert slots.cut().padded <= 64


def test_a_bulk_text_that_takes_longer_is_taken_alone() -> None:
    slots = Slots(bulk_seconds=0.001).measured()
    slots.add(3, lane=BULK, length=200)
    assert len(slots.cut().entries) == 1


def test_free_slots_share_what_waits() -> None:
    slots = Slots(2)
    slots.add(32, lane=INTERACTIVE, length=8)
    assert [len(slots.cut().entries), len(slots.cut().entries)] == [16, 16]


def test_a_few_tokens_are_not_split() -> None:
    slots = Slots(2)
    slots.add(6, lane=INTERACTIVE)
    assert len(slots.cut().entries) == 6


def test_what_exceeds_all_budgets_is_cut_by_the_budget() -> None:
    slots = Slots(2)
    slots.add(100, lane=INTERACTIVE)
    assert slots.cut().padded == 250


def test_expired_and_hopeless_texts_are_given_up() -> None:
    slots = Slots(2).measured().busy()
    slots.add(1, lane=INTERACTIVE, length=100, deadline=1.0, name=1)
    slots.add(1, lane=INTERACTIVE, length=100, deadline=2.001, name=2)
    slots.add(1, lane=INTERACTIVE, length=100, deadline=3.0, name=3)
    batch = slots.cut(now=2.0)
    assert [entry.answer for entry in batch.entries] == [3]
    assert slots.dropped == [(1, "expired"), (2, "hopeless")]


def test_a_batch_ends_before_the_deadlines_in_it() -> None:
    slots = Slots(2).measured().busy()
    slots.add(1, lane=INTERACTIVE, deadline=1.010)
    slots.add(30, lane=INTERACTIVE)
    batch = slots.cut(now=1.0)
    assert len(batch.entries) > 1
    assert batch.ends <= 1.010


def test_a_late_text_does_not_shrink_a_batch_that_costs_the_same_when_full() -> None:
    slots = Slots(2)
    for padded in (16, 256, 64, 128):
        slots.scheduler.cost.observe(padded, padded, 0.010 + padded * 1e-6)
    slots.busy()
    # There is time for an inference of this text, but hardly for that of any other with it.
    slots.add(1, lane=INTERACTIVE, deadline=1.0121, name=1)
    slots.add(25, lane=INTERACTIVE)
    assert len(slots.cut(now=1.0).entries) == 25
    assert slots.dropped == [(1, "hopeless")]


def test_after_a_rest_a_text_is_tried_that_the_estimate_calls_hopeless() -> None:
    slots = Slots(1)
    slots.scheduler.cost.observe(10, 10, 60.0)
    slots.add(1, lane=INTERACTIVE, deadline=1.0)
    batch = slots.cut(now=0.5)
    assert not slots.dropped
    slots.scheduler.finished(batch)
    assert slots.scheduler.idle


def test_a_slot_is_busy_until_its_batch_should_end() -> None:
    slots = Slots(2).measured()
    slots.add(2, lane=INTERACTIVE, length=250)
    assert slots.scheduler.busy_seconds(0) == 0
    slots.cut()
    assert slots.scheduler.busy_seconds(0) == 0
    second = slots.cut()
    assert slots.scheduler.busy_seconds(0.01) == pytest.approx(250 * PER_TOKEN - 0.01)
    slots.scheduler.finished(second)
    assert slots.scheduler.busy_seconds(0.01) == 0


def test_what_waits_drains_at_the_pace_of_all_slots() -> None:
    slots = Slots(2, bulk_share=0.2).measured()
    assert slots.scheduler.drain_seconds(1_000, INTERACTIVE) == pytest.approx(1_000 * PER_TOKEN / 2)
    slots.add(1, lane=BULK)
    assert slots.scheduler.drain_seconds(1_000, INTERACTIVE) == pytest.approx(
        1_000 * PER_TOKEN / 2 / 0.8
    )


def test_texts_that_do_not_fit_together_drain_in_more_inferences() -> None:
    slots = Slots(1)
    for padded in (16, 256, 64, 128):
        slots.scheduler.cost.observe(padded, padded, 0.010 + padded * 1e-6)
    together = slots.scheduler.drain_seconds(150, INTERACTIVE)
    for _ in range(20):
        for length in (5, 10, 20, 40, 80):
            slots.add(1, lane=INTERACTIVE, length=length)
        for _ in range(5):
            slots.scheduler.finished(slots.cut())
    assert slots.scheduler.drain_seconds(150, INTERACTIVE) > 1.5 * together
