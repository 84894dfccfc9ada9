import math
import threading
from time import monotonic

import numpy as np
import pytest
from hypothesis import given, strategies
from longtail.server.catalogue.columns import exposure as module
from longtail.server.catalogue.columns.columns import NO_ROW, Columns
from longtail.server.store.decay import DecayedSum, decayed
from longtail.server.store.records import ExposureChange

from tests.unit.server.catalogue.columns.carried import carried
from tests.unit.server.catalogue.columns.items import change, filled

HALF_LIFE = 1000.0


def show(
    columns: Columns, item_id: str, mass: float, time: int = 0, half_life: float = HALF_LIFE
) -> None:
    columns.set_exposure(ExposureChange(item_id, DecayedSum(mass, time), half_life))


def exposure(columns: Columns, *item_ids: str) -> list[float]:
    rows = np.array(columns.newest(item_ids))
    return [float(value) for value in columns.exposure(rows)]


def test_exposure_is_relative_to_the_average_of_all_items() -> None:
    columns = filled("a", "b", "c", "d")
    assert exposure(columns, "a", "b") == [0, 0]
    show(columns, "a", 6)
    show(columns, "b", 2)
    assert exposure(columns, "a", "b", "c", "d") == pytest.approx([3, 1, 0, 0])
    show(columns, "a", 0)
    assert exposure(columns, "a", "b") == pytest.approx([0, 4])


def test_the_average_is_in_impressions_as_of_the_newest() -> None:
    columns = filled("a", "b", "c", "d")
    assert columns.mean_exposure() == 0
    show(columns, "a", 8, time=0)
    assert columns.mean_exposure() == pytest.approx(8 / 4)
    show(columns, "b", 1, time=1000)
    assert columns.mean_exposure() == pytest.approx((4 + 1) / 4)
    # What is gone is not in the average, and still tells the time.
    show(columns, "gone", 5, time=2000)
    assert columns.mean_exposure() == pytest.approx((2 + 0.5) / 4)
    columns.kill("b", 9)
    assert columns.mean_exposure() == pytest.approx(2 / 3)
    taken = carried(columns, np.array([2, 0]))
    assert taken.mean_exposure() == pytest.approx(2 / 2)
    show(columns, "a", 0)
    assert columns.mean_exposure() == 0


@given(
    strategies.lists(
        strategies.tuples(
            strategies.sampled_from("abcdef"),
            strategies.just(0.0) | strategies.floats(0.1, 1e6),
            strategies.integers(0, 20_000),
        ),
        max_size=12,
    ),
    strategies.sets(strategies.sampled_from("abcdef"), max_size=5),
    strategies.sampled_from([500.0, 5000.0, math.inf]),
)
def test_exposure_by_brute_force(
    sums: list[tuple[str, float, int]], gone: set[str], half_life: float
) -> None:
    columns = filled(*"abcdef")
    for item_id, mass, time in sums:
        show(columns, item_id, mass, time, half_life)
    for number, item_id in enumerate(sorted(gone), 10):
        columns.kill(item_id, number)
    held = {item_id: (mass, time) for item_id, mass, time in sums}
    newest = max((time for _, mass, time in sums if mass), default=0)
    left = {
        item_id: decayed(mass, newest - time, half_life) for item_id, (mass, time) in held.items()
    }
    live = sorted(set("abcdef") - gone)
    counts = [left.get(item_id, 0.0) for item_id in live]
    mean = sum(counts) / len(live)
    assert columns.mean_exposure() == pytest.approx(mean)
    relative = [count / mean if mean else 0.0 for count in counts]
    assert exposure(columns, *live) == pytest.approx(relative)


def test_another_half_life_starts_anew() -> None:
    columns = filled("a", "b")
    late = 10**12
    show(columns, "a", 4, late)
    show(columns, "b", 4, late)
    show(columns, "gone", 4, late)
    # Its levels are lower by far, and compare with none of the others.
    show(columns, "a", 6, late, half_life=1e9)
    assert exposure(columns, "a", "b") == pytest.approx([2, 0])
    assert columns.mean_exposure() == pytest.approx(3)
    show(columns, "b", 2, late, half_life=1e9)
    assert exposure(columns, "a", "b") == pytest.approx([1.5, 0.5])
    columns.append([change("gone", 9)])
    assert exposure(columns, "gone") == [0]
    taken = carried(columns, np.array([0, 1]))
    show(taken, "b", 4, late, half_life=1e9)
    assert exposure(taken, "a", "b") == pytest.approx([1.2, 0.8])


