"""Several servers on one PostgreSQL: any of them, the store and the network between may go."""

import itertools
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psycopg
import pytest
from longtail.client import LongtailClient, LongtailError, filter_of, where
from longtail.server.catalogue.index.generation import MANIFEST_FILE
from longtail.v1.admin_service_pb2 import OperationState
from longtail.v1.interaction_service_pb2 import Interaction

from tests import postgresql as real_postgresql
from tests.conformance.asked import near
from tests.conformance.deployment import Server
from tests.faults.answers import check_same, check_sound, questions
from tests.faults.cluster import (
    AWAY,
    BEACON,
    COUNT,
    SETTINGS,
    STORE,
    Cluster,
    Outages,
    Readers,
    cluster,
    persist,
)
from tests.faults.contents import read, union
from tests.faults.extent import FULL, extent
from tests.faults.items import Material
from tests.faults.link import Link
from tests.faults.load import callers, users
from tests.faults.stores import wait_for
from tests.faults.tally import Tally
from tests.postgresql import USER, PostgreSQL

pytestmark = pytest.mark.model

SECONDS = extent(8.0, 600.0)
BETWEEN_SECONDS = extent(2.0, 20.0)
AWAY_SECONDS = extent(1.0, 5.0)
# What is promised is held to where nothing else runs beside the test.
SEEN_SECONDS = extent(30.0, 1.0)
WRITERS, REQUESTS = 50, extent(5, 40)
DEPOT = "LONGTAIL_INDEX_DEPOT"
MAINTAINER, SUCCEEDED = "longtail_store_maintainer", OperationState.OPERATION_STATE_SUCCEEDED
# Hundreds of items are written at once, on a machine that may be busy.
BEGIN_SECONDS = 30.0
# PostgreSQL gives up a transaction of which nothing comes after 15 s.
HELD_SECONDS = BACK_SECONDS = 45.0
# What is written to find out whether anything can be.
PROBE, PROBE_SECONDS = "probe", 10.0
END_ALL = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s"
# A call is given so long, and ends soon after.
DEADLINE_SECONDS, LATE_SECONDS = 2.0, 1.0


@pytest.fixture(scope="module")
def store() -> Iterator[PostgreSQL]:
    """Return a PostgreSQL that may be killed, as no other test is connected to it."""
    with real_postgresql.running() as server:
        yield server


