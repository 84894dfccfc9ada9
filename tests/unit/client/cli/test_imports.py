"""How an import ends, and what its options do."""

import json
from pathlib import Path

import pytest
from longtail.v1.interaction_service_pb2 import WriteInteractionsRequest
from longtail.v1.item_pb2 import Item

from tests.unit.client.cli.command_line import run
from tests.unit.client.fake import Fake


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("item_id,title\n", "there are no rows"),
        ("[]", "there are"),
        ("item_id,title\n,Bear\n,Fox\n", "none of the 2 rows could be used; 2 for missing id"),
        ("item_id,price\n1,2\n", "say which with --title or --text; there are item_id, price"),
        ('{"item_id": {"$oid": "7"}, "title": "Bear"}\n', "an object is neither text nor whole"),
    ],
)
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_an_import_that_can_use_no_row_is_an_error(
    fake: Fake, tmp_path: Path, content: str, message: str, check: tuple[str, ...]
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(content)
    done = run("import", "items", file, *check, address=fake.address)
    assert message in str(done.exception)
    assert not fake.items


def test_a_file_without_rows_prunes_nothing(fake: Fake, tmp_path: Path) -> None:
    fake.items = {"1": Item(id="1", title="One")}
    file = tmp_path / "a.csv"
    file.write_text("item_id,title\n")
    done = run("import", "items", file, "--prune", "--yes", address=fake.address)
    assert "nothing is removed" in str(done.exception)
    assert set(fake.items) == {"1"}


def test_a_file_of_one_person_names_them_once(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "goodreads.csv"
    file.write_text('Book Id,Title,ISBN,My Rating\n1,Dune,"=""0441013597""",5\n2,Emma,"=""""",0\n')
    done = run("import", "interactions", file, "--one-user", "ada", "--json", address=fake.address)
    assert json.loads(done.stdout)["imported"] == 2
    [request] = fake.requests
    assert isinstance(request, WriteInteractionsRequest)
    assert [each.user_id for each in request.interactions] == ["ada", "ada"]


def test_the_latest_of_a_file_is_no_matter_of_event_ids(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("user_id,item_id,rating,event_id\nada,7,5,x\n")
    done = run("import", "interactions", file, "--latest", address=fake.address)
    assert "'event_id' has the ids of events" in str(done.exception)

    file.write_text("user_id,item_id,rating\nada,7,5\nada,7,4\n")
    done = run(
        "import", "interactions", file, "--latest", "--check", "--json", address=fake.address
    )
    found = json.loads(done.stdout)
    assert (found["usable"], found["duplicates"], found["first"][0]["value"]) == (1, 1, 4)
