"""A regression is kept beside serving: in time, anew when enough has happened, stopped at once."""

import threading
from collections.abc import Callable

import pytest
from longtail.server.catalogue import regressing as module
from longtail.server.catalogue.regressing import Regressing
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.ranking.regression import Regression, Stopped

PATIENCE_SECONDS = 60.0


class Noted(Behaviour):
    """Behaviour that notes what it is told to go by."""

    def __init__(self) -> None:
        super().__init__()
        self.fits = list[Regression]()
        self.told = threading.Semaphore(0)

    def go_by(self, regression: Regression, pause: Callable[[int], None]) -> None:
        super().go_by(regression, pause)
        self.fits.append(regression)
        self.told.release()


def liked() -> Noted:
    behaviour = Noted()
    for person in range(40):
        for item in range(3):
            behaviour.like(person, f"i{(person + item) % 8}")
    return behaviour


def test_behaviour_goes_by_what_was_fitted() -> None:
    behaviour = liked()
    Regressing(threading.Event(), 60.0).fit(behaviour)
    [regression] = behaviour.fits
    assert regression.support.tolist() == [15.0] * 8
    assert len(regression.items)


def test_it_takes_no_more_than_its_time() -> None:
    for seconds in (0.0, 1e-9):
        behaviour = liked()
        with pytest.raises(Stopped):
            Regressing(threading.Event(), seconds).fit(behaviour)
        assert not behaviour.fits


def test_it_stops_when_it_is_told_to() -> None:
    stopped, behaviour = threading.Event(), liked()
    stopped.set()
    with pytest.raises(Stopped):
        Regressing(stopped, 60.0).fit(behaviour)
    regressing = Regressing(stopped, 60.0)
    regressing.run(lambda: behaviour)
    assert regressing.settled.is_set()
    assert not behaviour.fits


def test_a_fault_ends_the_fits_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Behaviour:
        raise MemoryError("no room")

    regressing = Regressing(threading.Event(), 60.0)
    regressing.run(broken)
    assert regressing.settled.is_set()
    assert "no room" in caplog.text


def test_it_is_fitted_anew_when_enough_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_REST_SECONDS", 0.0)
    monkeypatch.setattr(module, "REST", 0.0)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    stopped, behaviours = threading.Event(), [liked(), liked()]
    first, second = behaviours
    regressing = Regressing(stopped, 60.0)
    thread = threading.Thread(target=regressing.run, args=(lambda: behaviours[0],))
    thread.start()
    try:
        assert first.told.acquire(timeout=PATIENCE_SECONDS)
        # 120 likes: two are less than a fiftieth of them.
        first.like("ann", "i0")
        first.like("ann", "i1")
        assert not first.told.acquire(timeout=0.05)
        first.like("ann", "i2")
        assert first.told.acquire(timeout=PATIENCE_SECONDS)
        # What was read anew has none yet.
        behaviours.pop(0)
        assert second.told.acquire(timeout=PATIENCE_SECONDS)
    finally:
        stopped.set()
        thread.join()
    assert [each.support[0] for each in first.fits] == [15.0, 16.0]


@pytest.mark.parametrize(
    ("changed", "passed", "due"),
    [(0, 1e9, False), (1, 100.0, False), (10, 100.0, True), (10, 5.0, False), (1, 1e5, True)],
)
def test_it_is_due(changed: int, passed: float, due: bool) -> None:
    behaviour = liked()
    before = behaviour.taken_in
    for number in range(changed):
        behaviour.like(f"new {number}", "i0")
    assert Regressing(threading.Event(), 60.0)._is_due(behaviour, before, passed) == due
