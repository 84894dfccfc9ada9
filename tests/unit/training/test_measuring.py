"""What a head is worth is measured on what it was not told."""

import numpy as np
import pytest
from longtail.server.ranking.head.fitting import Material, NoHead
from longtail.server.ranking.head.head import Head
from numpy.typing import NDArray

from evaluation.dataset import Dataset, Dropped
from evaluation.opinions import Opinions
from tests.unit.server.ranking.head import shelves
from training import measuring as module
from training.measuring import effects


def opinions() -> Opinions:
    material = shelves.material()
    likes, count = material.likes, len(material.names)
    rows = len(likes.items)
    data = Dataset(
        item_ids=list(material.names),
        titles=[""] * count,
        texts=[""] * count,
        attributes=[{} for _ in range(count)],
        user_ids=[f"u{person}" for person in range(shelves.PEOPLE)],
        users=likes.people.astype(np.int64),
        items=likes.items.astype(np.int64),
        ratings=np.ones(rows),
        times=np.arange(rows, dtype=np.float64),
        split=None,
        rated=False,
        dropped=Dropped({}, {}),
    )
    return Opinions(data, np.ones(rows, np.bool_), np.zeros(rows, np.bool_))


class Shelved(Head):
    """Knows the shelf of each vector."""

    def adapted(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        own = shelves.material().vectors
        shelf = shelves.shelf()[(vectors @ own.T).argmax(axis=1)]
        found: NDArray[np.float32] = np.eye(shelves.DIMENSION, dtype=np.float32)[shelf]
        return found


def measured(
    monkeypatch: pytest.MonkeyPatch, head: Head | None
) -> tuple[dict[str, float], list[Material]]:
    given = list[Material]()

    def fit(material: Material, pause: object, *, seed: int) -> Head:
        given.append(material)
        if head is None:
            raise NoHead("nothing is gained")
        return head

    monkeypatch.setattr(module, "fit_head", fit)
    monkeypatch.setattr(module, "REPLICATES", 50)
    monkeypatch.setattr(module, "POOL", 40)
    monkeypatch.setattr(module, "STRENGTHS", (0.0, 0.2))
    monkeypatch.setattr(module, "USUAL", 1)
    lines = list[str]()
    vectors = shelves.material().vectors
    *_, found = effects(opinions(), "invented", vectors, 15, [0, 1], lambda _: None, lines.append)
    assert len(lines) == 2
    return {each.name: each.difference.value for each in found}, given


def test_cold_items_gain_by_a_head_that_knows_where_they_belong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = np.zeros((1, 1), np.float32)
    found, given = measured(monkeypatch, Shelved(nothing, nothing, facts={"gain": 1.5}))
    assert found["cold ndcg@20"] > 0
    assert found["cold recall@20"] > 0
    assert "hypervolume ndcg x aplt" in found
    # Neither what is cold nor what was liked last is told, and what is cold is another time other.
    met = [frozenset(material.likes.items.tolist()) for material in given]
    assert met[0] != met[1]
    whole = len(shelves.material().likes.items)
    for material in given:
        assert len(material.likes.items) < 0.75 * whole


def test_without_a_head_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = measured(monkeypatch, None)
    assert set(found.values()) == {0.0}
