from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context, default_profile

from evaluation import methods
from evaluation.experiment import Experiment
from evaluation.methods import (
    ABLATED,
    OF_BEHAVIOUR,
    OF_TEXT,
    OURS,
    Scores,
    ablations,
    calibrated,
    knobs,
    ours,
    raw,
    uncalibrated,
)
from evaluation.splits import Part
from evaluation.task import Family, Floats, Ints, Method, Task
from tests.unit.evaluation import invented_data
from tests.unit.evaluation.outside_tasks import assert_lists_of_candidates, plain

K = 5


@pytest.fixture(scope="module", autouse=True)
def _quick_dials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "DIAL_REQUESTS", 8)
        yield


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return invented_data.usual_experiment()


@pytest.fixture(scope="module")
def scores(experiment: Experiment) -> Scores:
    return calibrated(experiment)


@pytest.fixture(scope="module")
def parts(experiment: Experiment, scores: Scores) -> dict[str, Method]:
    left = {name: score(experiment) for name, score in ABLATED.items()}
    return {method.name: method for method in ablations(scores, left)}


@pytest.fixture(scope="module")
def task(experiment: Experiment, scores: Scores) -> Task:
    return experiment.test.task(scores.test, K, 0)


def weights(scores: Scores) -> Floats:
    return scores.profile.models[Context.HISTORY].weights


@pytest.mark.parametrize("without", [OF_TEXT, OF_BEHAVIOUR], ids=["text", "behaviour"])
def test_what_an_ablation_goes_without_has_no_weight(
    experiment: Experiment, scores: Scores, without: frozenset[str]
) -> None:
    assert without <= set(FEATURES)
    out = np.isin(FEATURES, list(without))
    left = calibrated(experiment, without)
    assert not weights(left)[out].any()
    assert (weights(left)[~out] != 0).any()
    assert (weights(scores)[out] != 0).all()
    assert not np.allclose(left.test, scores.test)


def test_without_calibration_the_default_weights_stand(
    experiment: Experiment, scores: Scores
) -> None:
    default = default_profile().models[Context.HISTORY]
    part = uncalibrated(experiment)
    np.testing.assert_array_equal(weights(part), default.weights)
    np.testing.assert_array_equal(part.test, experiment.test.probabilities(default))
    assert not np.allclose(part.test, scores.test)


def test_all_parts_are_taken_away_one_by_one(parts: dict[str, Method]) -> None:
    assert sorted(parts) == [
        "without behaviour",
        "without calibration",
        "without re-sort",
        "without text",
    ]
    assert {method.family for method in parts.values()} == {Family.ABLATION}


@pytest.mark.parametrize("name", ["without calibration", "without text", "without behaviour"])
def test_an_ablation_of_the_score_goes_by_its_own(
    parts: dict[str, Method], task: Task, name: str
) -> None:
    lists = parts[name].rerank(task, 0.0)
    assert_lists_of_candidates(task, lists)
    assert not np.array_equal(lists, plain(task))
    others = replace(task, scores=task.scores[:, ::-1].copy())
    np.testing.assert_array_equal(parts[name].rerank(others, 0.0), lists)


def test_the_whole_method_goes_by_the_scores_of_the_task(scores: Scores, task: Task) -> None:
    method = ours(scores)
    assert (method.name, method.family) == (OURS, Family.LONGTAIL)
    np.testing.assert_array_equal(method.rerank(task, 0.0), plain(task))
    others = replace(task, scores=task.scores[:, ::-1].copy())
    np.testing.assert_array_equal(method.rerank(others, 0.0), plain(others))


def test_without_re_sort_the_same_items_come_in_the_order_of_their_worth(
    scores: Scores, parts: dict[str, Method], task: Task
) -> None:
    strength = 0.5
    whole, lists = (
        method.rerank(task, strength) for method in (ours(scores), parts["without re-sort"])
    )
    np.testing.assert_array_equal(np.sort(lists, axis=1), np.sort(whole, axis=1))
    assert not np.array_equal(lists, whole)
    bucket = task.catalogue.bucket[np.take_along_axis(task.items, lists, axis=1)]
    relevance = np.take_along_axis(task.scores, lists, axis=1)
    worth = relevance + scores.dial.prices(strength).tail * (bucket == Bucket.TAIL)
    assert (np.diff(worth, axis=1) <= 0).all()


def test_a_knob_turns_its_own_price_alone(scores: Scores, task: Task) -> None:
    turned = {method.name: method for method in knobs(scores)}
    assert list(turned) == ["tail alone", "coverage alone", "taste alone"]
    for method in turned.values():
        np.testing.assert_array_equal(method.rerank(task, 0.0), plain(task))
        assert not np.array_equal(method.rerank(task, 0.9), plain(task))

    def one_by_one(method: Method) -> list[Ints]:
        return [method.rerank(task.rows(np.array([at])), 0.9)[0] for at in range(len(task.items))]

    # Lists that nothing but coverage has a price in depend on what was shown before, no others do.
    for name in ("tail alone", "taste alone"):
        np.testing.assert_array_equal(turned[name].rerank(task, 0.9), one_by_one(turned[name]))
    of_coverage = turned["coverage alone"]
    assert not np.array_equal(of_coverage.rerank(task, 0.9), one_by_one(of_coverage))


def test_methods_have_dials_enough_from_the_mildest_to_the_strongest(
    scores: Scores, parts: dict[str, Method]
) -> None:
    for method in (ours(scores), *knobs(scores), *parts.values()):
        assert len(method.dials) >= 20
        assert list(method.dials) == sorted(set(method.dials))
        assert method.dials[0] == 0


@pytest.mark.parametrize("score", [calibrated, raw], ids=["calibrated", "raw"])
def test_nothing_is_fitted_to_what_is_reported_on(score: Callable[[Experiment], Scores]) -> None:
    data = invented_data.dataset()
    tested = np.flatnonzero(invented_data.part_of_rows(data) == Part.TEST)
    other_data = invented_data.with_other_rows(data, tested)
    fits = [score(invented_data.experiment(each)) for each in (data, other_data)]
    one, two = fits
    np.testing.assert_array_equal(weights(one), weights(two))
    assert one.dial == two.dial
    assert one.reach == two.reach
    np.testing.assert_array_equal(one.exposure, two.exposure)
    assert one.profile.version == two.profile.version


def test_the_profile_holds_what_the_lists_were_made_with(scores: Scores) -> None:
    assert scores.profile.dials[Context.HISTORY] is scores.dial
    assert scores.profile.reach == scores.reach
    assert scores.profile.models[Context.QUERY] is not scores.profile.models[Context.HISTORY]


def test_raw_scores_are_those_of_behaviour(experiment: Experiment) -> None:
    np.testing.assert_array_equal(raw(experiment).test, experiment.test.raw_scores())
