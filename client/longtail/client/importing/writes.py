"""How batches of an import are written: the calls, and what they say became of the messages."""

from collections.abc import Sequence

from longtail.client.calls.sync import LongtailClient
from longtail.client.importing.patience import Write
from longtail.client.importing.report import Acknowledgement
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item


def writing_items(client: LongtailClient) -> Write[Item]:
    """Return what writes a batch of items."""

    def write(items: Sequence[Item], request_id: str) -> Acknowledgement:
        answer = client.upsert_items(items, request_id=request_id)
        return Acknowledgement(
            answer.statuses,
            answer.added_count + answer.changed_count,
            answer.revision,
            added=answer.added_count,
            unchanged=answer.unchanged_count,
        )

    return write


def writing_interactions(client: LongtailClient) -> Write[Interaction]:
    """Return what records a batch of interactions."""

    def write(interactions: Sequence[Interaction], _request_id: str) -> Acknowledgement:
        # Their event_ids make a repetition harmless.
        answer = client.write_interactions(interactions)
        unattributed = [each.position for each in answer.unattributed]
        return Acknowledgement(
            answer.statuses,
            answer.recorded_count,
            answer.revision,
            unattributed,
            answer.unknown_item_positions,
        )

    return write
