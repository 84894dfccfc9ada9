"""What a write could not be followed by is tried again, alone or beside other processes."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from longtail.server import app
from longtail.server.app import _keep_following, _Sources
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.process.part import Part
from longtail.server.process.pools import Pools
from longtail.server.process.reach import Reach
from longtail.server.upkeep.head_watch import HeadWatch
from longtail.server.upkeep.profile_watch import ProfileWatch

from tests.unit.server.catalogues import Written, item, opened, view_of


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[tuple[Written, _Sources]]:
    """Give a store, and what follows its writes."""
    sources: list[_Sources] = []

    def follow() -> None:
        for each in sources:
            each.follow()

    with ExitStack() as stack:
        written = stack.enter_context(opened(tmp_path, follow))
        behaviour = stack.enter_context(BehaviourView(written.store))
        view = view_of(written, tmp_path)
        profiles, heads = cast(ProfileWatch, None), cast(HeadWatch, None)
        sources.append(
            _Sources(written.store, view, behaviour, profiles, heads, Reach(bounded=False))
        )
        yield written, sources[0]


@pytest.mark.parametrize("others", [False, True])
async def test_what_could_not_be_followed_is_tried_again(
    followed: tuple[Written, _Sources], monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    monkeypatch.setattr(app, "FOLLOW_SECONDS", 0.01)
    monkeypatch.setattr(app, "FOLLOW_AGAIN_SECONDS", 0.01)
    written, sources = followed
    told: list[bool] = []
    # That of the write itself, then those of the watch.
    failures, follow = [OSError("no disk")] * 3, sources.view.follow

    def failing() -> None:
        if failures:
            raise failures.pop()
        follow()

    monkeypatch.setattr(sources.view, "follow", failing)
    with pytest.raises(RuntimeError, match="durable"):
        written.upsert(item("late", 1))
    with Pools() as pools:
        part = Part("store-watch", told.append)
        watch = asyncio.create_task(_keep_following(sources, pools, part, asyncio.Event(), others))
        async with asyncio.timeout(20):
            while told != [False, True]:  # noqa: ASYNC110 (a list tells nobody)
                await asyncio.sleep(0.01)
        assert (sources.view.live_count, sources.behind, watch.done()) == (1, False, False)
        watch.cancel()
