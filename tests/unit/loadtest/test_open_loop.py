"""The open loop against a server that stalls, hangs or refuses; the command's exit codes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise, repeat
from pathlib import Path
from statistics import pstdev
from threading import Event

import pytest
from longtail.runtime.errors import Overloaded
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import RecommendRequest

from loadtest import open_loop
from loadtest.material import Material
from loadtest.measurements import Measurements
from loadtest.open_loop import NOT_SENT, Arrivals, NotSentError, Offered, Schedule
from loadtest.scenarios import Scenario, operations
from loadtest.target import connect, run
from tests.processes import PATIENCE_SECONDS, ROOT, free_address
from tests.unit.client.fake_server import Fake, fake_server, stall_once


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server() as running:
        yield running


async def offer(
    fake: Fake, *, count: int, deadline: float = 60.0, max_in_flight: int = 500
) -> Measurements:
    schedule = Schedule(
        rate=100, seconds=count / 100, warmup_seconds=0.1, max_in_flight=max_in_flight
    )
    material = Material(queries=["a", "b"], users=[], items=[], filters=[])
    async with connect(fake.address, connections=2, deadline_seconds=deadline) as connections:
        return await run(schedule, operations(Scenario.QUERY, material), connections)


async def test_every_request_is_offered_and_the_warm_up_is_not_counted(fake: Fake) -> None:
    measured = await offer(fake, count=50)

    assert (measured.offered, measured.latency.count) == (50, 50)
    assert len(fake.requests) == 60
    assert {request.query for request in fake.requests} == {"a", "b"}  # type: ignore[attr-defined]
    assert measured.stages["total"].percentile(50, offered=50) == pytest.approx(0.003, rel=0.01)


async def test_a_stall_shows_in_every_request_that_was_due_during_it(fake: Fake) -> None:
    fake.before_answer = stall_once(1.0, at_call=20)
    measured = await offer(fake, count=200)

    # The stall holds up the 100 requests that are due within its second, half of all; a closed loop
    # would have seen one slow answer in 200.
    assert measured.latency.count == 200
    assert measured.percentile(99) > 0.9
    assert measured.percentile(75) > 0.4


async def test_a_server_that_hangs_ends_at_the_deadline(fake: Fake) -> None:
    go = Event()

    def hang() -> None:
        go.wait()

    fake.before_answer = hang
    try:
        measured = await offer(fake, count=20, deadline=0.2)
    finally:
        go.set()

    assert measured.errors["DEADLINE_EXCEEDED"] == 20
    assert measured.error_share == 1.0


async def test_what_is_not_sent_is_counted(fake: Fake) -> None:
    fake.before_answer = stall_once(1.0, at_call=12)
    measured = await offer(fake, count=100, max_in_flight=10)

    assert measured.not_sent > 0
    assert measured.latency.count + measured.not_sent == measured.offered == 100


async def test_a_refusal_is_an_error_and_not_retried(fake: Fake) -> None:
    # More than there are of the warm-up, whichever of them come first.
    fake.failures = [Overloaded("full", retry_seconds=1)] * 15
    measured = await offer(fake, count=20)

    assert measured.errors.keys() == {"RESOURCE_EXHAUSTED"}
    assert measured.errors.total() + measured.latency.count == 20
    assert len(fake.requests) == 30


async def test_any_call_is_made_on_time_until_there_are_no_more() -> None:
    noted: list[Offered[float]] = []

    async def call(due: float) -> float:
        if len(noted) == 2:
            raise NotSentError
        return due

    seconds = await open_loop.offer(Schedule(rate=1_000, seconds=1), [call] * 4, noted.append)

    assert [each.error for each in noted] == ["", "", NOT_SENT, ""]
    assert noted[0].answer is not None
    assert [each.due for each in noted] == pytest.approx([0, 0.001, 0.002, 0.003])
    assert all(0 <= each.lag <= each.latency <= seconds for each in noted)


def test_constant_arrivals_are_even_and_random_ones_are_not() -> None:
    constant = list(Schedule(rate=50, seconds=2, warmup_seconds=1).moments())
    poisson = Schedule(rate=50, seconds=40, arrivals=Arrivals.POISSON)
    moments = list(poisson.moments())
    gaps = [later - earlier for earlier, later in pairwise(moments)]

    assert constant == pytest.approx([number / 50 for number in range(150)])
    assert moments == list(poisson.moments())
    assert len(moments) == pytest.approx(2000, abs=150)
    # The deviation of an exponential distribution is its mean.
    assert pstdev(gaps) == pytest.approx(1 / 50, rel=0.1)


def load(*arguments: str | Path, address: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtest", "run", "--rate", "50", "--seconds", "0.4",
         "--warmup", "0", "--deadline", "60", "--address", address, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "150"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def test_objectives_decide_the_exit_code_and_json_says_the_same(fake: Fake, tmp_path: Path) -> None:
    fake.items = {"1": Item(id="1", title="One")}
    outcome = tmp_path / "outcome.json"

    met = load("--slo", "p99=60s", "--slo", "errors=0%", address=fake.address)
    missed = load("--slo", "p99=60s", "--slo", "p50=1us", "--json", outcome, address=fake.address)

    assert met.returncode == 0, met.stderr
    assert missed.returncode == 1, missed.stderr
    assert "objective p50=1us: MISSED" in missed.stdout
    [written] = json.loads(outcome.read_text())["trials"]
    assert written["objectives"] == {"p99=60s": True, "p50=1us": False}
    assert written["offered"] == written["answered"] == 20
    assert written["server_ms"]["total"]["p50"] == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slo", "p99=fast"], "no objective"),
        (["--address", "10.0.0.1:50051"], "--allow-remote"),
        ([], "empty"),
        (["--queries", "/nowhere.txt"], "--queries"),
        (["--scenario", "writes"], "--allow-writes"),
    ],
)
def test_wrong_usage_is_exit_code_2(fake: Fake, arguments: list[str], message: str) -> None:
    done = load(*arguments, address=fake.address)

    assert done.returncode == 2
    assert message in done.stderr
    assert not [each for each in fake.requests if isinstance(each, RecommendRequest)]


def test_no_server_is_exit_code_2() -> None:
    address = free_address()
    done = load(address=address)

    assert done.returncode == 2
    assert address in done.stderr


async def test_calls_in_flight_end_before_a_cancelled_load_does() -> None:
    asked, let_go, answered = asyncio.Event(), asyncio.Event(), []

    async def call(due: float) -> float:
        asked.set()
        await let_go.wait()
        answered.append(due)
        return due

    load = asyncio.create_task(
        open_loop.offer(Schedule(rate=1, seconds=60), repeat(call), lambda _: None)
    )
    await asked.wait()
    load.cancel()
    await asyncio.sleep(0)
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert len(answered) == 1
