import numpy as np
import pytest
from longtail.server.ranking.evidence import (
    CLIP,
    COLD_LIKES,
    FEATURES,
    KNOTS,
    OF_HISTORY,
    OF_TASTE,
    Evidence,
    PoolScale,
    features,
)
from longtail.server.ranking.taste import Taste
from numpy.typing import NDArray

N = 30
KNOWN = Taste(np.array([0.1, 0.3, 0.6]), 0.4, 5)
UNKNOWN = Taste(np.array([0.2, 0.6, 0.2]), 0.0, 0)


def evidence(seed: int = 0, **signals: NDArray[np.float64]) -> Evidence:
    random = np.random.default_rng(seed)
    values = {
        "text": random.uniform(0.2, 0.8, N),
        "behaviour": random.exponential(0.05, N),
        "recent": random.exponential(0.05, N),
        "aversion": random.uniform(0, 0.5, N),
        "words": random.exponential(3.0, N),
        "adapted": random.uniform(0.2, 0.8, N),
        "support": random.integers(0, 50, N).astype(float),
        "popularity": random.normal(scale=2.0, size=N),
    } | signals
    return Evidence(**values, bucket=random.integers(0, 3, N).astype(np.int8))


def column(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values[:, FEATURES.index(name)]
    return found


def standard(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    z: NDArray[np.float64] = (signal - signal.mean()) / signal.std()
    return z


def test_signals_count_by_how_far_they_stand_out_in_the_pool() -> None:
    found = evidence()
    values = features(found, KNOWN, PoolScale.of(found))
    assert column(values, "text") == pytest.approx(standard(found.text))
    assert column(values, "text cosine") == pytest.approx(found.text)
    assert column(values, "recent behaviour") == pytest.approx(standard(np.sqrt(found.recent)))
    assert column(values, "aversion") == pytest.approx(standard(found.aversion))
    assert column(values, "adapted") == pytest.approx(standard(found.adapted))
    assert column(values, "words") == pytest.approx(standard(found.words))
    assert column(values, "words score") == pytest.approx(found.words)


def test_neither_the_offset_nor_the_scale_of_an_encoder_matters_to_the_standing() -> None:
    one, other = evidence(), evidence(text=0.3 * evidence().text + 0.5)
    assert column(features(one, KNOWN, PoolScale.of(one)), "text") == pytest.approx(
        column(features(other, KNOWN, PoolScale.of(other)), "text")
    )


@pytest.mark.parametrize("near", ["adapted", "text"])
def test_what_few_have_met_with_stands_where_a_head_or_its_text_puts_it(near: str) -> None:
    cold = np.zeros(N)
    cold[1], cold[2] = COLD_LIKES, 1e9
    # Without a head nothing is near by its vectors.
    without = {"adapted": np.zeros(N)} if near == "text" else dict[str, NDArray[np.float64]]()
    found = evidence(0, support=cold, **without)
    values = features(found, KNOWN, PoolScale.of(found))
    standing, behaviour = column(values, near), column(values, "behaviour")
    own = standard(np.sqrt(found.behaviour))
    assert behaviour[0] == pytest.approx(standing[0])
    assert behaviour[1] == pytest.approx((standing[1] + own[1]) / 2)
    assert behaviour[2] == pytest.approx(own[2])


def test_popularity_stands_against_the_persons_taste() -> None:
    found = evidence()
    values = features(found, KNOWN, PoolScale.of(found))
    popularity = found.popularity
    assert column(values, "popularity") == pytest.approx(popularity)
    for knot in KNOTS:
        above = np.where(popularity > knot, popularity - knot, 0)
        assert column(values, f"popularity above {knot:g}") == pytest.approx(above)
    assert column(values, "taste") == pytest.approx(popularity - 0.4)
    assert column(values, "off taste") == pytest.approx(abs(popularity - 0.4))
    assert column(values, "tail taste") == pytest.approx(0.6 * popularity)


@pytest.mark.parametrize(
    "product", [name for name in FEATURES if " x " in name], ids=lambda name: str(name)
)
def test_products_are_of_the_features_that_they_name(product: str) -> None:
    found = evidence()
    values = features(found, KNOWN, PoolScale.of(found))
    one, other = product.split(" x ")
    assert column(values, product) == pytest.approx(column(values, one) * column(values, other))


def test_of_nobody_nothing_comes_from_a_history() -> None:
    nothing = np.zeros(N)
    found = evidence(behaviour=nothing, recent=nothing, aversion=nothing)
    values = features(found, UNKNOWN, PoolScale.of(found))
    for name in FEATURES:
        assert column(values, name).any() == (name not in OF_HISTORY), name


def test_examples_give_behaviour_without_a_taste() -> None:
    found = evidence(aversion=np.zeros(N))
    values = features(found, UNKNOWN, PoolScale.of(found))
    for name in FEATURES:
        assert column(values, name).any() == (name not in OF_TASTE | {"aversion"}), name


def test_a_signal_that_does_not_differ_says_nothing() -> None:
    found = evidence(text=np.full(N, 0.4) + np.arange(N) * 1e-9)
    assert not column(features(found, KNOWN, PoolScale.of(found)), "text").any()


def test_what_is_from_elsewhere_lies_on_the_scale_of_the_pool() -> None:
    pool, other = evidence(1), evidence(2)
    values = features(other, KNOWN, PoolScale.of(pool))
    expected = (other.text - pool.text.mean()) / pool.text.std()
    assert column(values, "text") == pytest.approx(expected)


def test_beyond_a_bound_a_signal_says_no_more() -> None:
    pool = evidence()
    far = evidence(text=np.full(N, 1e6))
    assert column(features(far, KNOWN, PoolScale.of(pool)), "text").tolist() == [CLIP] * N
