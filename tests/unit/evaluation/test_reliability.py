from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from evaluation.experiment import Period
from evaluation.metrics import Truth
from evaluation.reliability import DECILES, reliability, unreliable
from evaluation.report.results import ReliabilityRow
from evaluation.task import Floats
from evaluation.world import World
from tests.unit.evaluation import invented_data

PERIOD = invented_data.usual_experiment().test
PROBABILITY = np.random.default_rng(0).uniform(0, 0.2, PERIOD.requests.items.shape)


def test_deciles_hold_every_candidate_once() -> None:
    rows = reliability(PERIOD, PROBABILITY)
    assert sum(row.count for row in rows) == PERIOD.requests.items.size
    total = sum(row.count * row.observed for row in rows)
    assert total == pytest.approx(PERIOD.requests.relevant.sum())
    predicted = sum(row.count * row.predicted for row in rows)
    assert predicted == pytest.approx(PROBABILITY.sum())


def test_deciles_go_from_the_least_popular_on_and_equals_stay_together() -> None:
    rows = reliability(PERIOD, PERIOD.world.popularity[PERIOD.requests.items])
    means = [row.predicted for row in rows]
    assert means == sorted(set(means))
    deciles = [row.decile for row in rows]
    assert deciles == sorted(set(deciles))
    assert set(deciles) <= set(range(1, DECILES + 1))


def test_what_is_stated_rightly_is_observed() -> None:
    rows = reliability(PERIOD, PERIOD.requests.relevant.astype(np.float64))
    assert all(row.predicted == row.observed for row in rows)
    assert len({row.observed for row in rows}) > 1


def test_ten_popularities_make_ten_equal_deciles() -> None:
    random = np.random.default_rng(1)
    items = np.stack([random.permutation(10) for _ in range(7)])
    truth = Truth(np.arange(8), items[:, 0])
    requests = replace(PERIOD.requests, items=items, truth=truth)
    period = Period(known(np.arange(10.0)), requests)
    rows = reliability(period, np.zeros(items.shape))
    assert [row.count for row in rows] == [7] * 10
    assert [row.decile for row in rows] == list(range(1, 11))
    assert [row.observed for row in rows] == [(items[:, 0] == item).mean() for item in range(10)]


def test_where_all_are_equally_popular_there_is_one_row() -> None:
    period = replace(PERIOD, world=known(np.ones(invented_data.ITEMS)))
    [row] = reliability(period, PROBABILITY)
    assert (row.decile, row.count) == (1, PROBABILITY.size)


@pytest.mark.parametrize(
    ("count", "predicted", "observed", "passes"),
    [
        (1000, 0.1, 0.1, True),
        (1000, 0.1, 0.14, True),
        (1000, 0.1, 0.25, False),
        (1000, 0.25, 0.1, False),
        # Ten where four were stated may be chance.
        (100, 0.04, 0.1, True),
        (100, 0.0, 0.0, True),
    ],
)
def test_a_decile_passes_that_is_as_stated_but_for_chance(
    count: int, predicted: float, observed: float, passes: bool
) -> None:
    good = ReliabilityRow(decile=2, count=500, predicted=0.2, observed=0.2)
    told = unreliable([ReliabilityRow(1, count, predicted, observed), good])
    assert bool(told) != passes
    assert all(line.startswith("decile 1 of popularity") for line in told)


def known(popularity: Floats) -> World:
    """Return as much of a world as is asked about."""
    return cast(World, SimpleNamespace(popularity=popularity))
