import numpy as np
import pytest
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.profile import LEAST_REACH, Context, default_profile
from longtail.server.ranking.relevance import RelevanceModel

from evaluation.dataset import DatasetError
from evaluation.fitting import learned, reach
from evaluation.metrics import Truth
from evaluation.requests import Requests

PRIOR = default_profile().models[Context.HISTORY]
# Popularity is learned whatever becomes of the others.
OTHERS = [at for at, name in enumerate(FEATURES) if not name.startswith("popularity")]
TRUE = RelevanceModel.of(
    -1.5, {"text": 0.8, "behaviour": 1.2, "popularity": -0.5, "behaviour x text": 0.3}
)


def simulated(people: int, pool: int, seed: int = 0, model: RelevanceModel = TRUE) -> Requests:
    """Draw candidates, each an item of its own, and who likes which as the model says."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(people, pool, len(FEATURES))).astype(np.float32)
    probability = model.probability(values.reshape(-1, len(FEATURES)).astype(np.float64))
    liked = random.random((people, pool)) < probability.reshape(people, pool)
    items = np.arange(people * pool).reshape(people, pool)
    offsets = np.concatenate(([0], np.cumsum(liked.sum(axis=1))))
    return Requests(
        users=np.arange(people),
        items=items,
        features=values,
        raw=np.zeros((people, pool)),
        taste=np.full((people, 3), 1 / 3),
        likes=np.full(people, 5),
        truth=Truth(offsets, items[liked]),
    )


def test_the_weights_behind_the_likes_are_found() -> None:
    model = learned(simulated(400, 50), PRIOR).model
    np.testing.assert_allclose(model.weights, TRUE.weights, atol=0.1)
    assert model.intercept == pytest.approx(TRUE.intercept, abs=0.1)


def test_little_data_leaves_the_weights_where_they_were() -> None:
    model = learned(simulated(4, 12), PRIOR).model
    np.testing.assert_allclose(model.weights[OTHERS], PRIOR.weights[OTHERS], atol=0.45)
    assert np.abs(TRUE.weights - PRIOR.weights).max() >= 0.9
    more = learned(simulated(100, 12), PRIOR).model
    assert np.abs(more.weights - TRUE.weights).sum() < np.abs(model.weights - TRUE.weights).sum()


def test_what_does_harm_to_people_it_was_not_fitted_on_is_not_learned() -> None:
    requests = simulated(200, 20)
    # To every other person the opposite applies.
    requests.features[1::2] *= -1
    model = learned(requests, PRIOR).model
    np.testing.assert_allclose(model.weights[OTHERS], PRIOR.weights[OTHERS], atol=0.001)
    rate = requests.relevant.mean()
    values = requests.features.reshape(-1, len(FEATURES)).astype(np.float64)
    assert model.probability(values).mean() == pytest.approx(rate, abs=1e-6)


def test_the_mean_of_what_is_stated_is_the_share_that_was_liked() -> None:
    requests = simulated(30, 20)
    model = learned(requests, PRIOR).model
    values = requests.features.reshape(-1, len(FEATURES)).astype(np.float64)
    assert model.probability(values).mean() == pytest.approx(requests.relevant.mean(), abs=1e-6)


def test_features_that_are_left_out_have_no_weight_and_no_influence() -> None:
    without = frozenset(("behaviour", "recent behaviour"))
    requests = simulated(60, 30)
    model = learned(requests, PRIOR, without).model
    out = [FEATURES.index(name) for name in without]
    assert not model.weights[out].any()
    requests.features[:, :, out] = 7
    again = learned(requests, PRIOR, without).model
    np.testing.assert_array_equal(again.weights, model.weights)
    assert model.weights[FEATURES.index("text")] == pytest.approx(0.8, abs=0.2)


def test_the_requests_and_the_prior_are_left_as_they_were() -> None:
    requests, weights = simulated(10, 20), PRIOR.weights.copy()
    before = requests.features.copy()
    learned(requests, PRIOR, frozenset(("text",)))
    np.testing.assert_array_equal(requests.features, before)
    np.testing.assert_array_equal(PRIOR.weights, weights)


@pytest.mark.parametrize("intercept", [-60.0, 60.0])
def test_without_an_example_of_each_kind_nothing_is_fitted(intercept: float) -> None:
    requests = simulated(5, 10, model=RelevanceModel.of(intercept, {}))
    with pytest.raises(DatasetError, match="nothing to fit on"):
        learned(requests, PRIOR)


def test_what_a_person_liked_has_no_part_in_their_own_probabilities() -> None:
    requests = simulated(40, 20)
    before = learned(requests, PRIOR).held_out
    own = requests.items[6]
    without_own = ~np.isin(requests.truth.items, own)
    kept = np.bincount(requests.truth.requests[without_own], minlength=40)
    offsets = np.concatenate(([0], np.cumsum(kept)))
    other = _with_truth(requests, Truth(offsets, requests.truth.items[without_own]))
    assert other.relevant.sum() < requests.relevant.sum()
    after = learned(other, PRIOR).held_out
    np.testing.assert_array_equal(after[6], before[6])
    assert not np.array_equal(after[7], before[7])


def test_cross_fitted_probabilities_are_those_of_half_the_people() -> None:
    requests = simulated(300, 20)
    probabilities = learned(requests, PRIOR).held_out
    values = requests.features.reshape(-1, len(FEATURES)).astype(np.float64)
    whole = learned(requests, PRIOR).model.probability(values).reshape(300, 20)
    np.testing.assert_allclose(probabilities, whole, atol=0.15)
    assert not np.allclose(probabilities, whole, atol=0.001)


def test_cross_fitted_probabilities_go_without_what_is_left_out() -> None:
    requests = simulated(40, 20)
    without = frozenset(("behaviour", "behaviour x text"))
    before = learned(requests, PRIOR, without).held_out
    requests.features[:, :, [FEATURES.index(name) for name in without]] = 5
    np.testing.assert_array_equal(learned(requests, PRIOR, without).held_out, before)


def test_reach_is_the_share_of_the_likes_that_the_pools_hold() -> None:
    requests = simulated(2, 4)
    truth = Truth(np.array([0, 3, 5]), np.array([0, 2, 900, 5, 901]))
    assert reach(_with_truth(requests, truth)) == 3 / 5
    missed = Truth(np.array([0, 1, 2]), np.array([900, 901]))
    assert reach(_with_truth(requests, missed)) == LEAST_REACH


def _with_truth(requests: Requests, truth: Truth) -> Requests:
    return Requests(**{**vars(requests), "truth": truth})