def test_what_no_longer_exists_is_not_in_the_average() -> None:
    columns = filled("a", "b", "c")
    show(columns, "a", 6)
    show(columns, "b", 2)
    columns.kill("a", 9)
    assert exposure(columns, "b", "c") == pytest.approx([2, 0])


def test_no_time_is_too_far_from_another() -> None:
    columns = filled("a", "b")
    late = 10**6 * int(HALF_LIFE)
    show(columns, "a", 1, late)
    show(columns, "b", 2, late)
    assert exposure(columns, "a", "b") == pytest.approx([2 / 3, 4 / 3])
    assert columns.mean_exposure() == pytest.approx(1.5)
    show(columns, "b", 2, -late)
    assert exposure(columns, "a", "b") == pytest.approx([2, 0])
    columns.kill("a", 9)
    assert exposure(columns, "b") == pytest.approx([1])
    assert columns.mean_exposure() == 0


def test_a_new_version_keeps_what_its_item_was_shown() -> None:
    columns = filled("a", "b")
    show(columns, "a", 8)
    columns.append([change("a", 8), change("c", 9), change("a", 10), change("c", 11)])
    assert exposure(columns, "a", "b", "c") == pytest.approx([3, 0, 0])


def test_what_was_shown_before_it_was_held_is_remembered() -> None:
    columns = filled("a")
    show(columns, "late", 32)
    assert exposure(columns, "a") == [0]
    columns.append([change("late", 7), change("late", 8)])
    assert exposure(columns, "a", "late") == pytest.approx([0, 2])


def test_exposure_is_taken_over_row_by_row() -> None:
    columns = filled("a", "b", "c")
    for item_id, mass in (("a", 3), ("b", 1), ("c", 8), ("elsewhere", 16)):
        show(columns, item_id, mass)
    columns.kill("c", 9)
    taken = carried(columns, np.array([1, NO_ROW, 0]))
    assert exposure(taken, "a", "b") == pytest.approx([1.5, 0.5])
    assert taken.exposure(np.array([1])).tolist() == [0]
    # What is not taken comes back with its exposure.
    taken.append([change("c", 12), change("elsewhere", 13)])
    assert exposure(taken, "c", "elsewhere", "a") == pytest.approx([8 / 7, 16 / 7, 3 / 7])


def test_many_rows_are_averaged_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AVERAGED_AT_ONCE", 1)
    columns = filled("a", "b")
    show(columns, "a", 1)
    assert exposure(columns, "a") == pytest.approx([2])
    columns._exposure._mean._not_before = math.inf
    show(columns, "b", 1)
    assert exposure(columns, "a", "b") == pytest.approx([2, 2])
    assert columns.mean_exposure() == pytest.approx(0.5)
    columns._exposure._mean._not_before = 0.0
    deadline = monotonic() + 60
    while exposure(columns, "a", "b") != pytest.approx([1, 1]):
        assert monotonic() < deadline, "they were never averaged anew"
    assert columns.mean_exposure() == pytest.approx(1)


def test_readers_see_sound_numbers_while_items_come() -> None:
    columns = filled(*(f"i{number}" for number in range(50)))
    wrong: list[float] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = columns.exposure(np.arange(columns.count))
            # Fifty sums of 1 and those of the same height that come.
            wrong.extend(value for value in found if not 0 <= value <= 51)
            mean = columns.mean_exposure()
            wrong.extend([] if 0 <= mean <= 1.001 else [mean])

    for number in range(50):
        show(columns, f"i{number}", 1)
    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        columns.append([change(f"new{number}", 100 + number)])
        show(columns, f"new{number}", 1)
    done.set()
    reader.join()
    assert wrong == []
    assert columns.exposure(np.arange(columns.count)) == pytest.approx(np.ones(350))
