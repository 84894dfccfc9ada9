"""Feed interactions from a log such as Kafka's, each exactly once, whatever is delivered twice.

The event's own place in the log, topic:partition:offset, is its event_id: what is delivered again
after a crash counts once. So the offset is committed after the server has acknowledged the batch,
which it does when the batch is durable.

    pip install confluent-kafka
    .venv/bin/python examples/consume_events.py broker:9092 events

A message is JSON: {"user": "ada", "item": "50", "type": "view", "at": 1793551500.0}. One of no use
is reported and passed over; a server that is away is waited for, and nothing is lost meanwhile.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Protocol

from longtail.client import LongtailClient, interaction
from longtail.client.calls.errors import error_from_status
from longtail.client.importing.patience import write_patiently
from longtail.client.importing.writes import writing_interactions
from longtail.v1.interaction_service_pb2 import Interaction

BATCH, WAIT_SECONDS = 500, 1.0


@dataclass(frozen=True)
class Message:
    """One message, and its place in the log."""

    topic: str
    partition: int
    offset: int
    value: bytes


class Log(Protocol):
    """A log that is read in batches, and remembers how far it was read."""

    def read(self, most: int, seconds: float) -> Sequence[Message]:
        """Return the next messages, none where none comes in time."""

    def commit(self) -> None:
        """Remember that all that was read is done with."""


def feed(log: Log, client: LongtailClient, stopped: Event) -> None:
    """Record what the log has, batch by batch, until `stopped`."""
    write = writing_interactions(client)
    while not stopped.is_set():
        messages = log.read(BATCH, WAIT_SECONDS)
        events = [event for message in messages if (event := event_of(message)) is not None]
        if events:
            answers = write_patiently(events, write, stopped)
            statuses = (status for answer in answers for status in answer.statuses)
            for event, status in zip(events, statuses, strict=True):
                error = error_from_status(status)
                if error is not None:
                    print(f"{event.event_id}: {error}", file=sys.stderr)
        if messages:
            log.commit()


def event_of(message: Message) -> Interaction | None:
    """Return the interaction in a message; None, with a line to say so, when it holds none."""
    event_id = f"{message.topic}:{message.partition}:{message.offset}"
    try:
        value = json.loads(message.value)
        return interaction(
            value["user"],
            value["item"],
            value["type"],
            time=datetime.fromtimestamp(value["at"], UTC),
            event_id=event_id,
        )
    except (ValueError, KeyError, TypeError) as error:
        print(f"{event_id}: passed over: {error!r}", file=sys.stderr)
        return None


def main(brokers: str, topic: str) -> None:
    """Feed the server from Kafka until it is interrupted."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "longtail",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])

    class Kafka:
        def read(self, most: int, seconds: float) -> Sequence[Message]:
            found = consumer.consume(most, seconds)
            return [
                Message(each.topic(), each.partition(), each.offset(), each.value())
                for each in found
                if each.error() is None
            ]

        def commit(self) -> None:
            consumer.commit(asynchronous=False)

    with LongtailClient() as client:
        feed(Kafka(), client, Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