@pytest.fixture(scope="module")
def link(store: PostgreSQL) -> Iterator[Link]:
    """Return a network to it that may be cut."""
    with Link(store.port).open() as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(
    store: PostgreSQL,
    link: Link,
    worker_address: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """Run servers with a depot, the last of which reaches the store over the link."""
    home = tmp_path_factory.mktemp("cluster")
    own = {DEPOT: f"file://{home / 'depot'}"}
    with cluster(home, worker_address, store, {COUNT - 1: link.port}, **own) as running:
        yield running


def test_nothing_is_lost_or_doubled_while_servers_and_the_store_are_killed(
    whole: Cluster, material: Material, tally: Tally
) -> None:
    moments = random.Random(9)
    writers = callers(material)
    for writer, address in zip(writers, itertools.cycle(whole.addresses), strict=False):
        with LongtailClient(address, timeout=BEGIN_SECONDS) as client:
            writer.begin(client)
    outages, stop = Outages(), threading.Event()
    readers = Readers(whole, outages, material)
    with ThreadPoolExecutor(len(writers)) as threads, readers.reading() as seen:
        running = [
            threads.submit(persist, writer, turned(whole.addresses, place), stop)
            for place, writer in enumerate(writers)
        ]
        end = time.monotonic() + SECONDS
        try:
            for turn in range(10**6):
                time.sleep(moments.uniform(0.5, 1.5) * BETWEEN_SECONDS)
                for each in running:
                    assert not each.done() or each.result()
                if turn >= 2 and time.monotonic() > end:
                    break
                if turn % 2:
                    tally.most(
                        "seconds until all write again", kill_store(whole, outages, material)
                    )
                    tally.count("times that PostgreSQL was killed")
                else:
                    kill_server(whole, moments.randrange(COUNT), outages)
                    tally.count("servers killed")
        finally:
            stop.set()
        for each in running:
            each.result()
    for writer in writers:
        writer.retry(whole.servers[0].client)
    whole.servers[0].client.delete_items([BEACON, PROBE])
    check_all(whole, union(writer.contents for writer in writers), users(writers), material)
    tally.count("writes acknowledged", sum(writer.acknowledged for writer in writers))
    tally.count("reads", seen.reads)
    tally.count("of them failed at servers that were there", len(seen.errors))
    tally.count(
        "reads with min_revision that failed while the store was away", seen.behind_in_outage
    )
    tally.count("writes whose delay was measured", len(seen.visibility))
    for share in (50, 99, 100):
        tally.most(f"seconds until seen elsewhere, p{share}", np.percentile(seen.visibility, share))
    assert seen.errors == []
    assert seen.behind == []
    assert np.percentile(seen.visibility, 99) < SEEN_SECONDS


def test_what_many_writers_send_again_and_again_counts_once(
    whole: Cluster, material: Material, tally: Tally
) -> None:
    before = whole.servers[0].client.catalog_stats()
    items = [material.item(f"again-{number}", number) for number in range(REQUESTS)]
    events = [
        Interaction(event_id=f"again-{number}", user_id="again", item_id=item.id, type="view")
        for number, item in enumerate(items)
    ]

    def write(place: int) -> list[tuple[int, int, int]]:
        order = random.Random(place).sample(range(REQUESTS), REQUESTS)
        told = []
        for number in order:
            client = whole.servers[(place + number) % COUNT].client
            revision = retried(
                lambda: client.upsert_items([items[number]], request_id=f"again-{number}").revision  # noqa: B023
            )
            recorded = retried(lambda: client.write_interactions([events[number]]).recorded_count)  # noqa: B023
            told.append((number, revision, recorded))
        return told

    with ThreadPoolExecutor(WRITERS) as threads:
        told = [each for written in threads.map(write, range(WRITERS)) for each in written]
    revisions = {(number, revision) for number, revision, _ in told}
    assert len(revisions) == len({revision for _, revision in revisions}) == REQUESTS
    assert sum(recorded for _, _, recorded in told) == REQUESTS
    after = whole.servers[0].client.catalog_stats()
    assert after.item_count == before.item_count + REQUESTS
    assert after.interaction_count == before.interaction_count + REQUESTS
    for server in whole.servers:
        assert len(list(server.client.list_interactions(user_id="again"))) == REQUESTS
    tally.count("requests sent", len(told))
    tally.count("duplicates", 0)


def test_a_network_that_is_cut_leaves_no_call_hanging_and_no_read_without_an_answer(
    whole: Cluster, link: Link, material: Material, tally: Tally
) -> None:
    *others, behind = whole.servers
    kept = material.item("kept", 1)
    kept.attributes["kept"] = True
    only = filter_of(all_of=[where("kept").equals(True)])
    revision = others[0].client.upsert_items([kept]).revision
    behind.client.recommend(min_revision=revision)
    link.cut()
    start = time.monotonic()
    try:
        with ThreadPoolExecutor(8) as threads:
            writes = [threads.submit(cut_write, behind.client, material, at) for at in range(8)]
            while time.monotonic() - start < DEADLINE_SECONDS + LATE_SECONDS:
                found = near(behind.client, kept.vector, filter=only)
                assert [result.item_id for result in found.results] == ["kept"]
                tally.count("reads while the network was cut")
            late = [write.result() for write in writes]
        tally.count("writes while it was cut", len(late))
        tally.most("seconds after the deadline that a call ended", max(late))
        for other in others:
            tally.most("seconds of a write elsewhere", seconds_of_write(other.client, material))
    finally:
        link.mend()
    start = time.monotonic()
    wait_for(lambda: writes_again(behind.client, material))
    tally.most("seconds until it writes again", time.monotonic() - start)
    # What others wrote meanwhile is seen, and what was not answered is there once or not at all.
    newest = max(server.client.server_info().revision for server in whole.servers)
    behind.client.recommend(min_revision=newest)
    held = [
        {item.id: item.title for item in server.client.list_items(page_size=1000)}
        for server in whole.servers
    ]
    assert all(each == held[0] for each in held)
    assert "elsewhere" in held[0]


@pytest.mark.skipif(not FULL, reason="PostgreSQL gives up a transaction after a minute")
def test_a_server_that_is_cut_off_while_it_writes_keeps_others_from_writing_for_a_minute_at_most(
    whole: Cluster, link: Link, material: Material, tally: Tally
) -> None:
    other, *_, behind = whole.servers
    stop = threading.Event()

    def write(place: int) -> int:
        written = 0
        while not stop.is_set():
            item = material.item(f"held-{place}", written)
            retried(lambda: behind.client.upsert_items([item], timeout=2).revision)  # noqa: B023
            written += 1
        return written

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(write, place) for place in range(4)]
        time.sleep(1)
        link.cut()
        start = time.monotonic()
        try:
            wait_for(lambda: writes_again(other.client, material), seconds=HELD_SECONDS)
            tally.most("seconds that others could not write", time.monotonic() - start)
        finally:
            link.mend()
            stop.set()
        tally.count("writes through the server that was cut off", sum(e.result() for e in running))
    wait_for(lambda: writes_again(behind.client, material))
    revision = max(server.client.server_info().revision for server in whole.servers)
    held = []
    for server in whole.servers:
        server.client.recommend(min_revision=revision)
        held.append([(item.id, item.title) for item in server.client.list_items(page_size=1000)])
    assert all(each == held[0] for each in held)


