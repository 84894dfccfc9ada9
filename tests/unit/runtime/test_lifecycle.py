"""What ends a server, and how."""

import asyncio

import pytest
from longtail.runtime.lifecycle import HealthBoard, new_server, serve


async def serve_until(stop_when: asyncio.Future[None], background: asyncio.Future[None]) -> None:
    async def stopped() -> None:
        await stop_when

    async def working() -> None:
        await background

    board = HealthBoard([])
    await serve(
        new_server([], board),
        address="127.0.0.1:0",
        board=board,
        services=[],
        background={"work": working()},
        drain_seconds=1.0,
        stop_when=stopped(),
    )


def ended(failure: Exception | None = None) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
    return future


def endless() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_the_stop_condition_ends_the_server_without_a_failure() -> None:
    background = endless()
    await serve_until(ended(), background)
    assert background.cancelled()


async def test_a_stop_condition_that_dies_is_a_failure() -> None:
    with pytest.raises(OSError, match="no lifeline"):
        await serve_until(ended(OSError("no lifeline")), endless())


async def test_the_end_of_a_background_task_is_a_failure() -> None:
    stop_when = endless()
    with pytest.raises(RuntimeError, match="'work' ended"):
        await serve_until(stop_when, ended())
    assert stop_when.cancelled()
