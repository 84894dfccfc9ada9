"""The examples that take a service which is not here, against a fake of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event

import pytest
from longtail.client import LongtailClient
from longtail.v1.interaction_service_pb2 import WriteInteractionsRequest

from examples.consume_events import Message, feed
from tests.unit.client.fake_server import Fake

VIEW = {"user": "ada", "item": "50", "type": "view", "at": 1_793_551_500.0}


@dataclass
class Log:
    """Deliveries, the last of which stops the feed; and what was committed."""

    deliveries: list[list[Message]]
    stopped: Event = field(default_factory=Event)
    committed: int = 0

    def read(self, most: int, seconds: float) -> Sequence[Message]:
        messages = self.deliveries.pop(0)
        if not self.deliveries:
            self.stopped.set()
        return messages

    def commit(self) -> None:
        self.committed += 1


def message(offset: int, value: object) -> Message:
    return Message("events", 0, offset, json.dumps(value).encode())


def test_what_a_log_delivers_twice_is_one_event_and_nothing_stops_it(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = [message(7, VIEW)]
    log = Log([twice, [message(8, {"user": 42}), message(9, "x")], [], twice])

    with LongtailClient(fake.address) as client:
        feed(log, client, log.stopped)

    requests = [each for each in fake.requests if isinstance(each, WriteInteractionsRequest)]
    assert [each.interactions[0].event_id for each in requests] == ["events:0:7"] * 2
    assert log.committed == 3
    assert capsys.readouterr().err.count("passed over") == 2
