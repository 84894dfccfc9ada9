"""Long work of short steps lets others have the interpreter, and not more often than it has to."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from longtail.server.process.interpreter import giving_way

# Of one step; a power of two, so that sums of it are exact.
STEP = 2.0**-12


class Clock:
    """Time as the test has it pass, in place of `time`; notes when somebody slept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, _: float) -> None:
        self.slept.append(self.now)

    def steps(self, count: int, seconds: float) -> list[int]:
        """Return what came of `count` steps of so many seconds."""
        seen = []
        for step in giving_way(range(count)):
            seen.append(step)
            self.now += seconds
        return seen


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("longtail.server.process.interpreter.time", clock)
    return clock


def test_all_steps_are_taken_in_their_order(clock: Clock) -> None:
    assert clock.steps(1000, STEP) == list(range(1000))


def test_others_have_it_after_two_milliseconds_of_steps(clock: Clock) -> None:
    # A thread of its own, which never gave way.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(clock.steps, 37, STEP).result()
    gaps = [later - earlier for earlier, later in zip(clock.slept, clock.slept[1:], strict=False)]
    assert clock.slept[0] == 100.0
    assert gaps == [9 * STEP] * 4


def test_steps_that_are_done_in_no_time_wait_for_nobody(clock: Clock) -> None:
    clock.steps(1, 0.0)
    clock.slept.clear()
    clock.steps(1000, 0.0)
    clock.steps(1000, 0.0)
    assert clock.slept == []
