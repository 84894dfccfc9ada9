import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.ranking.caps import CappedAttribute, Room, within, without_room


def capped(values: list[list[int]], limit: int) -> CappedAttribute:
    offsets = np.cumsum([0, *map(len, values)])
    return CappedAttribute(offsets, np.array([*itertools.chain(*values)], np.int64), limit)


def test_the_first_of_a_value_are_kept() -> None:
    genre = capped([[0], [0], [1], [0], []], 2)
    assert within((genre,), (), np.array([3, 1, 0, 2, 4])).tolist() == [3, 1, 2, 4]


def test_each_element_of_a_list_counts() -> None:
    genre = capped([[0, 1], [1, 2], [2]], 1)
    assert within((genre,), (), np.arange(3)).tolist() == [0, 2]


def test_what_one_cap_leaves_out_takes_no_room_of_another() -> None:
    genre, studio = capped([[0], [0], [1]], 1), capped([[0], [1], [1]], 1)
    assert within((genre, studio), (), np.arange(3)).tolist() == [0, 2]


def test_pins_count_first_and_stay_even_against_the_cap() -> None:
    genre = capped([[0], [0], [0], [1]], 1)
    assert within((genre,), (1, 2), np.array([0, 3])).tolist() == [3]


def test_without_caps_all_are_kept() -> None:
    assert within((), (), np.array([2, 0, 1])).tolist() == [2, 0, 1]


def test_an_attribute_that_no_candidate_has_caps_nothing() -> None:
    assert within((capped([[], []], 1),), (), np.arange(2)).tolist() == [0, 1]


def test_room_ends_at_the_limit() -> None:
    room = Room((capped([[0], [0], [0]], 2),))
    room.take([0])
    assert room.admits(2)
    room.take([1])
    assert not room.admits(2)


@given(st.lists(st.lists(st.integers(0, 3), unique=True), min_size=1, max_size=7), st.data())
def test_without_room_is_what_room_does_not_admit(
    values: list[list[int]], data: st.DataObject
) -> None:
    caps = (capped(values, 1), capped(values[::-1], 2))
    items = data.draw(st.lists(st.integers(0, len(values) - 1), unique=True))
    room = Room(caps)
    room.take(items)
    admitted = [room.admits(item) for item in range(len(values))]
    found = without_room(caps, np.array(items, np.int64), len(values))
    assert (~found).tolist() == admitted


item_values = st.lists(st.lists(st.integers(0, 3), unique=True, max_size=3), min_size=1, max_size=7)


@given(item_values, st.integers(1, 3))
def test_no_list_of_what_is_kept_breaks_the_cap_and_nothing_is_left_out_needlessly(
    values: list[list[int]], limit: int
) -> None:
    order = np.arange(len(values))
    kept = within((capped(values, limit),), (), order).tolist()
    for size in range(len(kept) + 1):
        for chosen in itertools.combinations(kept, size):
            held = [value for item in chosen for value in values[item]]
            assert all(held.count(value) <= limit for value in held)
    for item in set(order.tolist()) - set(kept):
        earlier = [value for at in kept if at < item for value in values[at]]
        assert any(earlier.count(value) == limit for value in values[item])
