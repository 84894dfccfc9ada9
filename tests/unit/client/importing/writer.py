"""Takes batches in the place of a server."""

from collections.abc import Sequence

from google.rpc import status_pb2
from longtail.client.calls.errors import LongtailError
from longtail.client.importing.report import Acknowledgement
from longtail.v1.item_pb2 import Item

from tests.unit.client.fake_items import BAD_TITLE


class Writer:
    """Fails with each of `failures`, then takes everything except what is titled "refuse me"."""

    def __init__(self, *failures: LongtailError) -> None:
        self.failures = list(failures)
        self.sizes: list[int] = []
        self.request_ids: list[str] = []

    def __call__(self, items: Sequence[Item], request_id: str) -> Acknowledgement:
        self.request_ids.append(request_id)
        self.sizes.append(len(items))
        if self.failures:
            raise self.failures.pop(0)
        statuses = [
            BAD_TITLE if item.title == "refuse me" else status_pb2.Status() for item in items
        ]
        return Acknowledgement(statuses, sum(status.code == 0 for status in statuses), 3)
