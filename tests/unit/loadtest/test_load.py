"""What an interrupted load test wrote is gone."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import cast

import pytest
from google.protobuf.message import Message
from longtail.client import AsyncLongtailClient
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import RecommendResponse

from loadtest.load import IMPORT, Asked, Load
from loadtest.material import Material
from loadtest.open_loop import Schedule
from loadtest.scenarios import MARK, Operation, Scenario
from tests.processes import PATIENCE_SECONDS, ROOT
from tests.unit.client.fake_server import fake_server

ITEMS = [Item(id="1", title="One", text="The first")]


class Importing:
    """A client whose imports are written when `end` is set, and not before."""

    def __init__(self) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()
        self.items: set[str] = set()
        self.written = 0

    async def import_items(self, items: Sequence[Item]) -> None:
        self.begun.set()
        await self.end.wait()
        self.items.update(item.id for item in items)
        self.written += len(items)

    async def delete_items(self, ids: Iterable[str]) -> None:
        self.items.difference_update(ids)

    async def delete_user_data(self, user_id: str) -> None:
        assert user_id.startswith(MARK)


async def test_an_import_that_is_under_way_is_removed_when_it_is_written() -> None:
    async def answer(_: Operation) -> Message:
        return RecommendResponse()

    client = Importing()
    asked = Asked(Scenario.IMPORT, "away:1", "away:2", None, None, None, 1, 5.0)
    material = Material(queries=["a"], users=["1"], items=ITEMS, filters=[])
    load = Load(asked, cast(AsyncLongtailClient, client), "", material, [answer])
    trial = asyncio.create_task(load.trial(Schedule(10, 60), []))
    await client.begun.wait()
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    cleaning = asyncio.create_task(load.clean())
    await asyncio.sleep(0)
    client.end.set()
    await cleaning
    assert (client.written, client.items) == (IMPORT, set())


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_an_interruption_removes_what_was_written_and_says_so(
    number: signal.Signals, code: int, told: str
) -> None:
    once = Lock()
    with fake_server() as fake:
        fake.items = {item.id: item for item in ITEMS}
        process = subprocess.Popen(
            [sys.executable, "-m", "loadtest", "run", "--rate", "500", "--seconds", "60",
             "--warmup", "0", "--scenario", "writes", "--allow-writes", "--address", fake.address],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # What runs in the background of a shell is not interrupted.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

        def interrupt_once_written() -> None:
            if len(fake.items) > len(ITEMS) and once.acquire(blocking=False):
                process.send_signal(number)

        fake.before_answer = interrupt_once_written
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, out) == (code, ""), err
        assert f"{told} before its end" in err
        assert set(fake.items) == {"1"}
