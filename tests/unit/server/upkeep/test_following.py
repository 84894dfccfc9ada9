"""What a write could not be followed by is tried again, alone or beside other processes."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from longtail.server.process.part import Part
from longtail.server.process.pools import Pools
from longtail.server.process.reach import Reach
from longtail.server.upkeep import following
from longtail.server.upkeep.following import Follower, keep_following

from tests.unit.server.catalogues import Written, behaviour_of, item, opened, view_of


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[tuple[Written, Follower]]:
    """Give a store, and what follows its writes."""
    followers: list[Follower] = []

    def follow() -> None:
        for each in followers:
            each.follow()

    with ExitStack() as stack:
        written = stack.enter_context(opened(tmp_path, follow))
        behaviour = stack.enter_context(behaviour_of(written.store))
        view = view_of(written, tmp_path)
        followers.append(Follower(written.store, view, behaviour, Reach(bounded=False)))
        yield written, followers[0]


@pytest.mark.parametrize("others", [False, True])
async def test_what_could_not_be_followed_is_tried_again(
    followed: tuple[Written, Follower], monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    monkeypatch.setattr(following, "FOLLOW_SECONDS", 0.01)
    monkeypatch.setattr(following, "FOLLOW_AGAIN_SECONDS", 0.01)
    written, follower = followed
    told: list[bool] = []
    # That of the write itself, then those of the watch.
    failures, follow = [OSError("no disk")] * 3, follower.view.follow

    def failing() -> None:
        if failures:
            raise failures.pop()
        follow()

    monkeypatch.setattr(follower.view, "follow", failing)
    with pytest.raises(RuntimeError, match="durable"):
        written.upsert(item("late", 1))
    with Pools() as pools:
        part = Part("store-watch", told.append)
        watch = asyncio.create_task(keep_following(follower, pools, part, asyncio.Event(), others))
        async with asyncio.timeout(60):
            while told != [False, True]:  # noqa: ASYNC110 (a list tells nobody)
                await asyncio.sleep(0.01)
        assert (follower.view.live_count, follower.behind, watch.done()) == (1, False, False)
        watch.cancel()
