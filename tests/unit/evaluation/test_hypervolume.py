import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.hypervolume import hypervolumes

points = st.lists(st.tuples(st.integers(-3, 8), st.integers(-3, 8)), min_size=1, max_size=8)


@given(points, st.integers(-2, 4), st.integers(-2, 4))
def test_the_area_is_the_number_of_unit_squares_below_a_point(
    front: list[tuple[int, int]], least_x: int, least_y: int
) -> None:
    squares = {
        (x, y) for right, top in front for x in range(least_x, right) for y in range(least_y, top)
    }
    x, y = np.array(front, np.float64).T
    area = hypervolumes(x[None], y[None], np.array([least_x, least_y], np.float64))
    assert area.tolist() == [len(squares)]


def test_rows_are_apart_and_have_references_of_their_own() -> None:
    random = np.random.default_rng(0)
    x, y, references = random.random((50, 9)), random.random((50, 9)), random.random((50, 2)) / 2
    one_by_one = [hypervolumes(x[[row]], y[[row]], references[row])[0] for row in range(len(x))]
    assert hypervolumes(x, y, references) == pytest.approx(one_by_one)
    assert len(set(one_by_one)) > 40


def test_dominated_points_and_their_order_change_nothing() -> None:
    x, y = np.array([[1.0, 2, 3]]), np.array([[3.0, 2, 1]])
    zero = np.zeros(2)
    assert hypervolumes(x, y, zero).tolist() == [6]
    assert hypervolumes(x[:, [2, 0, 1]], y[:, [2, 0, 1]], zero).tolist() == [6]
    assert hypervolumes(np.append(x, [[1]], 1), np.append(y, [[1]], 1), zero).tolist() == [6]


def test_points_that_are_not_above_the_reference_or_not_known_add_nothing() -> None:
    x = np.array([[0.6, 5.0, np.nan, 0.8]])
    y = np.array([[9.0, -1.0, 3.0, 0.5]])
    assert hypervolumes(x, y, np.array([0.7, 0.0])) == pytest.approx([0.05])
