"""What is held out of whom, and what vectors are worth by it."""

import numpy as np
import pytest
from longtail.server.ranking.head.judging import HeldOut
from longtail.server.ranking.head.pairs import Likes

# Items stand on a line of directions: the nearer two numbers, the nearer the vectors.
COUNT = 60
ANGLES = np.linspace(0, np.pi, COUNT)
VECTORS = np.stack((np.cos(ANGLES), np.sin(ANGLES)), axis=1).astype(np.float32)
NOTHING = np.zeros(COUNT, np.bool_)
ONE = np.ones(1, np.bool_)


def mask(*items: int) -> np.typing.NDArray[np.bool_]:
    marked = NOTHING.copy()
    marked[list(items)] = True
    return marked


def likes(*lists: list[int]) -> Likes:
    return Likes.of([np.array(each, np.int32).tobytes() for each in lists], COUNT)


def test_the_last_warm_likes_and_all_cold_ones_are_held_out() -> None:
    everybody = np.array([True, True, False])
    held = HeldOut(
        likes([1, 40, 2, 3, 4, 5], [6], [7, 8, 40]), everybody, everybody, mask(40), NOTHING
    )
    assert held.free.tolist() == [
        *(True, False, True, True, True, False),
        True,
        *(True, True, False),
    ]
    # The second has nothing that could be asked for.
    assert len(held) == 1


def test_near_vectors_find_what_is_asked_for() -> None:
    held = HeldOut(likes([10, 11, 30, 13, 14, 12]), ONE, ONE, mask(30), mask(12))
    found = held.figures(VECTORS)
    # Nothing is nearer to those that are known than the one between them.
    assert found["all ndcg@20"].tolist() == [1.0]
    assert found["all recall@20"].tolist() == [1.0]
    assert found["tail ndcg@20"].tolist() == [1.0]
    # The only cold one is the first of all cold ones.
    assert found["cold ndcg@20"].tolist() == [1.0]
    far = held.figures(VECTORS[np.random.default_rng(0).permutation(COUNT)])
    assert far["all ndcg@20"][0] < 1.0


def test_who_likes_nothing_of_a_kind_has_no_figure() -> None:
    held = HeldOut(likes([1, 2, 3, 4, 5]), ONE, ONE, NOTHING, NOTHING)
    found = held.figures(VECTORS)
    assert np.isnan(found["cold recall@20"]).all()
    assert np.isnan(found["tail recall@20"]).all()
    assert found["all recall@20"] == pytest.approx([1.0])


def test_who_is_asked_of_cold_items_alone_keeps_the_rest() -> None:
    held = HeldOut(likes([1, 40, 2, 3, 4, 5]), ONE, ~ONE, mask(40), NOTHING)
    assert held.free.tolist() == [True, False, True, True, True, True]
    found = held.figures(VECTORS)
    assert found["cold recall@20"].tolist() == [1.0]
    assert np.isnan(found["all recall@20"]).all()
