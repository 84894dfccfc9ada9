"""Learning: slopes are those of the loss, vectors that are liked together meet, none goes far."""

from dataclasses import replace

import numpy as np
import pytest
from longtail.server.ranking.head.head import Head
from longtail.server.ranking.head.learning import USUAL, AdamW, Learning, Recipe, gradients
from numpy.typing import NDArray

from tests.unit.server.ranking.head import shelves

HALF, DIMENSION, HIDDEN = 6, 5, 4


def batch() -> tuple[Head, NDArray[np.float64], NDArray[np.bool_]]:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(2 * HALF, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    inner, outer = random.normal(size=(2, DIMENSION, HIDDEN))
    alike = np.zeros((HALF, HALF), np.bool_)
    alike[1, 3] = alike[3, 1] = True
    # In float64, so that differences can be told.
    return Head(inner, outer.T.copy()), vectors, alike


@pytest.mark.parametrize("restraint", [0.0, 3.0])
def test_slopes_are_those_of_the_loss(restraint: float) -> None:
    head, vectors, alike = batch()
    recipe = replace(USUAL, restraint=restraint, temperature=0.3)
    _, *slopes = gradients(head, vectors, alike, recipe)  # type: ignore[arg-type]
    step = 1e-6
    for parameter, slope in zip((head.inner, head.outer), slopes, strict=True):
        for place in np.ndindex(parameter.shape):
            losses = []
            for moved in (-step, step):
                parameter[place] += moved
                losses.append(gradients(head, vectors, alike, recipe)[0])  # type: ignore[arg-type]
                parameter[place] -= moved
            assert slope[place] == pytest.approx((losses[1] - losses[0]) / (2 * step), abs=1e-6)


def test_what_is_as_good_is_no_counterexample() -> None:
    head, vectors, alike = batch()
    with_it = gradients(head, vectors, np.zeros_like(alike), USUAL)[0]  # type: ignore[arg-type]
    without = gradients(head, vectors, alike, USUAL)[0]  # type: ignore[arg-type]
    assert without < with_it


def test_steps_are_those_of_the_published_optimiser() -> None:
    random = np.random.default_rng(0)
    parameter = random.normal(size=(3, 2)).astype(np.float32)
    expected = parameter.astype(np.float64)
    first = second = np.zeros((3, 2))
    optimiser = AdamW((parameter,), rate=0.01)
    for step in range(1, 6):
        slope = random.normal(size=(3, 2)).astype(np.float32)
        optimiser.step((slope,))
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        expected = expected * (1 - 0.01 * 0.01)
        direction = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        expected = expected - 0.01 * direction
    np.testing.assert_allclose(parameter, expected, atol=1e-5)


def learned(recipe: Recipe, steps: int = 60) -> Head:
    """Return what is learned of pairs on one shelf."""
    vectors = shelves.material().vectors
    learning, random = Learning(vectors, recipe, 0), np.random.default_rng(1)
    shelf = shelves.shelf()
    places = [np.flatnonzero(shelf == each) for each in range(shelf.max() + 1)]
    for _ in range(steps):
        pairs = [random.choice(places[each % len(places)], 2) for each in range(64)]
        first, second = np.array(pairs, np.int32).T
        learning.learn(first, second)
    return learning.head()


def test_what_is_liked_together_meets_as_far_as_the_restraint_lets_it() -> None:
    vectors, shelf = shelves.material().vectors, shelves.shelf()
    near, kept = [], []
    for restraint in (0.0, 3.0, 100.0):
        moved = learned(replace(USUAL, hidden=32, rate=3e-3, restraint=restraint)).adapted(vectors)
        cosines = moved @ moved.T
        same = shelf[:, None] == shelf
        near.append(cosines[same].mean() - cosines[~same].mean())
        kept.append(np.einsum("nd,nd->n", moved, vectors).mean())
    cosines = vectors @ vectors.T
    texts = cosines[same].mean() - cosines[~same].mean()
    assert near[0] > near[1] > near[2] > texts
    assert kept[0] < kept[1] < kept[2]
    assert kept[2] > 0.99
