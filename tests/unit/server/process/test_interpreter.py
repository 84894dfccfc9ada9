"""Long work of short steps lets others have the interpreter, and not more often than it has to."""

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
    clock.steps(37, STEP)
    assert clock.slept == [100.0 + 9 * STEP * times for times in range(1, 5)]


def test_few_steps_wait_for_nobody(clock: Clock) -> None:
    for _ in range(100):
        clock.steps(8, STEP)
    assert clock.slept == []
