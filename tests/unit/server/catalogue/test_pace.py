"""A fit beside serving rests as long as it works, and ends when its time is over."""

import threading
import time

import pytest
from longtail.server.catalogue.pace import Pace
from longtail.server.ranking.regression import Stopped


class Waited(threading.Event):
    """Notes how long it was waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return self.is_set()


def test_it_rests_as_long_as_it_worked() -> None:
    stopped = Waited()
    pace = Pace("a fit", stopped, 60.0)
    pace.begin()
    for _ in range(3):
        ends = time.monotonic() + 0.005
        while time.monotonic() < ends:
            pass
        pace.pause(0)
    assert min(stopped.seconds) >= 0.005
    assert pace.worked == pytest.approx(sum(stopped.seconds))
    pace.begin()
    assert pace.worked == 0.0


def test_it_ends_when_its_time_is_over_or_it_is_told_to(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Stopped):
        Pace("a fit", threading.Event(), 0.0).begin()
    pace = Pace("a fit", threading.Event(), 1e-9)
    pace.begin()
    with pytest.raises(Stopped):
        pace.pause(0)
    assert "a fit" in caplog.text
    stopped = threading.Event()
    stopped.set()
    pace = Pace("a fit", stopped, 60.0)
    pace.begin()
    with pytest.raises(Stopped):
        pace.pause(0)
