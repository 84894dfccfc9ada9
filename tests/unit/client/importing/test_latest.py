"""What a file says last of a person, an item and a type counts, whatever was recorded before."""

from collections.abc import Iterator, Sequence
from itertools import compress
from operator import not_
from pathlib import Path
from typing import cast

import grpc
import pytest
from google.rpc import status_pb2
from longtail.client import LongtailClient, LongtailError
from longtail.client.importing.latest import MANY, at_lines, latest_lines, writing_latest
from longtail.client.importing.report import ImportReport, Numbered
from longtail.client.importing.sender import send
from longtail.v1.interaction_service_pb2 import Interaction, WriteInteractionsResponse

from tests.unit.client.importing.reading import interactions_in

# An id that a server refuses, alone in a call as a whole.
BAD, INVALID = "b\x7f", grpc.StatusCode.INVALID_ARGUMENT.value[0]


class Kept:
    """Interactions by their ids, as a server keeps them, of which each call comes later."""

    def __init__(self) -> None:
        self.recorded: dict[tuple[str, str], Interaction] = {}
        self.seconds = 2_000_000_000

    def list_interactions(
        self, *, user_id: str, item_id: str = "", page_size: int
    ) -> Iterator[Interaction]:
        if BAD in (user_id, item_id):
            raise LongtailError(grpc.StatusCode.INVALID_ARGUMENT, "holds a control character")
        theirs = (
            each
            for each in self.recorded.values()
            if each.user_id == user_id and item_id in ("", each.item_id)
        )
        yield from sorted(theirs, key=lambda each: (-each.time.seconds, each.event_id))

    def write_interactions(self, interactions: Sequence[Interaction]) -> WriteInteractionsResponse:
        before = len(self.recorded)
        self.seconds += 1
        bad = [BAD in (each.user_id, each.item_id) for each in interactions]
        for each in compress(interactions, map(not_, bad)):
            kept = Interaction()
            kept.CopyFrom(each)
            if not each.HasField("time"):
                kept.time.FromSeconds(self.seconds)
            if not each.HasField("value"):
                kept.value = 1
            self.recorded.setdefault((each.user_id, each.event_id), kept)
        return WriteInteractionsResponse(
            statuses=[status_pb2.Status(code=INVALID if each else 0) for each in bad],
            recorded_count=len(self.recorded) - before,
            revision=8,
            unknown_item_positions=[
                at for at, each in enumerate(interactions) if each.item_id == "unknown"
            ],
        )

    def counting(self, user_id: str, item_id: str) -> float:
        return next(self.list_interactions(user_id=user_id, item_id=item_id, page_size=1)).value

    def take(self, path: Path, rows: str, header: str = "user_id,item_id,rating") -> ImportReport:
        """Import a file of rows as `--latest` does."""
        path.write_text(f"{header}\n{rows}\n")
        messages, report = interactions_in(path)
        numbered = [Numbered(line, each) for line, each in enumerate(messages, 2)]
        lines = latest_lines(numbered)
        write = writing_latest(cast(LongtailClient, self))
        send(at_lines(numbered, lines, report), write, report)
        assert report.rows_read == report.imported + report.duplicates + report.dropped_count
        return report


def test_a_rating_that_is_changed_back_counts_again(tmp_path: Path) -> None:
    kept, path = Kept(), tmp_path / "a.csv"
    for times, rating in enumerate((2, 5, 2, 5), 1):
        report = kept.take(path, f"ada,7,{rating}\neve,7,1")
        assert kept.counting("ada", "7") == rating
        assert (report.imported, report.duplicates) == ((2, 0) if times == 1 else (1, 1))
        again = kept.take(path, f"ada,7,{rating}\neve,7,1")
        assert (again.imported, again.duplicates) == (0, 2)
        assert len(kept.recorded) == 1 + times


def test_the_last_row_of_a_file_counts(tmp_path: Path) -> None:
    kept, path = Kept(), tmp_path / "a.csv"
    rows = "ada,7,2\nada,8,3\nada,7,5\nada,7,4\nada,7,"
    for imported in (2, 0):
        report = kept.take(path, rows)
        assert (report.imported, report.dropped_count) == (imported, 1)
        assert (kept.counting("ada", "7"), kept.counting("ada", "8")) == (4, 3)


def test_the_latest_time_counts_and_of_one_time_what_the_file_says(tmp_path: Path) -> None:
    kept, path = Kept(), tmp_path / "a.csv"
    header = "user_id,item_id,rating,timestamp"
    kept.take(path, "ada,7,5,1600000002\nada,7,2,1600000001", header)
    assert kept.counting("ada", "7") == 5
    for rating in (1, 3, 1, 3, 1):
        assert kept.take(path, f"ada,7,{rating},1600000003", header).imported == 1
        assert kept.take(path, f"ada,7,{rating},1600000003", header).imported == 0
        assert kept.counting("ada", "7") == rating
    # What came later than the file was made is not taken back by it.
    assert kept.take(path, "ada,7,4,1600000002", header).duplicates == 1
    assert kept.counting("ada", "7") == 1
    assert {each.time.seconds for each in kept.recorded.values()} == {1600000002, 1600000003}


def test_types_are_apart_and_a_row_without_a_value_has_one(tmp_path: Path) -> None:
    kept, path = Kept(), tmp_path / "a.csv"
    header = "user_id,item_id,type"
    for imported in (3, 0):
        report = kept.take(path, "ada,7,view\nada,7,cart\nada,unknown,view", header)
        assert report.imported == imported
    report = kept.take(path, "ada,7,rating,5\nada,unknown,view,3", f"{header},value")
    assert report.imported == 2
    assert report.unknown_items.lines == [3]


def test_of_many_items_all_that_a_person_did_is_read(tmp_path: Path) -> None:
    kept, path = Kept(), tmp_path / "a.csv"
    ratings = {item: item % 5 for item in range(2 * MANY)}
    for imported in (len(ratings), 0, 1):
        rows = "\n".join(f"ada,{item},{rating}" for item, rating in ratings.items())
        assert kept.take(path, rows).imported == imported
        # What follows only then differs.
        ratings[3] += imported == 0


@pytest.mark.parametrize("rows", [f"{BAD},7,4", f"ada,{BAD},4"])
def test_an_id_that_none_can_have_costs_its_row_only(tmp_path: Path, rows: str) -> None:
    kept, path = Kept(), tmp_path / "a.csv"
    for imported in (2, 0):
        report = kept.take(path, f"ada,7,5\n{rows}\neve,7,3")
        assert report.imported == imported
        assert [each.lines for each in report.dropped.values()] == [[3]]
    assert (kept.counting("ada", "7"), kept.counting("eve", "7")) == (5, 3)


def test_a_server_that_fails_fails_the_import(tmp_path: Path) -> None:
    class Away(Kept):
        def list_interactions(
            self, *, user_id: str, item_id: str = "", page_size: int
        ) -> Iterator[Interaction]:
            raise LongtailError(grpc.StatusCode.UNAUTHENTICATED, "who is it?")
            yield

    with pytest.raises(LongtailError, match="who is it"):
        Away().take(tmp_path / "a.csv", "ada,7,5")
