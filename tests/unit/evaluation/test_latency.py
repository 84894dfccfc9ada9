import time

import pytest

from evaluation import latency
from evaluation.latency import of_method
from evaluation.task import Family, Ints, Method, Task
from tests.unit.evaluation.outside_tasks import plain, random_task


def test_single_requests_are_timed_at_the_middle_of_the_dial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latency, "TIMED", 12)
    task, asked = random_task(), list[tuple[int, float, int]]()

    def noted(rows: Task, dial: float) -> Ints:
        asked.append((len(rows.items), dial, int(rows.items[0, 0])))
        return plain(rows)

    found = of_method(Method("noted", Family.BASELINE, (0.0, 0.5, 1.0), noted), task)
    first = task.items[:, 0].tolist()
    # Five warm it up, and none of the timed ones is missing.
    assert asked == [(1, 0.5, item) for item in (*first[:5], *first[:12])]
    assert (found.method, found.pool, found.k) == ("noted", 40, 10)


def test_times_are_milliseconds_of_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each call takes one unit more than the one before: 5 to warm up, then 101 that are timed.
    calls = iter(range(10_000))
    clock = [0.0]

    def takes_longer_and_longer(task: Task, dial: float) -> Ints:
        clock[0] += 0.001 * (next(calls) - 5)
        return plain(task)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(latency, "TIMED", 101)
    slow = Method("slow", Family.BASELINE, (0.5,), takes_longer_and_longer)
    found = of_method(slow, random_task(users=150))
    assert found.p50_ms == pytest.approx(50)
    assert found.p99_ms == pytest.approx(99)
