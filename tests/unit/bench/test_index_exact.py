import numpy as np
import pytest
from numpy.typing import NDArray

from bench.index.exact import nearest_cosines, recall

VECTORS = np.eye(4, dtype=np.float32)
QUERY = np.array([[0.8, 0.5, 0.3, 0.1]], np.float32)


def vectors_of(*rows: int) -> NDArray[np.float32]:
    return VECTORS[list(rows)]


def test_the_nearest_come_first() -> None:
    found = nearest_cosines(VECTORS, QUERY, 3)
    assert found[0].tolist() == pytest.approx([0.8, 0.5, 0.3])


def test_only_what_is_allowed_is_among_the_nearest() -> None:
    allowed = np.array([False, True, False, True])
    assert nearest_cosines(VECTORS, QUERY, 3, allowed)[0].tolist() == pytest.approx([0.5, 0.1])


def test_many_queries_are_answered_in_their_order() -> None:
    queries = np.tile(VECTORS, (50, 1)) * np.arange(1, 201, dtype=np.float32)[:, np.newaxis]
    assert nearest_cosines(VECTORS, queries, 1)[:, 0].tolist() == list(range(1, 201))


@pytest.mark.parametrize(("rows", "share"), [((0, 1), 1.0), ((1, 0), 1.0), ((0, 2), 0.5), ((), 0)])
def test_recall_is_the_share_of_the_nearest_that_was_found(
    rows: tuple[int, ...], share: float
) -> None:
    exact = nearest_cosines(VECTORS, QUERY, 2)
    assert recall(exact, [vectors_of(*rows)], QUERY).tolist() == [share]


def test_what_is_as_near_as_the_last_may_stand_for_it() -> None:
    twins = np.concatenate([VECTORS, VECTORS[1:2]])
    exact = nearest_cosines(twins, QUERY, 2)
    assert recall(exact, [twins[[0, 4]]], QUERY).tolist() == [1.0]


def test_more_than_was_asked_for_is_no_merit() -> None:
    exact = nearest_cosines(VECTORS, QUERY, 2)
    assert recall(exact, [vectors_of(2, 3, 0, 1)], QUERY).tolist() == [0.0]
