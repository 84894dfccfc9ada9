"""Pairs: of one person, near in time, and the rare drawn more than they come."""

from collections import Counter

import numpy as np
from longtail.server.ranking.head.pairs import NEAR, Likes, Pairs


def likes(*lists: list[int], count: int = 20) -> Likes:
    return Likes.of([np.array(each, np.int32).tobytes() for each in lists], count)


def drawn(pairs: Pairs, count: int = 4000) -> Counter[tuple[int, int]]:
    first, second = pairs.drawn(np.random.default_rng(0), count)
    return Counter(zip(first.tolist(), second.tolist(), strict=True))


def test_likes_are_listed_by_person() -> None:
    found = likes([3, 1], [], [2])
    assert found.people.tolist() == [0, 0, 2]
    assert found.items.tolist() == [3, 1, 2]
    assert found.popularity[:4].tolist() == [0.0, 1.0, 1.0, 1.0]
    assert found.where(found.items != 1).items.tolist() == [3, 2]


def test_pairs_are_of_one_person_and_near() -> None:
    found = drawn(Pairs(likes(list(range(8)), [10, 11], [12]), -0.5))
    near = {(a, b) for a in range(8) for b in range(a + 1, min(8, a + 1 + NEAR))}
    assert set(found) == near | {(10, 11)}
    # All are equally popular, so each is drawn alike.
    assert max(found.values()) < 1.6 * min(found.values())


def test_pairs_of_the_popular_are_drawn_less_than_they_come() -> None:
    # Items 0 and 1 are liked by nine people, 2 and 3 by one.
    pairs = likes(*([0, 1] for _ in range(9)), [2, 3])
    as_they_come, weighed = drawn(Pairs(pairs, 0.0)), drawn(Pairs(pairs, -0.5))
    assert abs(as_they_come[0, 1] / as_they_come[2, 3] - 9) < 2
    # Each of the nine counts (9 x 9) ** -0.5: they come to one.
    assert abs(weighed[0, 1] / weighed[2, 3] - 1) < 0.2


def test_there_may_be_none() -> None:
    assert not Pairs(likes([1], [2], []), -0.5)
    assert not Pairs(likes(), -0.5)
    assert Pairs(likes([1, 2]), -0.5)
