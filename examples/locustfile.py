"""Load a running server with Locust: `locust -f examples/locustfile.py --host 127.0.0.1:50051`.

Locust's loop is closed: a user asks again when the answer has come. For a constant rate, whatever
becomes of the answers, see `python -m loadtest`.
"""

# mypy: disable-error-code="misc, untyped-decorator"

import random
import time
from collections.abc import Callable

import grpc.experimental.gevent
from locust import User, between, task
from longtail.client import LongtailClient, LongtailError

# Locust's users are greenlets.
grpc.experimental.gevent.init_gevent()


class Person(User):
    """Asks for lists, by name and in words."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Connect; the key and certificates are those of the environment."""
        self.client = LongtailClient(self.host, timeout=5.0)

    def on_stop(self) -> None:
        """Close the connection."""
        self.client.close()

    @task(3)
    def for_a_person(self) -> None:
        """Ask for somebody who is known."""
        user_id = str(random.randint(1, 943))  # noqa: S311
        self._timed("person", lambda: self.client.recommend(user_id=user_id))

    @task(1)
    def for_a_query(self) -> None:
        """Ask for something in words."""
        self._timed("query", lambda: self.client.recommend(query="space adventure with robots"))

    def _timed(self, name: str, ask: Callable[[], object]) -> None:
        started, failure = time.perf_counter(), None
        try:
            ask()
        except LongtailError as error:
            failure = error
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=1e3 * (time.perf_counter() - started),
            response_length=0,
            exception=failure,
        )
