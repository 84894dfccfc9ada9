"""What becomes of the rows of a file: sent by line, acknowledged, dropped for a reason."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from longtail.client.calls.errors import LongtailError, error_from_status
from longtail.client.importing.rows import BadRow
from longtail.v1.item_pb2 import Item

LINES_SHOWN = 5

# The place of a vector, in the path of what is wrong with it.
_EXTRA_VECTOR = re.compile(r"\bextra_vectors\[(\d+)\]\.vector$")

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Numbered(Generic[M]):
    """A message and the line it comes from."""

    line: int
    message: M


@dataclass(frozen=True)
class Acknowledgement:
    """The server's answer to one batch: a status per message, and how many were new to it.

    `unattributed`: positions of those that it accepted without their recommendation_token, and
    `unknown` of those whose item it does not have. Of items, `added` were not there, and
    `unchanged` were there as they are.
    """

    statuses: Sequence[status_pb2.Status]
    recorded: int
    revision: int
    unattributed: Sequence[int] = ()
    unknown: Sequence[int] = ()
    added: int = 0
    unchanged: int = 0


@dataclass
class Rows:
    """Rows of one kind: how many, and the lines of the first."""

    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        """Count the row at a line."""
        self.count += 1
        if len(self.lines) < LINES_SHOWN:
            self.lines.append(line)

    def told(self) -> str:
        """Return how many they are, and where the first stand, for people."""
        more = ", …" if self.count > len(self.lines) else ""
        return f"{self.count:,} (line {', '.join(map(str, self.lines))}{more})"


@dataclass
class Dropped(Rows):
    """Rows dropped for one reason; `detail` is what was wrong with the first."""

    detail: str = ""


@dataclass
class ImportReport:
    """What became of the rows of a file so far.

    `failed` are those dropped ones that the server failed on, for no fault of their own that it
    knows of; `removed` items that the file does not have. Of items, `imported` are those that were
    `added` or changed. `unknown_items` are interactions with items that the server does not have.
    """

    rows_read: int = 0
    imported: int = 0
    duplicates: int = 0
    failed: int = 0
    dropped: dict[str, Dropped] = field(default_factory=dict)
    unattributed: Rows = field(default_factory=Rows)
    added: int = 0
    unchanged: int = 0
    removed: int = 0
    unknown_items: Rows = field(default_factory=Rows)
    revision: int = 0
    remarks: tuple[str, ...] = ()

    def drop(self, row: BadRow) -> None:
        """Count a row that was not imported."""
        self.dropped.setdefault(row.reason, Dropped(detail=row.detail)).add(row.line)

    def count(
        self, batch: Sequence[Numbered[M]], acknowledgements: Sequence[Acknowledgement]
    ) -> None:
        """Count what the server says of a batch, which it may have been given in parts."""
        statuses = [status for answer in acknowledgements for status in answer.statuses]
        accepted = 0
        for numbered, status in zip(batch, statuses, strict=True):
            error = error_from_status(status)
            if error is None:
                accepted += 1
            else:
                self.failed += error.code is not grpc.StatusCode.INVALID_ARGUMENT
                self.drop(BadRow(numbered.line, *_refusal(error, numbered.message)))
        start = 0
        for answer in acknowledgements:
            for position in answer.unattributed:
                self.unattributed.add(batch[start + position].line)
            for position in answer.unknown:
                self.unknown_items.add(batch[start + position].line)
            self.added += answer.added
            self.unchanged += answer.unchanged
            accepted -= answer.unchanged
            start += len(answer.statuses)
        recorded = sum(answer.recorded for answer in acknowledgements)
        self.imported += recorded
        self.duplicates += accepted - recorded
        self.revision = max(self.revision, *(answer.revision for answer in acknowledgements))

    @property
    def useful(self) -> int:
        """Rows that were of use: written, or there already."""
        return self.imported + self.duplicates + self.unchanged

    def of_no_use(self) -> str:
        """Return why no row is of use, for people."""
        if not self.dropped:
            return "there are no rows"
        reason, dropped = next(iter(self.dropped.items()))
        detail = f": {dropped.detail}" if dropped.detail else ""
        return (
            f"none of the {self.rows_read:,} rows could be used; {dropped.count:,} for "
            f"{reason}{detail}"
        )

    def told(self) -> list[tuple[str, str]]:
        """Return what is to be said of the file and its dropped rows, for people."""
        rows = [("remark", remark) for remark in self.remarks]
        for reason, dropped in self.dropped.items():
            detail = f"; the first: {dropped.detail}" if dropped.detail else ""
            rows.append((f"  {reason}", f"{dropped.told()}{detail}"))
        if self.unattributed.count:
            rows.append(("of no known list", self.unattributed.told()))
        if self.unknown_items.count:
            rows.append(("of items that are not there", self.unknown_items.told()))
        return rows

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return asdict(self)

    @property
    def dropped_count(self) -> int:
        """Rows that were not imported, whatever the reason."""
        return sum(dropped.count for dropped in self.dropped.values())


def _refusal(error: LongtailError, message: Message) -> tuple[str, str]:
    """Return the reason and the detail; a row is known by its line, not by its place in a batch."""
    if error.code is not grpc.StatusCode.INVALID_ARGUMENT:
        return f"failed in the server ({error.code.name})", error.message
    wrong = {_leaf(each.field, message): each.description for each in error.violations}
    where = f" ({', '.join(sorted(wrong))})" if wrong else ""
    detail = "; ".join(f"{field} {description}" for field, description in wrong.items())
    return f"refused by the server{where}", detail or error.message


def _leaf(path: str, message: Message) -> str:
    """Return `text` of `items[3].text`; of a vector in a vector space, that space too."""
    leaf = path.rpartition("].")[2]
    if isinstance(message, Item) and (found := _EXTRA_VECTOR.search(path)):
        return f"{leaf} in space {message.extra_vectors[int(found[1])].name!r}"
    return leaf
