"""What the sections of a request share: running servers, what they hold, and what a call costs."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1.recommendation_service_pb2 import RecommendRequest

from bench import context
from bench.processes import Service, free_address, our_environment, server, serving, worker
from bench.request import empty
from bench.request.homes import Large, home_of, write_demo
from bench.request.parts import Parts
from bench.texts import digest, queries

RECOMMEND = "/longtail.v1.RecommendationService/Recommend"
LARGE_ITEMS = 100_000
# Calls before any that count, so that what is made once is made.
WARMUP = 60
# What is learned beside serving costs no call, and would be counted with those made meanwhile.
_WITHOUT_FITS = {"LONGTAIL_BEHAVIOUR_FIT_SECONDS": "0", "LONGTAIL_HEAD_FIT_SECONDS": "0"}
_IDLE_SECONDS = 1.0
# By then what a call leaves to be done later is done.
_SETTLED_SECONDS = 3.0
# Of calls in turns.
_FEW = 25


class Context(context.Context):
    """What the sections of a request share."""

    @property
    def calls(self) -> int:
        """Calls of each kind in a turn."""
        return 100 if self.options.quick else 400

    @cached_property
    def worker(self) -> Service:
        """The worker of all servers."""
        return self.leaving.enter_context(worker(self.options.artefact, self.out))

    @cached_property
    def empty(self) -> Service:
        """A server that does nothing."""
        address = free_address()
        variables = {**our_environment(), "LONGTAIL_SERVER_ADDRESS": address}
        return self.leaving.enter_context(serving(empty.__name__, address, "", variables, self.out))

    @cached_property
    def demo_home(self) -> Path:
        """The state of the demo; not to be written to."""
        return home_of("demo", self.out, self.worker.address, write_demo)

    @cached_property
    def large(self) -> Large:
        """The large catalogue; raises NotRun without the data."""
        known = self.catalogue.taken(range(LARGE_ITEMS))
        return Large(known, self.vectors_of("items", known.to_encode, pb.ROLE_ITEM))

    @cached_property
    def large_home(self) -> Path:
        """The state with the large catalogue; not to be written to."""
        name = f"{LARGE_ITEMS}-{digest(self.large.catalogue.texts)}"
        return home_of(name, self.out, self.worker.address, self.large.write)

    @cached_property
    def parts(self) -> Parts:
        """The parts of a request on the large catalogue."""
        return Parts(self.large, self.large_home)

    def serving(
        self, home: Path, under: Sequence[str] = (), **extra: str
    ) -> AbstractContextManager[Service]:
        """Run a server on a home, without the fits that go on beside serving."""
        return server(home, self.worker.address, self.out, under, **(_WITHOUT_FITS | extra))

    def cpu(self, services: Sequence[Service], method: str, requests: Sequence[bytes]) -> float:
        """Return the milliseconds of processor time that services spend on a call, one at a time.

        What they spend without being asked is taken off. The first of them is asked.
        """
        started, before = time.perf_counter(), _spent(services)
        time.sleep(_IDLE_SECONDS)
        idle = (_spent(services) - before) / (time.perf_counter() - started)
        before = _spent(services)
        taken = self.generator.ask(services[0].address, method, requests).seconds
        return 1e3 * (_spent(services) - before - idle * taken) / len(requests)

    def cpu_in_turns(
        self, services: Sequence[Service], method: str, requests: Sequence[bytes]
    ) -> list[float]:
        """Return the same for each of several services, a few calls of each in turn.

        What one of them does within a moment after its last call counts too.
        """
        started, before = time.perf_counter(), [each.cpu_seconds() for each in services]
        time.sleep(_SETTLED_SECONDS)
        between, begun = [each.cpu_seconds() for each in services], time.perf_counter()
        for at in range(0, len(requests), _FEW):
            for service in services:
                self.generator.ask(service.address, method, requests[at : at + _FEW])
        time.sleep(_SETTLED_SECONDS)
        after = [each.cpu_seconds() for each in services]
        share = (time.perf_counter() - begun) / (begun - started)
        spent = [
            ended - began - share * (began - idle)
            for idle, began, ended in zip(before, between, after, strict=True)
        ]
        return [1e3 * each / len(requests) for each in spent]

    def cpu_of(
        self, running: Service, requests: Sequence[bytes], *others: Service
    ) -> tuple[float, float]:
        """Return the milliseconds of processor time of a Recommend, and of an empty call."""
        nothing = self.cpu([self.empty], empty.METHOD, [b""] * (4 * self.calls))
        return self.cpu([running, *others], RECOMMEND, requests), nothing

    def distinct_texts(self, count: int) -> list[str]:
        """Return texts that nobody asked for before."""
        new = f"{time.time_ns():x}"
        return [f"{text} {new}" for text in queries(self.catalogue, count)]


def of_people(users: Sequence[str], count: int) -> list[bytes]:
    """Return `count` requests for people in turn."""
    requests = [RecommendRequest(user_id=user).SerializeToString() for user in users]
    return [requests[at % len(requests)] for at in range(count)]


def of_texts(texts: Sequence[str], count: int) -> list[bytes]:
    """Return `count` requests for texts in turn."""
    requests = [RecommendRequest(query=text).SerializeToString() for text in texts]
    return [requests[at % len(requests)] for at in range(count)]


def _spent(services: Sequence[Service]) -> float:
    return sum(service.cpu_seconds() for service in services)
