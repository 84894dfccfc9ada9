from pathlib import Path

import pytest

from loadtest.scenarios import Scenario, ScenarioError, make_requests, read_column
from loadtest.target import is_loopback


def test_scenarios_hold_what_they_say_in_the_same_order_every_time() -> None:
    queries, users = ["a", "b", "c"], ["1", "2"]

    by_query = make_requests(Scenario.QUERY, queries, users)
    by_person = make_requests(Scenario.PERSON, [], users)
    mixed = make_requests(Scenario.MIXED, queries, users)

    assert {request.query for request in by_query} == set(queries)
    assert {request.user_id for request in by_person} == set(users)
    kinds = [(bool(request.query), bool(request.user_id)) for request in mixed]
    assert kinds == [(True, False), (False, True), (True, True)] * 3
    assert mixed == make_requests(Scenario.MIXED, queries, users)


def test_queries_come_from_lines_or_from_a_column(tmp_path: Path) -> None:
    lines, table = tmp_path / "queries.txt", tmp_path / "queries.csv"
    lines.write_text("one\n\ntwo\none\n")
    table.write_text("user_id,query\n1,one\n2,two\n3,\n")

    assert read_column(lines, "query") == read_column(table, "query") == ["one", "two"]
    with pytest.raises(ScenarioError, match="no column 'words'"):
        read_column(table, "words")


def test_a_file_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ScenarioError, match="holds nothing"):
        read_column(tmp_path / "empty.txt", "query")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:50051", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("10.0.0.1:50051", False),
        ("localhost.example.org:50051", False),
        ("0.0.0.0:50051", False),
    ],
)
def test_only_this_machine_is_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
