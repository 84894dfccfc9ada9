"""Servers on one PostgreSQL, and callers that go on through all of them whatever ends."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from longtail.client import LongtailClient, LongtailError, filter_of, where
from longtail.v1.recommendation_service_pb2 import Example

from tests.conformance.deployment import Server
from tests.faults.items import Material
from tests.faults.load import Caller
from tests.faults.stores import WAIT_SECONDS
from tests.postgresql import PostgreSQL

COUNT = 3
# How calls end whose server or store is away, or is slow to come back: they are sent again.
AWAY = ("UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED")
# Of a read that is to have what the server did not hear of before its store went.
BEHIND = (*AWAY, "FAILED_PRECONDITION")
# Three servers build what is merged, on one machine.
SETTINGS = {"LONGTAIL_INDEX_MERGE_ROWS": "400", "LONGTAIL_CANDIDATES": "100"}
PAUSE_SECONDS, BEACON_SECONDS, READ_SECONDS, PROBE_SECONDS = 0.05, 0.2, 0.02, 0.005
BEACON = "beacon"


@dataclass(frozen=True)
class Cluster:
    """Servers on a store of their own in `postgresql`."""

    servers: Sequence[Server]
    postgresql: PostgreSQL
    url: str

    @property
    def addresses(self) -> list[str]:
        """Where the servers are found."""
        return [server.address for server in self.servers]


@contextmanager
def cluster(
    home: Path,
    worker_address: str,
    postgresql: PostgreSQL,
    ports: Mapping[int, int] | None = None,
    **variables: str,
) -> Iterator[Cluster]:
    """Run servers until the block ends; `ports` are where some of them find the store instead."""
    url = postgresql.new_database()
    with ExitStack() as stack:
        servers = []
        for number in range(COUNT):
            port = (ports or {}).get(number, postgresql.port)
            own = {
                **SETTINGS,
                "LONGTAIL_STORE": url.replace(f":{postgresql.port}/", f":{port}/"),
                **variables,
            }
            servers.append(
                stack.enter_context(Server(home / f"server-{number}", worker_address, own))
            )
        yield Cluster(servers, postgresql, url)


def persist(caller: Caller, addresses: Sequence[str], stop: threading.Event) -> None:
    """Have a caller write until told to stop, through another server when one does not answer."""
    for address in itertools.cycle(addresses):
        if stop.is_set():
            return
        with LongtailClient(address) as client:
            try:
                caller.retry(client)
            except LongtailError as error:
                if error.code.name not in AWAY:
                    raise
                stop.wait(PAUSE_SECONDS)
                continue
        caller.run(address, stop, AWAY)


STORE = "store"


@dataclass
class Outages:
    """What is away by intent, a server by its number or the store: a call to it then may fail."""

    changes: Counter[int | str] = field(default_factory=Counter)

    @contextmanager
    def of(self, what: int | str) -> Iterator[None]:
        """Say for the block that it is away."""
        self.changes[what] += 1
        try:
            yield
        finally:
            self.changes[what] += 1

    def moment(self, *what: int | str) -> tuple[int, ...]:
        """Return what to give to `undisturbed` later."""
        return tuple(self.changes[each] for each in what)

    def undisturbed(self, since: tuple[int, ...], *what: int | str) -> bool:
        """Return whether none of them was away since a moment."""
        return since == self.moment(*what) and not any(count % 2 for count in since)


@dataclass
class Seen:
    """What readers met with."""

    reads: int = 0
    # Of reads without min_revision at servers that were not ended.
    errors: list[str] = field(default_factory=list)
    # Of reads with min_revision while the store was not out.
    behind: list[str] = field(default_factory=list)
    behind_in_outage: int = 0
    # In seconds, of writes while all was in order.
    visibility: list[float] = field(default_factory=list)


class Readers:
    """Ask each server for lists all the time, and say when a write is seen through the others."""

    def __init__(self, whole: Cluster, outages: Outages, material: Material) -> None:
        self._cluster = whole
        self._outages = outages
        self._material = material
        self._written: tuple[int, bytes] = (0, material.vector(0).tobytes())
        self._numbers = itertools.count(1_000_000)
        self.seen = Seen()

    @contextmanager
    def reading(self) -> Iterator[Seen]:
        """Read until the block ends; raise what a reader fails with."""
        stop = threading.Event()
        with ThreadPoolExecutor(COUNT + 1) as threads:
            running = [threads.submit(self._read, number, stop) for number in range(COUNT)]
            running.append(threads.submit(self._signal, stop))
            try:
                yield self.seen
            finally:
                stop.set()
        for each in running:
            each.result()

    def _read(self, number: int, stop: threading.Event) -> None:
        client = self._cluster.servers[number].client
        for turn in itertools.count():
            if stop.wait(READ_SECONDS):
                return
            revision, vector = self._written if turn % 4 == 0 else (0, b"")
            own, both = self._outages.moment(number), self._outages.moment(number, STORE)
            try:
                client.recommend(
                    examples=[Example(vector=vector or self._material.vector(turn).tobytes())],
                    min_revision=revision,
                )
            except LongtailError as error:
                told = f"{time.monotonic():.2f} server {number}: {error}"
                if not self._outages.undisturbed(own, number):
                    continue
                if not revision:
                    self.seen.errors.append(told)
                elif self._outages.undisturbed(both, number, STORE):
                    self.seen.behind.append(told)
                else:
                    self.seen.behind_in_outage += 1
            else:
                self.seen.reads += 1

    def _signal(self, stop: threading.Event) -> None:
        """Write an item every now and then, and wait for the other servers to have it."""
        everything = (*range(COUNT), STORE)
        for turn in itertools.count():
            if stop.wait(BEACON_SECONDS):
                return
            number = next(self._numbers)
            writer, *others = (self._cluster.servers[(turn + at) % COUNT] for at in range(COUNT))
            since = self._outages.moment(*everything)
            if not self._outages.undisturbed(since, *everything):
                continue
            beacon = self._material.item(BEACON, number)
            beacon.attributes[BEACON] = number
            try:
                revision = writer.client.upsert_items([beacon]).revision
                start = time.monotonic()
                self._written = revision, beacon.vector
                for other in others:
                    self._await(other.client, number, revision)
                    delay = time.monotonic() - start
                    if self._outages.undisturbed(since, *everything):
                        self.seen.visibility.append(delay)
            except LongtailError as error:
                whole = self._outages.undisturbed(since, *everything)
                if whole or error.code.name not in BEHIND:
                    raise

    def _await(self, client: LongtailClient, number: int, revision: int) -> None:
        """Return when a server has the write; fail when it does not, with everything in order."""
        everything = (*range(COUNT), STORE)
        since, start = self._outages.moment(*everything), time.monotonic()
        while True:
            found = client.recommend(filter=filter_of(all_of=[where(BEACON).equals(number)]))
            if found.results:
                return
            if not self._outages.undisturbed(since, *everything):
                since, start = self._outages.moment(*everything), time.monotonic()
            if time.monotonic() - start > WAIT_SECONDS:
                at = found.provenance.revision
                raise AssertionError(f"{client.address} is at {at} and has not {revision}")
            time.sleep(PROBE_SECONDS)
