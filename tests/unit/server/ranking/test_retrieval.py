import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.ranking.retrieval import FUSION_PLACES, Sources, fused, merged


def rows(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


HALF = Sources(behaviour=0.5, popularity=0.0, words=0.5)


def test_each_source_proposes_its_share_and_each_interest_its_own() -> None:
    texts, popular = [np.arange(100, 200), np.arange(200, 300)], np.arange(300, 400)
    found = merged(20, HALF, np.arange(50), popular, texts, [0.7, 0.3]).tolist()
    assert found == [*range(10), *range(100, 107), *range(200, 203)]
    sources = Sources(behaviour=0.25, popularity=0.2, words=0.5)
    found = merged(20, sources, np.arange(50), popular, texts, [0.7, 0.3]).tolist()
    assert found == [*range(5), *range(300, 304), *range(100, 108), *range(200, 203)]


def test_what_behaviour_proposes_takes_no_place_of_the_popular() -> None:
    sources = Sources(behaviour=0.5, popularity=0.25, words=0.5)
    found = merged(4, sources, rows(1, 2), rows(2, 1, 7), [rows(1, 7, 5)], [1.0]).tolist()
    assert found == [1, 2, 7, 5]


def test_what_behaviour_took_already_leaves_room_for_more() -> None:
    found = merged(4, HALF, rows(1, 2, 3), rows(), [rows(1, 2, 5, 6, 7)], [1.0]).tolist()
    assert found == [1, 2, 5, 6]


@pytest.mark.parametrize(
    ("behaviour", "texts", "expected"),
    [
        ([], [[1, 2, 3, 4, 5]], [1, 2, 3, 4]),
        ([9, 8, 7, 6, 5], [[1]], [9, 8, 1, 7]),
        ([], [[1], [2, 3, 4, 5]], [1, 2, 3, 4]),
        ([9], [], [9]),
        ([], [], []),
    ],
)
def test_what_one_cannot_fill_goes_to_the_others(
    behaviour: list[int], texts: list[list[int]], expected: list[int]
) -> None:
    shares = [1 / len(texts) for _ in texts]
    found = merged(4, HALF, rows(*behaviour), rows(), [rows(*text) for text in texts], shares)
    assert sorted(found.tolist()) == sorted(expected)


FEW_ROWS = st.lists(st.integers(0, 20), unique=True, max_size=15)


@given(st.integers(1, 12), FEW_ROWS, FEW_ROWS, st.lists(FEW_ROWS, min_size=1, max_size=3))
def test_none_comes_twice_and_none_is_lacking(
    size: int, behaviour: list[int], popular: list[int], texts: list[list[int]]
) -> None:
    shares, sources = [1 / len(texts) for _ in texts], Sources(0.4, 0.2, 0.5)
    near = [rows(*text) for text in texts]
    found = merged(size, sources, rows(*behaviour), rows(*popular), near, shares).tolist()
    everything = set(behaviour).union(popular, *texts)
    assert len(found) == len(set(found)) == min(size, len(everything))
    assert set(found) <= everything


@given(
    near=st.lists(st.integers(0, 30), unique=True),
    words=st.lists(st.integers(0, 30), unique=True),
    size=st.integers(1, 20),
    share=st.sampled_from((0.0, 0.25, 0.5, 1.0)),
)
def test_meaning_and_words_are_fused_by_their_places(
    near: list[int], words: list[int], size: int, share: float
) -> None:
    worth: dict[int, float] = {}
    for rows, weight in ((near[:size], 1 - share), (words, share)):
        for place, row in enumerate(rows, 1):
            worth[row] = worth.get(row, 0.0) + weight / (FUSION_PLACES + place)
    expected = sorted(worth, key=lambda row: (-worth[row], row))
    assert list(fused(near, words, size, share)) == [*expected, *near[size:]]
