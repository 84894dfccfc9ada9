"""A server whose index engine is cut off from it: what holds whichever engine it is."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from longtail.v1.admin_service_pb2 import OperationState

from tests.conformance.asked import LENGTH, exact, ids, items, near, put
from tests.conformance.deployment import Server
from tests.faults.extent import extent
from tests.faults.items import Material
from tests.faults.link import Link
from tests.faults.stores import wait_for
from tests.faults.tally import Tally

ITEMS, READERS = 3000, 4
CUT_SECONDS = extent(2.0, 30.0)
# A call is given so long, and ends soon after.
DEADLINE_SECONDS, LATE_SECONDS = 2.0, 1.0
LEAST_RECALL = 0.97
# An engine is looked at once a second, and has two seconds to take a connection.
BACK_SECONDS = 60.0
SUCCEEDED = OperationState.OPERATION_STATE_SUCCEEDED
UP, FAILURES = "longtail_index_engine_up", "longtail_index_engine_failures_total"


@contextmanager
def serving(home: Path, worker_address: str, engine_url: str) -> Iterator[Server]:
    """Run a server whose graphs are in the engine at a URL until the block ends."""
    variables = {
        "LONGTAIL_INDEX_ENGINE": engine_url,
        "LONGTAIL_INDEX_MERGE_ROWS": "512",
        "LONGTAIL_INDEX_EF_SEARCH": "100",
        "LONGTAIL_CANDIDATES": "100",
    }
    with Server(home, worker_address, variables) as server:
        yield server


def check_cut(server: Server, link: Link, material: Material, tally: Tally) -> None:
    """Cut the network to the engine; lists go on as before, and the engine is found again."""
    held = items(material, ITEMS)
    put(server.client, held)
    vectors = {item.id: item.vector for item in held}
    asked = server.client.rebuild_index().operation.id
    wait_for(lambda: server.client.get_operation(asked).operation.state == SUCCEEDED, BACK_SECONDS)
    wait_for(lambda: server.metric(UP) == 1, BACK_SECONDS)
    failures = server.metric(FAILURES)

    def read(number: int) -> tuple[float, float]:
        """Ask for what is near to an item; return the seconds, and the recall."""
        moved = material.vector(number % ITEMS) + 0.01 * np.float32(number // ITEMS % 9)
        start = time.monotonic()
        found = ids(near(server.client, moved, timeout=DEADLINE_SECONDS))
        seconds = time.monotonic() - start
        return seconds, len(set(found) & set(exact(vectors, moved))) / LENGTH

    def read_on(first: int) -> list[tuple[float, float]]:
        return [read(number) for number in numbers(first, stop)]

    stop = threading.Event()
    with ThreadPoolExecutor(READERS) as threads:
        readers = [threads.submit(read_on, at * ITEMS // READERS) for at in range(READERS)]
        # So that searches are under way when the network is cut.
        time.sleep(0.2)
        link.cut()
        try:
            until = time.monotonic() + CUT_SECONDS
            while time.monotonic() < until:
                start = time.monotonic()
                server.client.upsert_items(held[:1], timeout=DEADLINE_SECONDS)
                tally.count("writes while it was cut")
                tally.most("seconds of a write", time.monotonic() - start)
            wait_for(lambda: server.metric(UP) == 0, BACK_SECONDS)
            link.mend()
            start = time.monotonic()
            wait_for(lambda: server.metric(UP) == 1, BACK_SECONDS)
            tally.most("seconds until the engine is found again", time.monotonic() - start)
        finally:
            link.mend()
            stop.set()
        lists = [each for reader in readers for each in reader.result()]
    seconds, recalls = zip(*lists, strict=True)
    tally.count("lists meanwhile, of which failed: 0", len(lists))
    tally.most("seconds of a list", max(seconds))
    assert max(seconds) < DEADLINE_SECONDS + LATE_SECONDS
    assert np.mean(recalls) > LEAST_RECALL
    # It was asked when the network went, and not by each list.
    failed = server.metric(FAILURES) - failures
    assert 1 <= failed <= READERS, (failed, tally.line())


def numbers(first: int, stop: threading.Event) -> Iterator[int]:
    """Yield numbers until told to stop."""
    number = first
    while not stop.is_set():
        yield number
        number += 1
