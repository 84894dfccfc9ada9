"""What a run of the request bench gives to its sections: running servers, and what they hold."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1.recommendation_service_pb2 import RecommendRequest

from bench.bare import Bare
from bench.closed_loop import grpc_calls
from bench.generator import Generator, checked
from bench.index import catalogue as catalogues
from bench.index.catalogue import Catalogue
from bench.index.embedding import embedded
from bench.processes import Service, free_address, our_environment, server, serving, worker
from bench.request import empty
from bench.request.homes import Large, home_of, write_demo
from bench.request.parts import Parts

RECOMMEND = "/longtail.v1.RecommendationService/Recommend"
LARGE_ITEMS = 100_000
DEMO_PEOPLE = 943
# What is asked again and again, so that its vectors are known.
QUERIES = ("space adventure with robots", "a comedy about a wedding", "war", "http client library")
_IDLE_SECONDS = 1.0


@dataclass(frozen=True)
class RequestBench:
    """What is measured, how often, and with what.

    `rounds` is how often the sides take turns, `calls` how many calls of each kind a turn has,
    `seconds` how long a load lasts. `other` is a second generator, for what runs beside the first.
    `leaving` ends at the end what sections share.
    """

    artefact: Path
    data: Path
    out: Path
    rounds: int
    calls: int
    seconds: float
    generator: Generator
    other: Generator
    leaving: ExitStack
    say: Callable[[str], None]

    @cached_property
    def worker(self) -> Service:
        """The worker of all servers."""
        return self.leaving.enter_context(worker(self.artefact, self.out))

    @cached_property
    def empty(self) -> Service:
        """A server that does nothing."""
        address = free_address()
        variables = {**our_environment(), "LONGTAIL_SERVER_ADDRESS": address}
        return self.leaving.enter_context(serving(empty.__name__, address, "", variables, self.out))

    @cached_property
    def bare(self) -> Bare:
        """The artefact in this process; raises NotRun when it is none."""
        return Bare(self.artefact)

    @cached_property
    def demo_home(self) -> Path:
        """The state of the demo; not to be written to."""
        return home_of("demo", self.out, self.worker.address, write_demo)

    @cached_property
    def large(self) -> Large:
        """The large catalogue; raises NotRun without the data."""
        every = catalogues.read(self.data)
        n = LARGE_ITEMS
        known = Catalogue(every.ids[:n], every.texts[:n], every.priors[:n])
        texts = known.to_encode
        vectors = embedded("items", texts, pb.ROLE_ITEM, self.artefact, self.out, self.say)
        return Large(known, np.asarray(vectors))

    @cached_property
    def large_home(self) -> Path:
        """The state with the large catalogue; not to be written to."""
        name = f"{LARGE_ITEMS}-{catalogues.digest(self.large.catalogue.texts)}"
        return home_of(name, self.out, self.worker.address, self.large.write)

    @cached_property
    def parts(self) -> Parts:
        """The parts of a request on the large catalogue."""
        return Parts(self.large, self.large_home)

    @contextmanager
    def serving(self, home: Path, under: Sequence[str] = ()) -> Iterator[Service]:
        """Run a server on a home while the block lasts."""
        with server(home, self.worker.address, self.out, under) as running:
            yield running

    def fresh(self) -> str:
        """Return a word that makes a text new."""
        return f"{time.time_ns():x}"

    def turns(self, title: str) -> range:
        """Iterate over the rounds, and say how far it is."""
        self.say(f"{title}: {self.rounds} rounds")
        return range(self.rounds)

    def cpu(self, services: Sequence[Service], method: str, requests: Sequence[bytes]) -> float:
        """Return the milliseconds of processor time that services spend on a call, one at a time.

        What they spend without being asked is taken off. The first of them is asked.
        """
        started, before = time.perf_counter(), _spent(services)
        time.sleep(_IDLE_SECONDS)
        idle = (_spent(services) - before) / (time.perf_counter() - started)
        before = _spent(services)
        load = (services[0].address, requests, 1, False, method)
        outcome = checked(self.generator.run(grpc_calls, *load))
        spent = _spent(services) - before - idle * outcome.seconds
        return 1e3 * spent / len(requests)

    def cpu_empty(self) -> float:
        """Return the milliseconds of processor time of an empty call."""
        return self.cpu([self.empty], empty.METHOD, [b""] * (4 * self.calls))


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
