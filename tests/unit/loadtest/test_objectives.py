import pytest

from loadtest.measurements import Measurements
from loadtest.objectives import ObjectiveError, parse_objective
from loadtest.open_loop import Schedule


def measured(answered: int, seconds: float, refused: int = 0) -> Measurements:
    result = Measurements(Schedule(1, 1), offered=answered + refused)
    for _ in range(answered):
        result.latency.record(seconds)
    result.errors["RESOURCE_EXHAUSTED"] = refused
    return result


@pytest.mark.parametrize(
    ("text", "percentile", "bound"),
    [
        ("p99=50ms", 99, 0.05),
        ("p99.9=1.5s", 99.9, 1.5),
        ("p50=800us", 50, 0.0008),
        ("errors=0.1%", None, 0.001),
    ],
)
def test_objectives_are_read(text: str, percentile: float | None, bound: float) -> None:
    objective = parse_objective(text)
    assert objective.percentile == percentile
    assert objective.bound == pytest.approx(bound)


@pytest.mark.parametrize("text", ["", "p99", "p99=50", "p0=1ms", "p101=1ms", "errors=1", "p99=-1s"])
def test_what_is_no_objective_is_refused(text: str) -> None:
    with pytest.raises(ObjectiveError, match="no objective"):
        parse_objective(text)


def test_a_latency_is_held_against_its_bound() -> None:
    assert parse_objective("p99=50ms").is_met(measured(1000, 0.04))
    assert not parse_objective("p99=50ms").is_met(measured(1000, 0.06))


def test_refusing_does_not_make_a_server_faster() -> None:
    fast_but_refusing = measured(980, 0.001, refused=20)

    assert parse_objective("p50=50ms").is_met(fast_but_refusing)
    assert not parse_objective("p99=50ms").is_met(fast_but_refusing)
    assert parse_objective("errors=2%").is_met(fast_but_refusing)
    assert not parse_objective("errors=1.9%").is_met(fast_but_refusing)


def test_nothing_answered_meets_no_latency() -> None:
    assert not parse_objective("p50=60s").is_met(measured(0, 0, refused=10))


def test_exactly_enough_answers_are_enough() -> None:
    assert parse_objective("p99.9=50ms").is_met(measured(999, 0.001, refused=1))
