import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.relevance import RelevanceModel, fitted

WIDTH = len(FEATURES)
NONE = RelevanceModel.of(0.0, {})


def test_is_the_logistic_function_of_the_weighed_features() -> None:
    model = RelevanceModel.of(-1.0, {"text": 2.0, "popularity": 0.5})
    features = np.zeros((2, WIDTH))
    features[0, FEATURES.index("text")] = 1.5
    features[1, FEATURES.index("popularity")] = -2.0
    assert model.probability(features) == pytest.approx(1 / (1 + np.exp([-2.0, 2.0])))


def test_a_weight_without_a_feature_is_named() -> None:
    with pytest.raises(KeyError, match="charm"):
        RelevanceModel.of(0.0, {"charm": 1.0})


@given(st.floats(-1e6, 1e6))
def test_nothing_is_certain(value: float) -> None:
    model = RelevanceModel.of(0.0, {"text": 1.0})
    features = np.zeros((1, WIDTH))
    features[0, FEATURES.index("text")] = value
    assert 0 < model.probability(features)[0] < 1


@given(st.integers(0, 2**32 - 1))
def test_the_terms_add_up_to_the_log_odds(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = {name: float(random.normal()) for name in FEATURES if random.random() < 0.5}
    model = RelevanceModel.of(float(random.normal()), weights)
    features = random.normal(size=WIDTH)
    terms = model.terms(features)
    assert list(terms) == ["intercept", *(name for name in FEATURES if name in weights)]
    [probability] = model.probability(features[np.newaxis])
    assert sum(terms.values()) == pytest.approx(np.log(probability / (1 - probability)))


def sample(model: RelevanceModel, n: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, WIDTH)) * np.linspace(0.1, 3, WIDTH) + 0.5
    relevant = random.random(n) < model.probability(features)
    return features, relevant.astype(float)


TRUTH = RelevanceModel.of(-1.0, {"text": 2.0, "behaviour": 0.7, "popularity": -0.4})


def test_much_data_brings_back_what_it_came_from() -> None:
    features, relevant = sample(TRUTH, 40_000)
    model = fitted(features, relevant, NONE, 1.0)
    spread = np.linspace(0.1, 3, WIDTH)
    assert model.weights * spread == pytest.approx(TRUTH.weights * spread, abs=0.1)
    assert model.intercept == pytest.approx(TRUTH.intercept, abs=0.1)


def test_the_fit_is_calibrated_as_a_whole() -> None:
    features, relevant = sample(TRUTH, 500)
    model = fitted(features, relevant, NONE, 5.0)
    assert model.probability(features).mean() == pytest.approx(relevant.mean(), abs=1e-6)


def test_nothing_near_by_fits_better() -> None:
    features, relevant = sample(TRUTH, 300)
    strength = 2.0
    model = fitted(features, relevant, TRUTH, strength)
    deviation = features.std(axis=0)

    def penalised(intercept: float, weights: np.ndarray) -> float:
        probability = RelevanceModel(intercept, weights).probability(features)
        likelihood = np.log(np.where(relevant == 1, probability, 1 - probability)).sum()
        held = ((weights - TRUTH.weights) * deviation) ** 2
        return float(likelihood - strength / 2 * held.sum())

    best = penalised(model.intercept, model.weights)
    random = np.random.default_rng(1)
    for _ in range(200):
        step = random.normal(size=WIDTH + 1) * 0.01
        assert penalised(model.intercept + step[0], model.weights + step[1:]) <= best


def test_little_data_leaves_the_prior() -> None:
    features, relevant = sample(TRUTH, 10)
    model = fitted(features, relevant, TRUTH, 1e6)
    assert model.weights == pytest.approx(TRUTH.weights, abs=1e-3)


def test_a_feature_that_never_differs_keeps_its_prior() -> None:
    features, relevant = sample(TRUTH, 200)
    text = FEATURES.index("text")
    features[:, text] = 0.0
    assert fitted(features, relevant, TRUTH, 1.0).weights[text] == pytest.approx(2.0)


def test_what_hardly_any_example_has_gets_no_huge_weight() -> None:
    features, relevant = sample(NONE, 20_000)
    rare = FEATURES.index("popularity above 2")
    features[:, rare] = 0.0
    features[:5, rare], relevant[:5] = 0.01, 0.0
    model = fitted(features, relevant, NONE, 3.0)
    assert abs(model.weights[rare]) < 5


def test_data_that_separates_is_no_trouble() -> None:
    features = np.zeros((40, WIDTH))
    features[:, 0] = np.linspace(-1, 1, 40)
    relevant = (features[:, 0] > 0).astype(float)
    model = fitted(features, relevant, NONE, 1.0)
    assert np.isfinite(model.weights).all()
    assert (model.probability(features) > 0.5).tolist() == (relevant > 0).tolist()


@pytest.mark.parametrize("relevant", [np.zeros(4), np.ones(4)])
def test_one_kind_alone_cannot_be_fitted(relevant: np.ndarray) -> None:
    with pytest.raises(ValueError, match="relevant"):
        fitted(np.zeros((4, WIDTH)), relevant, NONE, 1.0)
