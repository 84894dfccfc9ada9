"""The command line as people and programs meet it: streams, exit codes, files."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

import pyarrow
import pytest
from longtail.client import attributes
from longtail.client.cli.__main__ import main
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.v1.item_pb2 import STATE_HIDDEN, Item
from pyarrow import parquet

from tests.processes import PATIENCE_SECONDS, free_address
from tests.unit.client.cli.command_line import row
from tests.unit.client.fake_interactions import UNKNOWN_TOKEN
from tests.unit.client.fake_server import Fake

ARTICLE = (
    "user_id,item_id,item_description,query\n"
    "2,60756,Step Brothers. They fight.,funny\n"
    "2,60756,Step Brothers. They fight.,quotable\n"
    "3,60756,Step Brothers. They fight.,\n"
    "3,7,,sad\n"
)


def longtail(
    *arguments: str | Path, address: str, columns: int = 200
) -> subprocess.CompletedProcess[str]:
    """Run the command as its process does, in this one: to start one takes a second each time."""
    command = ["longtail", *map(str, arguments)]
    printed, complained = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    environment = {"LONGTAIL_SERVER_ADDRESS": address, "COLUMNS": str(columns)}
    with (
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", command),
        redirect_stdout(printed),
        redirect_stderr(complained),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    texts = []
    for stream in (printed, complained):
        stream.seek(0)
        texts.append(stream.read())
    return subprocess.CompletedProcess(command, int(ended.value.code or 0), *texts)


def as_json(done: subprocess.CompletedProcess[str]) -> Any:  # noqa: ANN401
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_recommend_shows_titles_as_they_are(fake: Fake) -> None:
    done = longtail(
        "recommend",
        "space",
        "--dislike",
        "7",
        "--long-tail",
        "0",
        "--taste",
        "0.5",
        address=fake.address,
    )

    assert done.returncode == 0, done.stderr
    assert "[bold]One" in done.stdout
    (request,) = fake.requests
    assert request.query == "space"  # type: ignore[attr-defined]
    assert request.examples[0].weight == -1  # type: ignore[attr-defined]


def test_json_is_one_document_under_the_names_of_the_contract(fake: Fake) -> None:
    done = longtail("recommend", "--json", address=fake.address)

    assert as_json(done)["results"][0]["item_id"] == "1"
    assert done.stderr == ""


def test_items_are_imported_and_what_is_dropped_is_reported(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text(
        "item_id,title,text,genres,downloads\n"
        "1,One,first,a|b,5\n"
        "1,One again,first,a|b,5\n"
        "2,,,,\n"
        "3,refuse me,third,,\n"
        "4,short\n"
        "5,Five,fifth,,many\n"
    )

    done = longtail(
        "import", "items", file, "--prior", "downloads", "--list-column", "genres", "--json",
        address=fake.address,
    )  # fmt: skip

    report = as_json(done)
    assert list(fake.items) == ["1"]
    assert fake.items["1"].popularity_prior == 5
    assert list(fake.items["1"].attributes["genres"]) == ["a", "b"]  # type: ignore[arg-type]
    counts = (report["rows_read"], report["imported"], report["duplicates"], report["revision"])
    assert counts == (6, 1, 1, 7)
    assert {reason: dropped["lines"] for reason, dropped in report["dropped"].items()} == {
        "missing text": [4],
        "refused by the server (title)": [5],
        "wrong number of fields": [6],
        "bad number": [7],
    }
    assert longtail("import", "items", file, "--strict", address=fake.address).returncode == 3


def test_an_import_goes_on_after_what_the_server_failed_on_and_says_so(
    fake: Fake, tmp_path: Path
) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item_id,title\n1,fail\n2,Two\n")
    done = longtail("import", "items", file, address=fake.address)
    assert done.returncode == 3
    assert list(fake.items) == ["2"]
    shown = " ".join(done.stdout.split())
    assert "failed in the server (INTERNAL) 1 (line 2); the first: the device failed" in shown


def test_a_check_writes_nothing_and_says_what_would_be_read(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "items.tsv"
    file.write_text("movieId\tname\tzip\n1.0\tOne\t01234\n\tNobody\t90210\n")

    report = as_json(longtail("import", "items", file, "--check", "--json", address=fake.address))
    shown = longtail("import", "items", file, "--check", address=fake.address).stdout

    assert report["columns"] == {"movieId": "id", "name": "title", "zip": "attribute, text"}
    assert report["first"] == [{"id": "1", "title": "One", "attributes": {"zip": "01234"}}]
    assert (report["rows_read"], report["usable"]) == (2, 1)
    assert "missing id" in shown
    assert not fake.requests


def test_a_file_of_which_no_row_is_of_use_is_an_error(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "plays.csv"
    file.write_text("user_id,item_id,date\n1,2,3/4/2021\n1,3,4/5/2021\n")

    done = longtail("import", "interactions", file, address=fake.address)

    assert done.returncode == 2
    assert "none of the 2 rows could be used; 2 for bad timestamp" in done.stderr
    assert "--time-format" in done.stderr
    form = ["--time-format", "%d/%m/%Y"]
    as_json(longtail("import", "interactions", file, *form, "--json", address=fake.address))


def test_what_a_file_does_not_have_is_removed_where_that_is_wanted(
    fake: Fake, tmp_path: Path
) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item_id,title\n1,One\n2,Two\n")
    as_json(longtail("import", "items", file, "--json", address=fake.address))
    file.write_text("item_id,title\n2,Two\n3,\n")

    bad = longtail("import", "items", file, "--prune", "--yes", address=fake.address)
    assert bad.returncode == 2
    assert "nothing is removed: 1 rows were dropped" in bad.stderr
    file.write_text("item_id,title\n2,Two\n")
    unsure = longtail("import", "items", file, "--prune", address=fake.address)
    assert "Remove 1 of 2 items, which the file does not have (1)?" in unsure.stderr
    assert list(fake.items) == ["1", "2"]
    sure = longtail("import", "items", file, "--prune", "--yes", "--json", address=fake.address)
    assert as_json(sure)["removed"] == 1
    assert list(fake.items) == ["2"]


def test_a_popularity_is_known_by_its_name_unless_it_is_said_to_be_an_attribute(
    fake: Fake, tmp_path: Path
) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item_id,text,monthly_downloads\n1,first,5\n")

    as_json(longtail("import", "items", file, "--json", address=fake.address))
    assert fake.items["1"].popularity_prior == 5
    assert not fake.items["1"].attributes.fields
    options = ["--attribute", "monthly_downloads", "--json"]
    as_json(longtail("import", "items", file, *options, address=fake.address))
    assert fake.items["1"].popularity_prior == 0
    assert fake.items["1"].attributes["monthly_downloads"] == 5


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have what is started heed SIGINT, which what a shell runs in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_import_reports_what_was_written(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item_id,text\n" + "".join(f"{n},text\n" for n in range(40 * 256)))
    begun = Event()
    slow = 0.2

    def wait() -> None:
        begun.set()
        time.sleep(slow)

    fake.before_answer = wait
    command = [sys.executable, "-m", "longtail.client.cli", "import", "items", str(file), "--json"]
    with subprocess.Popen(
        [*command, "--address", fake.address], stdout=subprocess.PIPE, text=True
    ) as process:
        assert begun.wait(PATIENCE_SECONDS)
        process.send_signal(signal.SIGINT)
        report = json.loads(process.communicate(timeout=PATIENCE_SECONDS)[0])

    assert process.returncode == 130
    assert 0 < report["imported"] == len(fake.items) < 40 * 256


def test_the_form_of_the_article_is_known_by_its_header(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "recommendation_data.csv"
    file.write_text(ARTICLE)

    items = as_json(longtail("import", "items", file, "--json", address=fake.address))
    first = as_json(longtail("import", "interactions", file, "--json", address=fake.address))
    again = as_json(longtail("import", "interactions", file, "--json", address=fake.address))

    assert fake.items["60756"].text == "Step Brothers. They fight."
    assert not fake.items["60756"].attributes.fields
    assert (items["imported"], items["duplicates"]) == (1, 2)
    assert items["dropped"]["missing text"]["lines"] == [5]
    assert (first["imported"], first["dropped"]["missing query"]["lines"]) == (3, [4])
    assert (again["imported"], again["duplicates"]) == (0, 3)


def test_an_interaction_of_no_known_list_is_imported_and_reported(
    fake: Fake, tmp_path: Path
) -> None:
    file = tmp_path / "purchases.csv"
    rows = ["ann,1,", f"bob,1,{UNKNOWN_TOKEN}", "cyd,1,token", f"dan,2,{UNKNOWN_TOKEN}"]
    file.write_text("\n".join(["user_id,item_id,recommendation_token", *rows]))
    done = longtail("import", "interactions", file, "--strict", address=fake.address)
    again = as_json(longtail("import", "interactions", file, "--json", address=fake.address))

    assert done.returncode == 0, done.stderr
    assert "2 (line 3, 5)" in row(done.stdout, "of no known list")
    assert "4" in row(done.stdout, "imported ").split()
    assert again["unattributed"] == {"count": 2, "lines": [3, 5]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "items", "{absent}"], "absent.csv: No such file"),
        (["import", "items", "{file}", "--prior", "sales"], "no column 'sales'"),
        (["import", "interactions", "{file}"], "no column for the person"),
        (["import", "items", "{file}", "--format", "article"], "no column 'item_description'"),
        (["recommend", "--count", "none"], "--count"),
        (["recommend", "--bogus"], "--bogus"),
        (["forget"], "forget"),
    ],
)
def test_wrong_usage_and_useless_files_send_nothing(
    fake: Fake, tmp_path: Path, arguments: list[str], message: str
) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item_id,title\n1,One\n")
    places = {"{file}": str(file), "{absent}": str(tmp_path / "absent.csv")}

    done = longtail(*(places.get(each, each) for each in arguments), address=fake.address)

    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert not fake.requests


def test_a_refusal_names_the_fields_on_one_line(fake: Fake) -> None:
    fake.failures = [InvalidArgument(Violation("long_tail.strength", "not in 0 to 1"))]
    done = longtail("recommend", "--long-tail", "2", "--json", address=fake.address)

    assert done.returncode == 1
    assert done.stderr == "longtail: long_tail.strength: not in 0 to 1\n"
    assert done.stdout == ""


def test_nobody_there_says_where_and_what_to_do() -> None:
    address = free_address()
    done = longtail("stats", address=address)

    assert done.returncode == 1
    assert address in done.stderr
    assert "longtail-server" in done.stderr
    assert done.stderr.count("\n") == 1


def test_tests_of_attributes_become_a_filter(fake: Fake) -> None:
    done = longtail(
        "recommend", "--where", "year>=1990", "--where", "!premium=true", address=fake.address
    )

    assert done.returncode == 0, done.stderr
    (request,) = fake.requests
    assert request.filter.all_of[0].range.at_least.number == 1990  # type: ignore[attr-defined]
    assert request.filter.none_of[0].equals.flag  # type: ignore[attr-defined]


def test_an_export_says_no_more_than_what_an_import_takes(fake: Fake, tmp_path: Path) -> None:
    item = Item(id="7", title="Seven", attributes=attributes({"b": {"d": 1, "c": None}, "a": []}))
    item.create_time.FromSeconds(5)
    item.update_time.FromSeconds(6)
    fake.items = {"7": item}
    report = as_json(
        longtail("items", "export", tmp_path / "a.jsonl", "--json", address=fake.address)
    )
    shown = longtail("items", "export", "-", address=fake.address)

    assert report == {"exported": 1}
    assert shown.stdout == (tmp_path / "a.jsonl").read_text()
    assert shown.stdout == (
        '{"id": "7", "title": "Seven", "attributes": {"a": [], "b": {"c": null, "d": 1}}, '
        '"text": "", "popularity_prior": 0.0, "state": "STATE_UNSPECIFIED", "penalty": 0.0}\n'
    )


GIVEN = {"item_id": "1", "title": "One", "year": 1977, "half": 0.5, "new": True}
GIVEN["id64"] = 2**53 + 1
NESTED = {"tags": [1, False], "size": {"cm": 3}}


def write_csv(path: Path, row: Mapping[str, Any]) -> None:
    # As a spreadsheet has it.
    cells = [cell if isinstance(cell, str) else json.dumps(cell) for cell in row.values()]
    path.write_text(f"{','.join(row)}\n{','.join(cells)}\n")


def write_json(path: Path, row: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(row) + "\n")


def write_parquet(path: Path, row: Mapping[str, Any]) -> None:
    parquet.write_table(pyarrow.Table.from_pylist([dict(row)]), path)


@pytest.mark.parametrize(
    ("name", "write", "more"),
    [
        ("a.csv", write_csv, {}),
        ("a.jsonl", write_json, NESTED),
        ("a.parquet", write_parquet, {"size": {"cm": 3}, "tags": [1, 2]}),
    ],
)
def test_attributes_keep_their_types_wherever_they_are_shown(
    fake: Fake,
    tmp_path: Path,
    name: str,
    write: Callable[[Path, Mapping[str, Any]], None],
    more: Mapping[str, Any],
) -> None:
    again = tmp_path / "again.jsonl"
    write(tmp_path / name, {**GIVEN, **more})
    as_json(longtail("import", "items", tmp_path / name, "--json", address=fake.address))
    kept = {"year": 1977, "half": 0.5, "new": True, "id64": "9007199254740993", **more}
    expected = json.dumps(kept, sort_keys=True)

    got = as_json(longtail("items", "get", "1", "--json", address=fake.address))
    listed = as_json(longtail("items", "list", "--json", address=fake.address))
    longtail("items", "export", again, address=fake.address)
    for item in (got["items"][0], listed[0], json.loads(again.read_text())):
        assert json.dumps(item["attributes"], sort_keys=True) == expected
    shown = longtail("items", "get", "1", address=fake.address).stdout
    for field, value in kept.items():
        told = value if isinstance(value, str) else json.dumps(value)
        assert row(shown, f"{field} ").split(maxsplit=1) == [field, told]

    before = fake.items["1"]
    longtail("import", "items", again, address=fake.address)
    assert fake.items["1"].attributes == before.attributes


def test_large_numbers_are_shown_whole(fake: Fake) -> None:
    fake.items = {"1": Item(id="1", title="One", popularity_prior=1_234_567)}
    assert "1234567" in row(longtail("items", "get", "1", address=fake.address).stdout, "prior")
    assert "1234567" in row(longtail("items", "list", address=fake.address).stdout, "One")


def test_items_are_read_changed_and_removed(fake: Fake) -> None:
    fake.items = {"1": Item(id="1", title="One", state=STATE_HIDDEN)}
    got = longtail("items", "get", "1", "2", "--json", address=fake.address)
    changed = longtail(
        "items", "update", "1", "--set", "title=Uno", "--clear", "text", address=fake.address
    )
    deleted = longtail("items", "delete", "1", "2", address=fake.address)

    assert (got.returncode, got.stderr) == (1, "longtail: no item '2'\n")
    assert json.loads(got.stdout)["missing_ids"] == ["2"]
    assert "Uno" in changed.stdout
    assert list(fake.requests[1].update_mask.paths) == ["title", "text"]  # type: ignore[attr-defined]
    assert (deleted.returncode, deleted.stdout) == (1, "removed 1 items at revision 9\n")


def test_interactions_are_listed_over_pages(fake: Fake) -> None:
    listed = as_json(
        longtail("interactions", "list", "--user", "u", "--json", address=fake.address)
    )
    assert [each["event_id"] for each in listed] == ["0", "1", "2"]
    assert longtail("interactions", "list", address=fake.address).returncode == 2


def test_operations_are_begun_followed_and_seen_to_fail(fake: Fake) -> None:
    begun = as_json(longtail("admin", "rebuild-index", "--no-wait", "--json", address=fake.address))
    made = as_json(longtail("admin", "snapshot", "create", "--json", address=fake.address))
    broken = longtail("admin", "snapshot", "verify", "broken", address=fake.address)
    listed = longtail("admin", "snapshot", "list", address=fake.address, columns=80)

    assert begun["state"] == "OPERATION_STATE_UNSPECIFIED"
    assert (made["state"], made["snapshot_id"]) == ("OPERATION_STATE_SUCCEEDED", "s1")
    assert (broken.returncode, broken.stdout) == (1, "")
    assert "a byte is flipped" in broken.stderr
    # Whole, as the other commands are given it, however narrow the terminal is.
    assert "000001-20261128T093727Z-4" in listed.stdout
    assert "2.0" in listed.stdout


def test_items_that_an_operation_passed_over_are_counted_and_named(fake: Fake) -> None:
    done = longtail("admin", "operation", "partial", address=fake.address)
    assert done.returncode == 3
    shown = " ".join(done.stdout.split())
    assert "items passed over 1,200 film text: is no text" in shown
