"""Snapshots: made by whichever server maintains the store, and all servers' alike."""

import pytest

from tests.conformance.asked import item, put
from tests.conformance.deployment import Deployment
from tests.conformance.test_writes import viewed
from tests.faults.items import Material

pytestmark = pytest.mark.model


def test_a_snapshot_is_listed_verified_erased_and_deleted_through_any_server(
    deployment: Deployment, material: Material
) -> None:
    first, last = deployment.clients[0], deployment.clients[-1]
    put(first, [item(material, "seen", 7)])
    first.write_interactions([viewed("to-be-erased", "seen", at) for at in range(3)])
    operation = last.create_snapshot().operation.id
    deployment.finish(operation)
    made = first.get_operation(operation).operation.snapshot_id
    for client in deployment.clients:
        [held] = client.list_snapshots().snapshots
        assert (held.id, held.item_count) == (made, 1)
    before = held.interaction_count
    deployment.finish(last.verify_snapshot(made).operation.id)
    deployment.finish(first.delete_user_data("to-be-erased").erasure_operation_id)
    # It was written anew, without them.
    deployment.finish(first.verify_snapshot(made).operation.id)
    [erased] = last.list_snapshots().snapshots
    assert erased.interaction_count == before - 3
    last.delete_snapshot(made)
    for client in deployment.clients:
        assert not client.list_snapshots().snapshots
