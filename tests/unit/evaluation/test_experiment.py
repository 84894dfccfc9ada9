from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.server.ranking.profile import Context, default_profile
from longtail.server.ranking.retrieval import Sources
from longtail.server.store.records import Interaction, ItemContent, NewItem

from evaluation import experiment as experiments
from evaluation.dataset import DatasetError, negatives, positives
from evaluation.experiment import LEAST_RAW, Experiment, Progress, experiment, latest_period
from evaluation.sources import fitted_sources
from evaluation.splits import Part, SplitMethod
from tests.unit.evaluation import invented_data
from tests.unit.evaluation.invented_data import LIKED, OPTIONS, dataset, part_of_rows, stage
from tests.unit.server import store_records


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the usual data, for which no encoder is needed."""
    made = invented_data.vectors(dataset())
    monkeypatch.setattr(experiments, "item_vectors", lambda *_: made)
    monkeypatch.setattr(experiments, "encoder_id", lambda _: "invented")
    return invented_data.write(dataset(), tmp_path / "data")


def assert_equal_requests(one: Experiment, other: Experiment) -> None:
    for period in ("valid", "test"):
        mine, theirs = (getattr(each, period).requests for each in (one, other))
        for name in ("users", "items", "features", "raw", "taste", "likes"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
        np.testing.assert_array_equal(mine.truth.items, theirs.truth.items)


def test_a_folder_becomes_two_periods_each_of_which_knows_the_parts_before_it(
    folder: Path,
) -> None:
    found = experiment(folder, OPTIONS, stage)
    assert_equal_requests(found, invented_data.usual_experiment())
    counts = np.bincount(part_of_rows(dataset()))
    assert found.valid.world.popularity.sum() == counts[Part.TRAIN]
    assert found.test.world.popularity.sum() == counts[Part.TRAIN] + counts[Part.VALID]
    assert found.encoder == "invented"


@pytest.mark.parametrize(
    "method", [method for method in SplitMethod if method is not SplitMethod.GIVEN]
)
def test_every_split_asks_about_what_is_new_in_two_periods(method: SplitMethod) -> None:
    found = invented_data.experiment(dataset(), replace(OPTIONS, split=method))
    for period in (found.valid, found.test):
        assert len(period.requests.users) == OPTIONS.people
        assert period.requests.relevant.any()
        assert period.requests.truth.counts.min() >= 1
        if method is SplitMethod.LEAVE_ONE_OUT:
            assert period.requests.truth.counts.max() == 1
    assert found.valid.world.popularity.sum() < found.test.world.popularity.sum()
    assert (found.valid.world.popularity <= found.test.world.popularity).all()


def test_a_fit_is_on_the_latest_period(folder: Path) -> None:
    data, test = dataset(), invented_data.usual_experiment().test
    period, sources, item_ids = latest_period(folder, OPTIONS, stage)
    assert item_ids == data.item_ids
    np.testing.assert_array_equal(period.world.popularity, test.world.popularity)
    np.testing.assert_array_equal(period.requests.truth.items, test.requests.truth.items)
    asked, usual = (
        (part_of_rows(data) == Part.TEST) & (data.ratings >= LIKED),
        Sources(0.7, 0.1, 0.5),
    )
    expected = fitted_sources(test.world, data, asked, OPTIONS.pool, OPTIONS.seed, usual)
    assert sources == expected


def test_in_a_store_what_is_below_zero_is_disliked_and_zero_says_nothing(
    folder: Path, tmp_path: Path
) -> None:
    data = dataset()
    values = np.where(data.ratings >= 4, 1.0, np.where(data.ratings <= 2, -1.0, 0.0))
    columns = data.users, data.items, values, data.times
    rows = enumerate(zip(*(each.tolist() for each in columns), strict=True))
    events = [
        Interaction(
            str(at), data.user_ids[user], data.item_ids[item], "rating", value, int(time * 1e6), ""
        )
        for at, (user, item, value, time) in rows
    ]
    content = zip(data.item_ids, data.titles, data.texts, strict=True)
    path = tmp_path / "longtail.db"
    with store_records.opened(path) as store:
        store.upsert(
            *(NewItem(ItemContent(*each, {}, 0.0), store_records.VECTOR, False) for each in content)
        )
        store.interact(*events)

    def opinions(source: Path) -> Counter[tuple[frozenset[str], ...]]:
        period, _, ids = latest_period(source, OPTIONS, stage)
        pasts = [period.world.past(user) for user in range(invented_data.PEOPLE)]
        return Counter(
            tuple(
                frozenset(ids[item] for item in items)
                for items in (past.likes, past.dislikes, past.seen)
            )
            for past in pasts
        )

    assert opinions(path) == opinions(folder)


def test_every_stage_is_named_once(folder: Path) -> None:
    names = []

    @contextmanager
    def noted(name: str) -> Iterator[Progress]:
        names.append(name)
        yield invented_data.untold

    experiment(folder, OPTIONS, noted)
    assert names == [
        "reading",
        "text vectors",
        "what was known before the valid period",
        "what was known before the test period",
        "sources of candidates",
        "requests of the valid period",
        "requests of the test period",
    ]


def test_too_high_a_least_rating_leaves_nothing_to_evaluate(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no rating of 9"):
        experiment(folder, replace(OPTIONS, min_rating=9.0), stage)


def test_the_badly_rated_are_disliked_and_those_between_are_neither() -> None:
    data = dataset()
    likes, dislikes = positives(data, 4.0), negatives(data, 4.0)
    np.testing.assert_array_equal(likes, data.ratings >= 4)
    np.testing.assert_array_equal(dislikes, data.ratings <= 2)
    assert not negatives(data, None).any()


def test_raw_scores_keep_the_order_within_a_pool_and_none_is_zero() -> None:
    period = invented_data.usual_experiment().test
    scores = period.raw_scores()
    assert scores.min() == pytest.approx(LEAST_RAW)
    np.testing.assert_allclose(scores.max(axis=1), 1)
    np.testing.assert_array_equal(scores.argsort(axis=1), period.requests.raw.argsort(axis=1))


def test_raw_scores_of_a_pool_that_do_not_differ_are_alike() -> None:
    period = invented_data.usual_experiment().test
    flat = replace(period, requests=replace(period.requests, raw=np.zeros((2, 3))))
    np.testing.assert_array_equal(flat.raw_scores(), np.full((2, 3), LEAST_RAW))


def test_probabilities_are_those_of_the_model_candidate_by_candidate() -> None:
    period = invented_data.usual_experiment().test
    model = default_profile().models[Context.HISTORY]
    probabilities = period.probabilities(model)
    one = model.probability(period.requests.features[3, 5:6].astype(np.float64))
    assert probabilities[3, 5] == pytest.approx(float(one[0]))
    assert probabilities.shape == period.requests.items.shape


def test_lists_longer_than_the_pools_are_refused() -> None:
    period = invented_data.usual_experiment().test
    size = period.requests.items.shape[1]
    assert period.task(period.raw_scores(), size, 0).k == size
    with pytest.raises(DatasetError, match=f"lists of {size + 1} .* {size} items"):
        period.task(period.raw_scores(), size + 1, 0)
