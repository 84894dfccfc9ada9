"""What is refused of a batch, and of an import stream: all counted, the first ones kept."""

from collections.abc import Mapping, Sequence

from google.rpc import status_pb2
from longtail.runtime.errors import ServiceError
from longtail.v1 import import_refusal_pb2

KEPT = 100


def statuses(count: int, wrong: Mapping[int, ServiceError]) -> list[status_pb2.Status]:
    """Return the statuses of a batch of `count` elements: OK, or what is wrong by position."""
    return [
        wrong[position].status() if position in wrong else status_pb2.Status()
        for position in range(count)
    ]


class Refusals:
    """What a stream's batches had refused, in the order of the stream."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[import_refusal_pb2.ImportRefusal] = []
        self._seen = 0

    def add(self, wrong: Mapping[int, ServiceError], ids: Sequence[str]) -> None:
        """Take the next batch: what was `wrong`, by position, and the ids of all its elements."""
        for position, error in sorted(wrong.items()):
            self.count += 1
            if len(self.first) < KEPT:
                self.first.append(
                    import_refusal_pb2.ImportRefusal(
                        position=self._seen + position, id=ids[position], status=error.status()
                    )
                )
        self._seen += len(ids)