def test_a_store_that_only_reads_refuses_writes_and_lists_go_on(
    whole: Cluster, material: Material
) -> None:
    for server in whole.servers:
        wait_for(lambda: writes_again(server.client, material))  # noqa: B023
    set_read_only(whole, "on")
    try:
        for server in whole.servers:
            before = server.client.catalog_stats().item_count
            with pytest.raises(LongtailError) as caught:
                server.client.upsert_items([material.item("refused", 5)], timeout=5)
            assert caught.value.code.name == "UNAVAILABLE"
            assert caught.value.message
            assert near(server.client, material.vector(3)).results
            assert server.client.catalog_stats().item_count == before
    finally:
        set_read_only(whole, "off")
    for server in whole.servers:
        wait_for(lambda: writes_again(server.client, material))  # noqa: B023


def test_a_store_that_takes_no_more_connections_refuses_writes_and_lists_go_on(
    store: PostgreSQL, worker_address: str, material: Material, tmp_path: Path, tally: Tally
) -> None:
    url, user = store.new_database(), "crowded"
    administer(store, f"CREATE ROLE {user} LOGIN")
    administer(store, f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO {user}")
    own = {**SETTINGS, "LONGTAIL_STORE": url.replace(f"//{USER}:", f"//{user}:")}
    with Server(tmp_path / "server", worker_address, own) as server:
        server.client.upsert_items(material.catalogue(50))
        before = near(server.client, material.vector(3)).results
        # As if others had all that there are: who has the name of an administrator gets in still.
        administer(store, f"ALTER ROLE {user} CONNECTION LIMIT 0")
        administer(store, END_ALL, user)
        try:
            for _ in range(20):
                assert near(server.client, material.vector(3)).results == before
                tally.count("lists meanwhile")
            with pytest.raises(LongtailError) as caught:
                server.client.upsert_items([material.item("refused", 5)], timeout=PROBE_SECONDS)
            assert caught.value.code.name == "UNAVAILABLE"
            assert caught.value.retry_after
        finally:
            administer(store, f"ALTER ROLE {user} CONNECTION LIMIT -1")
        start = time.monotonic()
        wait_for(lambda: writes_again(server.client, material))
        tally.most("seconds until it writes again", time.monotonic() - start)
        held = {item.id for item in server.client.list_items(page_size=1000)}
        assert "refused" not in held


def test_another_server_maintains_the_store_when_the_one_that_did_is_killed(
    whole: Cluster, material: Material, tally: Tally
) -> None:
    for server in whole.servers:
        wait_for(lambda: writes_again(server.client, material))  # noqa: B023
    wait_for(lambda: maintainers(whole) == 1)
    victim = next(server for server in whole.servers if server.metric(MAINTAINER) == 1)
    others = [server for server in whole.servers if server is not victim]
    asked = others[0].client.rebuild_index().operation.id
    victim.running.stop(signal.SIGKILL)
    start = time.monotonic()
    wait_for(lambda: sum(server.metric(MAINTAINER) for server in others) == 1)
    tally.most("seconds until another maintains", time.monotonic() - start)
    wait_for(lambda: others[1].client.get_operation(asked).operation.state == SUCCEEDED)
    tally.most("seconds until its operation is done", time.monotonic() - start)
    victim.start()
    wait_for(lambda: maintainers(whole) == 1)


@pytest.mark.parametrize("means", ["folder", "depot"])
def test_a_server_that_joins_starts_from_what_another_built(
    whole: Cluster, material: Material, worker_address: str, tmp_path: Path, means: str
) -> None:
    first = whole.servers[0]
    built = first.client.upsert_items(material.catalogue(200)).revision
    operation = first.client.rebuild_index().operation.id
    wait_for(lambda: first.client.get_operation(operation).operation.state == SUCCEEDED)
    own = dict(first.variables)
    if means == "folder":
        own["LONGTAIL_INDEX"] = str(first.home / "data" / "index")
    else:
        depot = Path(own[DEPOT].removeprefix("file://"))
        wait_for(lambda: any(revision >= built for revision in left_in(depot)))
    revision = first.client.upsert_items([material.item("after", 3)]).revision
    with Server(tmp_path / "joining", worker_address, own) as joining:
        found = joining.client.server_info()
        assert found.revision >= revision
        # It did not have to build a graph, and scans only what came since.
        assert found.index.delta_count < found.index.live_count / 2
        assert joining.client.get_item("after").item.id == "after"
        asked = questions(material)
        check_same(first.client, joining.client, asked)
        assert joining.running.stop() == 0


def left_in(depot: Path) -> list[int]:
    """Return up to which revisions the generations in a depot are."""
    return [int(file.parent.name.partition("-")[0]) for file in depot.rglob(MANIFEST_FILE)]


def maintainers(whole: Cluster) -> int:
    """Return how many servers say that they maintain the store."""
    return [server.metric(MAINTAINER) for server in whole.servers].count(1)


def kill_server(whole: Cluster, number: int, outages: Outages) -> None:
    """Kill a server, and start it again after a while."""
    server = whole.servers[number]
    with outages.of(number):
        server.running.stop(signal.SIGKILL)
        time.sleep(AWAY_SECONDS)
        server.start()


def kill_store(whole: Cluster, outages: Outages, material: Material) -> float:
    """Kill PostgreSQL and start it again; return the seconds until all servers write again."""
    with outages.of(STORE):
        whole.postgresql.kill()
        time.sleep(AWAY_SECONDS)
        whole.postgresql.start()
        start = time.monotonic()
        for server in whole.servers:
            wait_for(lambda: writes_again(server.client, material), BACK_SECONDS)  # noqa: B023
        return time.monotonic() - start


def check_all(whole: Cluster, expected: object, people: list[str], material: Material) -> None:
    """Fail unless every server has caught up, and returns and finds what is expected."""
    newest = max(server.client.server_info().revision for server in whole.servers)
    for server in whole.servers:
        server.client.recommend(min_revision=newest)
        found = read(server.client, people)
        assert found == expected
        check_sound(server.client, questions(material, people[:1]), found)


def cut_write(client: LongtailClient, material: Material, number: int) -> float:
    """Write where the store cannot be reached; return how long after its deadline that ended."""
    start = time.monotonic()
    with pytest.raises(LongtailError) as caught:
        client.upsert_items([material.item(f"cut-{number}", number)], timeout=DEADLINE_SECONDS)
    assert caught.value.code.name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    late = time.monotonic() - start - DEADLINE_SECONDS
    assert late < LATE_SECONDS
    return late


def seconds_of_write(client: LongtailClient, material: Material) -> float:
    """Write; return how long that took."""
    start = time.monotonic()
    client.upsert_items([material.item("elsewhere", 2)])
    return time.monotonic() - start


def writes_again(client: LongtailClient, material: Material) -> bool:
    """Return whether a server takes a write; the item that it writes has no effect on others."""
    try:
        client.upsert_items([material.item(PROBE, 77)], timeout=PROBE_SECONDS)
    except LongtailError as error:
        if error.code.name not in AWAY:
            raise
        return False
    return True


def retried(call: Callable[[], int]) -> int:
    """Call until there is an answer, as callers do that are told to come back."""
    while True:
        try:
            return call()
        except LongtailError as error:
            if error.code.name not in (*AWAY, "RESOURCE_EXHAUSTED"):
                raise
            time.sleep(error.retry_after or 0.05)


def administer(store: PostgreSQL, statement: str, *parameters: str) -> None:
    """Run a statement as the administrator."""
    with psycopg.connect(store.url(), autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


def set_read_only(whole: Cluster, value: str) -> None:
    """Have the store refuse to write, from the next transaction on, or take it again."""
    with psycopg.connect(whole.postgresql.url(), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        connection.execute("SELECT pg_reload_conf()")


def turned(addresses: list[str], place: int) -> list[str]:
    """Return the addresses, another of them first for each place."""
    at = place % len(addresses)
    return [*addresses[at:], *addresses[:at]]
