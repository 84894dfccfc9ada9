"""Who is taken and who is refused, and why, on a queue whose cost is known."""

import prometheus_client
import pytest
from longtail.runtime.errors import DeadlineExceeded, Overloaded
from longtail.worker.admission import Admission
from longtail.worker.scheduler import Scheduler
from longtail.worker.waiting import Lane

INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK
LATER, PER_TOKEN, MAX_QUEUED = 1e9, 0.0002, 1_000


class Door:
    """An admission with a busy scheduler of two slots, at the time 0."""

    def __init__(self, *, measured: bool = True, busy: bool = True) -> None:
        self.scheduler: Scheduler[int] = Scheduler(
            slots=2,
            batch_tokens=256,
            max_waste=0.1,
            bulk_seconds=0.025,
            bulk_share=0.05,
            drop=lambda *_: None,
        )
        self.admission = Admission(self.scheduler, max_queued_tokens=MAX_QUEUED)
        if measured:
            for padded in (16, 256, 64, 128):
                self.scheduler.cost.observe(padded, padded, padded * PER_TOKEN)
        for _ in range(2 if busy else 0):
            self.queue(250)
            self.scheduler.next_batch(0)

    def queue(self, tokens: int, lane: Lane = INTERACTIVE, caller: str = "c") -> None:
        """Let texts of at most 50 tokens wait, whatever admission says."""
        for start in range(0, tokens, 250 if tokens == 250 else 50):
            length = min(250 if tokens == 250 else 50, tokens - start)
            self.scheduler.lanes[lane].add([0] * length, 0, deadline=LATER, caller=caller, now=0)

    def knock(
        self, tokens: int, lane: Lane = INTERACTIVE, caller: str = "c", deadline: float = LATER
    ) -> None:
        self.admission.check(
            texts=1, tokens=tokens, lane=lane, deadline=deadline, caller=caller, now=0
        )

    def refused(
        self, tokens: int, lane: Lane = INTERACTIVE, caller: str = "c", deadline: float = LATER
    ) -> tuple[str, float]:
        """Return the reason that was counted and the time to try again after."""
        before = counted()
        with pytest.raises(Overloaded) as error:
            self.knock(tokens, lane, caller, deadline)
        (reason,) = (name for name, count in counted().items() if count != before.get(name, 0))
        return reason, error.value.retry_seconds


def counted() -> dict[str, float]:
    (family,) = (
        family
        for family in prometheus_client.REGISTRY.collect()
        if family.name == "longtail_worker_dropped"
    )
    return {
        sample.labels["reason"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_a_passed_deadline_is_no_overload() -> None:
    with pytest.raises(DeadlineExceeded):
        Door(busy=False).knock(10, deadline=0)


def test_an_idle_worker_tries_whatever_the_estimate_says() -> None:
    Door(busy=False).knock(100_000, deadline=0.001)


def test_before_any_measurement_no_deadline_is_hopeless() -> None:
    door = Door(measured=False)
    door.queue(900)
    door.knock(10, deadline=0.001)


def test_a_call_is_taken_when_its_answer_would_come_in_time() -> None:
    door = Door()
    door.queue(400)
    # 50 ms until the slots are free, 400 tokens for two slots, and a batch of 256.
    expected = 0.05 + 400 * PER_TOKEN / 2 + 256 * PER_TOKEN
    assert door.admission.predict(50, INTERACTIVE, "c", 0) == pytest.approx(expected)
    door.knock(50, deadline=1.25 * expected)
    reason, retry = door.refused(50, deadline=expected)
    assert reason == "hopeless"
    assert retry >= 0.05


def test_a_long_call_is_predicted_to_its_last_text() -> None:
    door = Door()
    short, long = (door.admission.predict(tokens, INTERACTIVE, "c", 0) for tokens in (250, 10_250))
    assert long - short == pytest.approx(10_000 * PER_TOKEN / 2, rel=0.01)


def test_an_interactive_call_does_not_wait_for_bulk_texts() -> None:
    door = Door()
    without = door.admission.predict(50, INTERACTIVE, "c", 0)
    door.queue(5_000, BULK)
    assert door.admission.predict(50, INTERACTIVE, "c", 0) == pytest.approx(without)
    door.knock(50, deadline=0.15)


def test_a_bulk_call_waits_for_both_lanes() -> None:
    door = Door()
    door.queue(400, INTERACTIVE)
    door.queue(400, BULK)
    assert door.admission.predict(50, BULK, "c", 0) == pytest.approx(
        0.05 + 800 * PER_TOKEN / 2 + 256 * PER_TOKEN
    )


def test_a_small_caller_is_not_predicted_to_wait_for_all_of_a_large_one() -> None:
    door = Door()
    door.queue(5_000, caller="large")
    small = door.admission.predict(50, INTERACTIVE, "small", 0)
    large = door.admission.predict(50, INTERACTIVE, "large", 0)
    assert small < large / 3


def test_a_full_lane_refuses_and_says_when_there_will_be_room() -> None:
    door = Door()
    door.queue(1_000, caller="a")
    reason, retry = door.refused(500, caller="b")
    assert reason == "overloaded"
    assert retry == pytest.approx(500 * PER_TOKEN / 2)


def test_a_retry_is_never_asked_for_at_once_nor_very_late() -> None:
    door = Door()
    door.queue(1_000, caller="a")
    assert door.refused(1, caller="b")[1] == 0.05
    assert door.refused(10_000_000, caller="b")[1] == 5


def test_a_full_bulk_lane_leaves_the_interactive_one_open() -> None:
    door = Door()
    door.queue(1_000, BULK)
    door.queue(50, INTERACTIVE)
    door.knock(100, INTERACTIVE)
    assert door.refused(1, BULK)[0] == "overloaded"


def test_a_call_that_finds_its_lane_empty_is_taken_whatever_its_size() -> None:
    door = Door()
    door.knock(MAX_QUEUED + 1)
    door.queue(1_000)
    door.knock(MAX_QUEUED + 1, BULK)


def test_under_pressure_a_caller_has_its_share_and_no_more() -> None:
    door = Door()
    door.queue(450, caller="greedy")
    door.queue(50, caller="modest")
    reason, retry = door.refused(100, caller="greedy")
    assert reason == "unfair_share"
    assert retry >= 0.05
    door.knock(50, caller="greedy")
    door.knock(100, caller="modest")
    door.knock(100, caller="new")


def test_without_pressure_a_caller_may_have_more_than_its_share() -> None:
    door = Door()
    door.queue(300, caller="greedy")
    for other in range(4):
        door.queue(10, caller=str(other))
    door.knock(100, caller="greedy")


def test_a_lone_caller_may_fill_the_queue() -> None:
    door = Door()
    door.queue(900)
    door.knock(100)
