"""A part that fails: told once, counted each time, and never in the way of a cancellation."""

import asyncio

import pytest
from longtail.runtime.errors import StorageFull
from longtail.server.process.part import Part
from prometheus_client import REGISTRY


def counted(name: str) -> float:
    return REGISTRY.get_sample_value("longtail_part_failures_total", {"part": name}) or 0.0


def attempt(part: Part, error: BaseException | None = None) -> None:
    with part:
        if error is not None:
            raise error


def test_a_failure_is_told_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    told: list[bool] = []
    part = Part("told", told.append)
    attempt(part)
    assert (part.well, told) == (True, [])
    for _ in range(3):
        attempt(part, ZeroDivisionError("nothing"))
    assert (part.well, told, counted("told")) == (False, [False], 3)
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.message.endswith("part=told")
    # Another failure is news, though the part is as it was.
    attempt(part, StorageFull("the disk is full"))
    assert len(caplog.records) == 2
    assert told == [False]
    attempt(part)
    assert (part.well, told) == (True, [False, True])


def test_a_cancellation_is_no_failure() -> None:
    part = Part("cancelled")
    with pytest.raises(asyncio.CancelledError):
        attempt(part, asyncio.CancelledError())
    assert (part.well, counted("cancelled")) == (True, 0)
