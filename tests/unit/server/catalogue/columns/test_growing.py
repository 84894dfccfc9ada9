import numpy as np
from longtail.server.catalogue.columns.growing import GrowingArray


def test_values_come_back_in_the_order_of_appending() -> None:
    array = GrowingArray.empty(np.int64)
    expected: list[int] = []
    for size in (0, 1, 3, 4, 100, 1):
        block = list(range(len(expected), len(expected) + size))
        array.append(block)
        expected += block
        assert array.values.tolist() == expected
        assert array.count == len(expected)


def test_an_array_that_a_reader_holds_stays_as_it_is_when_the_values_move() -> None:
    array = GrowingArray.empty(np.int32)
    array.append([1, 2, 3])
    held = array.values
    for value in range(1000):
        array.append([value])
        array.values[0] = value
    assert held[1:].tolist() == [2, 3]
    assert len(held) == 3


def test_room_grows_by_half_so_that_appending_copies_each_value_a_few_times_only() -> None:
    array = GrowingArray.empty(np.int64)
    moves, holder = 0, array.values.base
    for value in range(10_000):
        array.append([value])
        if array.values.base is not holder:
            moves, holder = moves + 1, array.values.base
    assert moves < 25


def test_rows_are_taken_in_any_order_and_minus_one_is_filled() -> None:
    array = GrowingArray.empty(np.int64)
    array.append([5, 6, 7])
    taken = array.take(np.array([2, -1, 0]), 9)
    assert taken.values.tolist() == [7, 9, 5]
    taken.append([1])
    assert (taken.count, array.values.tolist()) == (4, [5, 6, 7])
    assert GrowingArray.empty(np.float64).take(np.array([-1]), -np.inf).values.tolist() == [-np.inf]
