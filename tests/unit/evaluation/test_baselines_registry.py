"""What holds for every published method."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.baselines.plain import NONE
from evaluation.baselines.registry import BASELINES
from evaluation.task import Catalogue, Method, Task

DIALLED = [method for method in BASELINES if len(method.dials) > 1]


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """Draw small tasks with equal scores, empty groups and one-sided tastes among them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    users, pool = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    items = pool + draw(st.integers(0, 5))
    levels = draw(st.sampled_from([1, 3, 1000]))
    taste = random.dirichlet([1, 1, 1], users) if draw(st.booleans()) else np.eye(3)[[0] * users]
    return Task(
        catalogue=Catalogue(
            popularity=random.integers(0, draw(st.sampled_from([1, 5, 100])), items).astype(float),
            bucket=random.choice(
                draw(st.sampled_from([[0], [2], [0, 2], [0, 1, 2]])), items
            ).astype(np.int8),
            vectors=np.zeros((items, 1), np.float32),
        ),
        k=draw(st.integers(1, pool)),
        items=np.stack([random.permutation(items)[:pool] for _ in range(users)]),
        scores=random.integers(1, levels + 1, (users, pool)) / levels,
        taste=taste,
        profile_length=random.integers(1, 50, users),
        seed=1,
    )


@pytest.mark.parametrize("method", BASELINES, ids=lambda method: method.name)
@settings(max_examples=15)
@given(task=tasks(), data=st.data())
def test_lists_hold_k_distinct_candidates(method: Method, task: Task, data: st.DataObject) -> None:
    dial = data.draw(st.sampled_from(method.dials))
    lists = method.rerank(task, dial)
    assert lists.shape == (len(task.items), task.k)
    assert lists.min() >= 0
    assert lists.max() < task.items.shape[1]
    assert all(len(set(row)) == task.k for row in lists.tolist())


@pytest.mark.parametrize("method", DIALLED, ids=lambda method: method.name)
@settings(max_examples=10)
@given(task=tasks())
def test_dial_at_zero_is_the_order_of_the_scores(method: Method, task: Task) -> None:
    shown = np.take_along_axis(task.scores, method.rerank(task, 0.0), axis=1)
    plain = np.take_along_axis(task.scores, NONE.rerank(task, 0.0), axis=1)
    assert (shown == plain).all()


@pytest.mark.parametrize("method", DIALLED, ids=lambda method: method.name)
def test_dials_rise_from_zero_in_many_steps(method: Method) -> None:
    assert method.dials[0] == 0
    assert len(method.dials) >= 24
    assert (np.diff(method.dials) > 0).all()
    assert json.loads(json.dumps(method.dials)) == list(method.dials)


def test_names_are_distinct() -> None:
    names = [method.name for method in BASELINES]
    assert len(set(names)) == len(names)


def power_law_task(unit: float) -> Task:
    """Return pools with popularity by a power law, and scores that lean to the popular."""
    random = np.random.default_rng(8)
    users, pool, items = 200, 80, 900
    popularity = np.floor(900 / np.arange(1, items + 1)) + 1
    bucket = np.digitize(np.arange(items), [10, 250]).astype(np.int8)
    positions = np.stack([random.permutation(items)[:pool] for _ in range(users)])
    lean = 0.5 * np.log(popularity[positions]) + random.normal(size=positions.shape)
    return Task(
        catalogue=Catalogue(popularity, bucket, np.zeros((items, 1), np.float32)),
        k=10,
        items=positions,
        scores=unit / (1 + np.exp(2 - lean)),
        taste=random.dirichlet([3, 4, 2], users),
        profile_length=np.full(users, 20),
        seed=8,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", DIALLED, ids=lambda method: method.name)
@pytest.mark.parametrize("unit", [1.0, 0.02], ids=["raw", "probability"])
def test_dials_cover_the_curve_densely_in_either_unit(method: Method, unit: float) -> None:
    task = power_law_task(unit)
    discount = 1 / np.log2(np.arange(2, task.k + 2))
    kept = np.array(
        [
            (np.take_along_axis(task.scores, method.rerank(task, dial), 1) @ discount).sum()
            for dial in method.dials
        ]
    )
    kept /= kept[0]
    seen = np.unique(kept[kept >= 0.7].round(4))
    assert len(seen) >= 12
    # No step within the first 30 % of loss is wider than 8 % of the relevance.
    assert np.diff(seen).max() < 0.08
