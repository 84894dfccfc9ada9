"""A server that is killed in the midst of its work in the background."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.server.operations.snapshots import UNFINISHED
from longtail.v1.admin_service_pb2 import Operation, OperationState

from tests import processes
from tests.faults.answers import check_exact, questions
from tests.faults.extent import extent
from tests.faults.filled import ITEMS, SETTINGS, FilledStore, has_merged
from tests.faults.items import Material
from tests.faults.stores import check_store, generations, is_writing_generation, wait_for
from tests.faults.tally import Tally

pytestmark = pytest.mark.model

KILLS = extent(1, 10)
LATER_SECONDS = 0.05
RUNNING, SUCCEEDED = (
    OperationState.OPERATION_STATE_RUNNING,
    OperationState.OPERATION_STATE_SUCCEEDED,
)


def test_a_kill_while_a_merge_is_written_leaves_a_sound_index(
    worker_address: str, material: Material, filled: FilledStore, tally: Tally
) -> None:
    home, catalogue = filled.home, filled.items
    asked = questions(material)
    for kill in range(KILLS):
        before = generations(home)
        with (
            processes.server(home, worker_address, **SETTINGS) as running,
            LongtailClient(running.address) as client,
        ):
            numbers = range(len(catalogue), len(catalogue) + ITEMS // 4)
            late = [material.item(f"late-{number}", number) for number in numbers]
            client.upsert_items(late[:1000])
            catalogue.update({item.id: item for item in late[:1000]})
            wait_for(lambda: is_writing_generation(home), pause=0.0)
            kill_later(running, kill)
        tally.count("kills")
        tally.count("of them before the generation was whole", generations(home) <= before)
        with (
            processes.server(home, worker_address, **SETTINGS) as running,
            LongtailClient(running.address) as client,
        ):
            check_exact(client, asked, catalogue)
            wait_for(lambda: has_merged(client))
            check_exact(client, asked, catalogue)
            assert not is_writing_generation(home)
            assert running.stop() == 0
    check_store(home)


def test_a_kill_during_a_rebuild_is_made_good_by_the_next_start(
    worker_address: str, material: Material, filled: FilledStore, tally: Tally
) -> None:
    home, catalogue = filled.home, filled.items
    asked = questions(material)

    def runs(client: LongtailClient, operation_id: str) -> bool:
        return client.get_operation(operation_id).operation.state == RUNNING

    def writes(_client: LongtailClient, _operation_id: str) -> bool:
        return is_writing_generation(home)

    for kill in range(KILLS):
        before = generations(home)
        operation_id = killed_during(
            home,
            worker_address,
            lambda client: client.rebuild_index().operation,
            writes if kill % 2 else runs,
            kill,
        )
        tally.count("kills")
        with (
            processes.server(home, worker_address, **SETTINGS) as running,
            LongtailClient(running.address) as client,
        ):
            state = client.get_operation(operation_id).operation.state
            tally.count("operations resumed", state != SUCCEEDED)
            check_exact(client, asked, catalogue)
            client.wait_for_operation(operation_id)
            check_exact(client, asked, catalogue)
            assert max(generations(home)) > max(before)
            assert running.stop() == 0
    check_store(home)


def test_a_kill_while_a_snapshot_is_made_leaves_none_that_is_half_made(
    worker_address: str, material: Material, filled: FilledStore, tally: Tally
) -> None:
    home, catalogue = filled.home, filled.items
    asked = questions(material)
    snapshots = home / "data" / "snapshots"

    def half_made() -> int:
        return len(list(snapshots.glob(f"*{UNFINISHED}")))

    for kill in range(KILLS):
        operation_id = killed_during(
            home,
            worker_address,
            lambda client: client.create_snapshot().operation,
            lambda _client, _operation_id: half_made() > 0,
            kill,
        )
        tally.count("kills")
        tally.count("half-made snapshots left by them", half_made())
        with (
            processes.server(home, worker_address, **SETTINGS) as running,
            LongtailClient(running.address) as client,
        ):
            check_exact(client, asked, catalogue)
            made = client.wait_for_operation(operation_id).snapshot_id
            assert half_made() == 0
            listed = client.list_snapshots().snapshots
            assert made in {snapshot.id for snapshot in listed}
            for snapshot in listed:
                assert snapshot.item_count == len(catalogue)
                client.wait_for_operation(client.verify_snapshot(snapshot.id).operation.id)
            tally.count("snapshots verified", len(listed))
            assert running.stop() == 0
    check_store(home)


def killed_during(
    home: Path,
    worker_address: str,
    begin: Callable[[LongtailClient], Operation],
    is_moment: Callable[[LongtailClient, str], bool],
    seed: int,
) -> str:
    """Begin an operation and kill the server soon after `is_moment`; return the operation's id."""
    with (
        processes.server(home, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        operation = begin(client)
        wait_for(lambda: is_moment(client, operation.id), pause=0.0)
        kill_later(running, seed)
    return operation.id


def kill_later(running: processes.Running, seed: int) -> None:
    """Kill the server after a moment that differs from time to time."""
    time.sleep(random.Random(seed).uniform(0, LATER_SECONDS) if seed else 0)
    running.stop(signal.SIGKILL)
