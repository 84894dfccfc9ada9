"""Popularity from the store to what ranks an item, and to what is told of it."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.runtime.errors import InvalidArgument, NotFound
from longtail.runtime.settings import load
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.pools import Pools
from longtail.server.ranking.popularity import Bucket
from longtail.server.rpc.insight import InsightService
from longtail.server.settings import Settings
from longtail.server.store.records import Interaction
from longtail.server.upkeep.half_life import keep_half_life
from longtail.v1 import insight_service_pb2 as pb
from longtail.v1 import recommendation_service_pb2 as rec

from tests.unit.server.catalogues import Written, contents, indexer_of, interaction, item, opened

DAY = 24 * 3600 * 10**6
NEWEST = 1000 * DAY
DECAY = {"LONGTAIL_POPULARITY_HALF_LIFE_DAYS": "10"}
WEIGHTS = {"LONGTAIL_POPULARITY_WEIGHTS": "view=0.5,buy=4,*=0"}


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    with opened(tmp_path) as store:
        store.upsert(*(item(f"i{n}", n, prior=n) for n in range(4)))
        yield store


def started(written: Written, folder: Path, environment: dict[str, str]) -> CatalogueReplica:
    """Start as a server does with these settings."""
    settings = load(Settings, environment)
    asyncio.run(keep_half_life(written.store, settings))
    return CatalogueReplica(written.store, written.encoder, settings, folder / "index")


def did(event_id: str, item_id: str, kind: str, days_ago: int, user: str = "ann") -> Interaction:
    time = NEWEST - days_ago * DAY
    return replace(interaction(event_id, item_id, user), type=kind, time=time)


def forget(written: Written, user: str) -> None:
    written.write(lambda tx: written.store.interactions.delete_user(tx, user))


def masses(view: CatalogueReplica) -> list[float]:
    columns = view.state.columns
    rows = columns.rows_at([f"i{n}" for n in range(4)], view.revision)
    return [float(mass) for mass in columns.mass(rows)]


def popularity(
    written: Written, view: CatalogueReplica, item_id: str
) -> pb.GetItemPopularityResponse:
    service = InsightService(written.store, view, lambda: view.revision, Pools())
    request = pb.GetItemPopularityRequest(item_id=item_id)
    return asyncio.run(service.GetItemPopularity(request, None))  # type: ignore[arg-type]


def test_weights_and_decay_reach_the_ranks_at_once(written: Written, tmp_path: Path) -> None:
    view = started(written, tmp_path, DECAY | WEIGHTS)
    written.interact(did("1", "i0", "view", 10), did("2", "i0", "view", 20))
    view.follow()
    assert masses(view) == pytest.approx([0.5 + 0.25, 1, 2, 3])
    written.interact(did("3", "i1", "buy", 0), did("4", "i0", "rating", 0))
    view.follow()
    # All are older now than they were beside the newest before.
    assert masses(view) == pytest.approx([0.25 + 0.125, 1 + 4, 2, 3])
    scale = view.state.popularity.scale()
    assert scale.bucket(np.array(masses(view))).tolist() == [
        Bucket.TAIL,
        Bucket.HEAD,
        Bucket.MID,
        Bucket.MID,
    ]
    assert scale.percentile(np.array(masses(view))).tolist() == [0, 0.75, 0.25, 0.5]


def test_an_import_of_old_data_is_worth_what_it_says(written: Written, tmp_path: Path) -> None:
    view = started(written, tmp_path, DECAY)
    written.interact(did("1", "i0", "view", 500_000), did("2", "i1", "view", 500_010))
    view.follow()
    assert masses(view) == pytest.approx([1, 1.5, 2, 3])


def test_a_person_who_is_forgotten_takes_their_part_and_the_newest(
    written: Written, tmp_path: Path
) -> None:
    view = started(written, tmp_path, DECAY)
    written.interact(did("1", "i0", "view", 10), did("2", "i0", "view", 0, "bob"))
    view.follow()
    assert masses(view)[0] == pytest.approx(1.5)
    forget(written, "bob")
    view.follow()
    assert masses(view) == [1, 1, 2, 3]


@pytest.mark.parametrize("environment", [{}, DECAY, WEIGHTS, DECAY | WEIGHTS])
def test_a_view_that_followed_equals_one_that_is_started_anew(
    written: Written, tmp_path: Path, environment: dict[str, str]
) -> None:
    view = started(written, tmp_path, environment)
    random = np.random.default_rng(3)
    for step in range(60):
        name = f"i{random.integers(6)}"
        kind = ("view", "buy", "rating")[random.integers(3)]
        written.interact(
            did(f"e{step}", name, kind, int(random.integers(100)), f"u{random.integers(9)}")
        )
        if step % 10 == 3:
            written.upsert(item(name, step, prior=step))
        if step % 10 == 7:
            forget(written, f"u{random.integers(9)}")
        if step % 5 == 0:
            view.follow()
        if step == 35:
            indexer = indexer_of(written, view, tmp_path)
            indexer.rebuild(view.state.encoder, lambda _done, _total: None)
    view.follow()
    fresh = contents(started(written, tmp_path, environment))
    followed = contents(view)
    assert fresh.keys() == followed.keys()
    for item_id, (revision, mass, *_) in followed.items():
        assert fresh[item_id][0] == revision
        assert fresh[item_id][1] == pytest.approx(mass)
        told = popularity(written, view, item_id)
        assert told.popularity == mass
        assert told.prior + sum(each.popularity for each in told.types) == pytest.approx(mass)


def test_a_changed_half_life_is_noticed_at_start(
    written: Written, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written.interact(did("1", "i0", "view", 10), did("2", "i1", "view", 0))
    assert masses(started(written, tmp_path, {})) == [1, 2, 2, 3]
    caplog.set_level(logging.INFO, "longtail.server.upkeep.half_life")
    for environment, expected in ((DECAY, 0.5), ({}, 1.0)):
        caplog.clear()
        assert masses(started(written, tmp_path, environment))[0] == pytest.approx(expected)
        assert "interactions counted anew half_life_days=" in caplog.text
        caplog.clear()
        assert masses(started(written, tmp_path, environment))[0] == pytest.approx(expected)
        assert caplog.text == ""


def test_what_an_items_popularity_is_made_of(written: Written, tmp_path: Path) -> None:
    view = started(written, tmp_path, DECAY | WEIGHTS)
    written.interact(
        did("1", "i3", "view", 10),
        did("2", "i3", "view", 0),
        did("3", "i3", "buy", 20),
        did("4", "i3", "rating", 0),
        did("5", "i2", "gone", 0, "bob"),
    )
    forget(written, "bob")
    view.follow()
    told = popularity(written, view, "i3")
    assert told.popularity == pytest.approx(3 + 0.5 * 1.5 + 4 * 0.25)
    assert [(each.type, each.count) for each in told.types] == [
        ("buy", 1),
        ("rating", 1),
        ("view", 2),
    ]
    assert [each.popularity for each in told.types] == pytest.approx([1, 0, 0.75])
    assert (told.prior, told.bucket, told.popularity_percentile) == (3, rec.BUCKET_HEAD, 0.75)
    assert told.revision == view.revision
    bare = popularity(written, view, "i2")
    assert (bare.popularity, len(bare.types), bare.bucket) == (2, 0, rec.BUCKET_MID)


def test_there_is_no_popularity_of_what_is_not_in_the_catalogue(
    written: Written, tmp_path: Path
) -> None:
    view = started(written, tmp_path, {})
    written.interact(did("1", "unknown", "view", 0))
    written.remove("i1")
    view.follow()
    for item_id in ("unknown", "i1"):
        with pytest.raises(NotFound):
            popularity(written, view, item_id)
    with pytest.raises(InvalidArgument):
        popularity(written, view, "")
