"""The splits against plain loops over each person's rows."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.dataset import SPLIT_NAMES, Dataset, DatasetError, Dropped
from evaluation.splits import Part, SplitMethod, split


def dataset_of(users: Sequence[int], times: Sequence[float]) -> Dataset:
    m = len(users)
    return Dataset(
        item_ids=[str(item) for item in range(m)],
        titles=[""] * m,
        texts=[""] * m,
        attributes=[{}] * m,
        user_ids=[str(user) for user in range(max(users) + 1)],
        users=np.array(users, np.int64),
        items=np.arange(m, dtype=np.int64),
        ratings=np.ones(m),
        times=np.array(times, np.float64),
        split=None,
        rated=False,
        dropped=Dropped({}, {}),
    )


def in_time(dataset: Dataset, user: int | None = None) -> list[int]:
    rows = [row for row, of in enumerate(dataset.users) if user is None or of == user]
    return sorted(rows, key=lambda row: (dataset.times[row], row))


def by_share(rows: list[int], parts: list[int], valid: str, test: str) -> None:
    half = Fraction(1, 2)
    tested = int(len(rows) * Fraction(test) + half)
    held_out = int(len(rows) * (Fraction(valid) + Fraction(test)) + half)
    for row in rows[len(rows) - held_out :]:
        parts[row] = Part.VALID
    for row in rows[len(rows) - tested :]:
        parts[row] = Part.TEST


def user_time(dataset: Dataset, positives: list[bool], valid: str, test: str) -> list[int]:
    parts = [0] * len(dataset.users)
    for user in range(len(dataset.user_ids)):
        by_share(in_time(dataset, user), parts, valid, test)
    return parts


def global_time(dataset: Dataset, positives: list[bool], valid: str, test: str) -> list[int]:
    parts = [0] * len(dataset.users)
    by_share(in_time(dataset), parts, valid, test)
    return parts


def leave_one_out(dataset: Dataset, positives: list[bool], valid: str, test: str) -> list[int]:
    parts = [0] * len(dataset.users)
    for user in range(len(dataset.user_ids)):
        rows = in_time(dataset, user)
        liked = [place for place, row in enumerate(rows) if positives[row]]
        if len(liked) >= 3:
            for row in rows[liked[-2] :]:
                parts[row] = Part.VALID
        if len(liked) >= 2:
            for row in rows[liked[-1] :]:
                parts[row] = Part.TEST
    return parts


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), min_size=1, max_size=40
)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (SplitMethod.USER_TIME, user_time),
        (SplitMethod.GLOBAL_TIME, global_time),
        (SplitMethod.LEAVE_ONE_OUT, leave_one_out),
    ],
)
@given(rows=rows, shares=st.sampled_from([("0.1", "0.2"), ("0.3", "0.4"), ("0.05", "0.1")]))
def test_split_by_brute_force(
    method: SplitMethod,
    expected: Callable[[Dataset, list[bool], str, str], list[int]],
    rows: list[tuple[int, int, bool]],
    shares: tuple[str, str],
) -> None:
    # One more person, with enough rows for every part to hold a like.
    users = [user for user, _, _ in rows] + [4] * 80
    times = [float(time) for _, time, _ in rows] + [float(time % 7) for time in range(80)]
    liked = [like for _, _, like in rows] + [True] * 80
    dataset = dataset_of(users, times)
    valid, test = shares
    parts = split(dataset, method, positives=np.array(liked), valid=float(valid), test=float(test))
    assert parts.dtype == np.int8
    assert parts.tolist() == expected(dataset, liked, valid, test)


def test_the_defaults_hold_out_a_fifth_and_a_tenth() -> None:
    dataset = dataset_of([0] * 10 + [1] * 5, list(range(10, 0, -1)) + [0] * 5)
    parts = split(dataset, SplitMethod.USER_TIME, positives=np.ones(15, np.bool_))
    assert parts.tolist() == [2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]


def test_half_a_row_counts_as_one_whichever_way_the_float_falls() -> None:
    dataset = dataset_of([0] * 50, range(50))
    parts = split(
        dataset, SplitMethod.USER_TIME, positives=np.ones(50, np.bool_), valid=0.1, test=0.29
    )
    assert np.bincount(parts).tolist() == [30, 5, 15]


def test_who_comes_late_has_no_history_in_a_split_by_one_time() -> None:
    dataset = dataset_of([0] * 8 + [1] * 2, list(range(10)))
    parts = split(dataset, SplitMethod.GLOBAL_TIME, positives=np.ones(10, np.bool_))
    assert parts.tolist() == [0] * 7 + [1] + [2] * 2


def test_what_follows_a_held_out_like_is_no_history() -> None:
    liked = np.array([True, False, True, False, True, False])
    dataset = dataset_of([0] * 6, list(range(6)))
    parts = split(dataset, SplitMethod.LEAVE_ONE_OUT, positives=liked)
    assert parts.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_given_split_is_taken_as_it_is() -> None:
    assert [part.name.lower() for part in Part] == list(SPLIT_NAMES)
    dataset = dataset_of([0, 0, 1, 1], [0, 1, 2, 3])
    liked = np.ones(4, np.bool_)
    with pytest.raises(DatasetError, match=r"interactions\.csv has no column split"):
        split(dataset, SplitMethod.GIVEN, positives=liked)
    divided = replace(dataset, split=np.array([2, 0, 1, 0], np.int8))
    assert split(divided, SplitMethod.GIVEN, positives=liked).tolist() == [2, 0, 1, 0]


@pytest.mark.parametrize("part", list(Part))
def test_a_part_without_a_like_is_refused_by_name(part: Part) -> None:
    divided = replace(dataset_of([0] * 3, [0, 1, 2]), split=np.array([0, 1, 2], np.int8))
    liked = np.arange(3) != part
    with pytest.raises(DatasetError, match=f"split given leaves no like for {part.name.lower()}"):
        split(divided, SplitMethod.GIVEN, positives=liked)


@pytest.mark.parametrize(("valid", "test"), [(0, 0.2), (0.1, 0), (0.5, 0.5), (0.1, float("nan"))])
def test_shares_that_leave_nothing_are_refused(valid: float, test: float) -> None:
    dataset = dataset_of([0] * 20, list(range(20)))
    with pytest.raises(DatasetError, match="leave a part without rows"):
        split(
            dataset,
            SplitMethod.USER_TIME,
            positives=np.ones(20, np.bool_),
            valid=valid,
            test=test,
        )
