import time
from collections.abc import Callable

import numpy as np
import pytest
from longtail.server.catalogue.columns import popularity
from longtail.server.catalogue.columns.columns import Columns
from longtail.server.catalogue.columns.popularity import ScaleKeeper
from longtail.server.catalogue.columns.refreshed import Refreshed
from longtail.server.ranking.popularity import Bucket
from longtail.server.store.decay import DecayedSum
from longtail.server.store.records import ItemChange, State


def change(item_id: str, revision: int, prior: float, removed: bool = False) -> ItemChange:
    return ItemChange(item_id, revision, removed, "", prior, State.ACTIVE, None, None, {}, None)


def filled(priors: dict[str, float]) -> Columns:
    columns = Columns()
    columns.append([change(i, r, prior) for r, (i, prior) in enumerate(priors.items(), 1)])
    return columns


class Clock:
    """Seconds, moved on by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Something that changes, and takes a second to compute."""

    def __init__(self) -> None:
        self.version = 0
        self.computed = 0
        self.urgent = self.failing = False
        self.clock = Clock()
        self.left_aside: list[Callable[[], None]] = []
        self.refreshed = Refreshed(
            Source._compute,
            lambda source: source.version,
            lambda source: source.urgent,
            self.clock,
            self.left_aside.append,
        )

    def value(self) -> int:
        return self.refreshed.value(self)

    def catch_up(self) -> None:
        while self.left_aside:
            self.left_aside.pop(0)()

    def _compute(self) -> int:
        if self.failing:
            raise ValueError("broken")
        self.computed += 1
        self.clock.now += 1.0
        return self.version


def test_what_has_not_changed_is_computed_once() -> None:
    source = Source()
    assert [source.value() for _ in range(3)] == [0, 0, 0]
    source.clock.now += 1000
    assert source.value() == 0
    assert source.computed == 1


def test_changes_are_taken_over_at_most_a_twentieth_of_the_time() -> None:
    source = Source()
    source.value()
    source.version = 1
    source.clock.now += 19.9
    assert source.value() == 0
    assert source.left_aside == []
    source.clock.now += 0.2
    # Nobody who asks waits for it, and it is computed once for all of them.
    assert [source.value(), source.value()] == [0, 0]
    source.catch_up()
    assert source.value() == 1
    assert source.computed == 2


def test_a_failure_aside_leaves_the_last_value_and_is_tried_again() -> None:
    source = Source()
    source.value()
    source.version, source.failing = 1, True
    source.clock.now += 1000
    source.value()
    with pytest.raises(ValueError, match="broken"):
        source.catch_up()
    source.failing = False
    assert source.value() == 0
    source.catch_up()
    assert source.value() == 1


def test_what_is_urgent_is_taken_over_at_once() -> None:
    source = Source()
    source.urgent = True
    source.value()
    source.version = 1
    assert source.value() == 1


def test_a_failure_to_compute_reaches_the_caller_and_the_next_one_tries_again() -> None:
    outcomes = iter([ValueError("broken"), None])

    def compute(_: None) -> str:
        if (error := next(outcomes)) is not None:
            raise error
        return "computed"

    refreshed = Refreshed(compute, lambda _: 0, lambda _: True, Clock())
    with pytest.raises(ValueError, match="broken"):
        refreshed.value(None)
    assert refreshed.value(None) == "computed"


def test_a_small_catalogue_is_ranked_after_each_change() -> None:
    columns = filled({"early": 0.5, "quiet": 0.0})
    keeper = ScaleKeeper(columns)
    columns.set_interactions("early", DecayedSum(3, 0))
    rows = np.array([0, 1])
    assert keeper.scale().percentile(columns.mass(rows)).tolist() == [0.5, 0]
    columns.set_interactions("quiet", DecayedSum(7, 0))
    assert keeper.scale().percentile(columns.mass(rows)).tolist() == [0, 0.5]
    columns.append([change("early", 9, 0.0, removed=True)])
    assert sum(share.items for share in keeper.scale().shares().values()) == 1


def test_a_large_catalogue_is_ranked_when_enough_time_has_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(popularity, "RANKED_AT_ONCE", 1)
    columns, clock = filled({"a": 1.0, "b": 2.0}), Clock()
    keeper = ScaleKeeper(columns, clock)
    first = keeper.scale()
    # The clock stood still, so ranking cost nothing and may be done at any time.
    assert keeper.scale() is first
    columns.kill("a", 5)
    deadline = time.monotonic() + 60
    while keeper.scale().shares()[Bucket.HEAD].items != 1:
        assert time.monotonic() < deadline, "it was never ranked anew"


def test_the_most_popular_allowed_rows_of_each_bucket_come_in_their_order() -> None:
    priors = {"a": 5.0, "b": 60.0, "c": 40.0, "d": 5.0, "e": 0.0, "f": 30.0}
    columns = filled(priors)
    columns.append([change("g", 7, 1.0), change("f", 8, 35.0)])
    keeper = ScaleKeeper(columns)
    scale = keeper.scale()

    def names(bucket: Bucket, limit: int, *refused: str) -> list[str]:
        allowed = columns.visible(8, columns.count)
        allowed[columns.newest(refused)] = False
        rows = keeper.most_popular(allowed, scale, bucket, limit)
        return [columns.ids[row] for row in rows]

    assert names(Bucket.HEAD, 9) == ["b"]
    assert names(Bucket.MID, 9) == ["c", "f"]
    assert names(Bucket.TAIL, 9) == ["a", "d", "g", "e"]
    assert names(Bucket.TAIL, 2) == ["a", "d"]
    assert names(Bucket.TAIL, 2, "a") == ["d", "g"]
    assert names(Bucket.HEAD, 2, "b") == []
    assert names(Bucket.MID, 0) == []


def test_rows_that_the_reader_does_not_know_yet_are_not_given_out() -> None:
    columns = filled({"a": 1.0, "b": 0.5, "c": 1.0})
    keeper = ScaleKeeper(columns)
    allowed = np.ones(2, np.bool_)
    found = [keeper.most_popular(allowed, keeper.scale(), bucket, 9) for bucket in Bucket]
    assert sorted(np.concatenate(found).tolist()) == [0, 1]


@pytest.mark.parametrize("share", [0.5, 0.0005])
def test_many_rows_are_looked_through_for_the_few_allowed_ones(share: float) -> None:
    random = np.random.default_rng(1)
    mass = np.floor(random.pareto(1.0, 30_000) * 5)
    columns = filled({str(row): float(prior) for row, prior in enumerate(mass)})
    keeper = ScaleKeeper(columns)
    scale = keeper.scale()
    allowed = random.random(len(mass)) < share
    for bucket in Bucket:
        rows = np.flatnonzero(allowed & (scale.bucket(mass) == bucket))
        expected = rows[np.argsort(-mass[rows], kind="stable")][:300]
        found = keeper.most_popular(allowed, scale, bucket, 300)
        assert found.tolist() == expected.tolist()
        assert len(found) or bucket is not Bucket.TAIL
