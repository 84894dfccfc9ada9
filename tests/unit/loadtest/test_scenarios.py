from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from longtail.client import AsyncLongtailClient
from longtail.client.calls.attributes import attributes
from longtail.client.calls.filters import where
from longtail.v1.interaction_service_pb2 import WriteInteractionsRequest
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import BatchUpsertItemsRequest
from longtail.v1.recommendation_service_pb2 import RecommendRequest

from loadtest.material import Material, MaterialError, gather, read_column
from loadtest.scenarios import Operation, Scenario, marked_items, marked_users, operations
from loadtest.target import is_loopback
from tests.unit.client.fake_server import fake_server

ITEMS = [
    Item(id="1", title="One", text="The first", attributes=attributes({"kind": ["film", "old"]})),
    Item(id="2", text="The second of them", attributes=attributes({"kind": "film", "year": 1990})),
]
MATERIAL = Material(
    queries=["a", "b", "c"],
    users=["1", "2"],
    items=ITEMS,
    filters=[where("kind").equals("film")],
)


def taken(scenario: Scenario, count: int, material: Material = MATERIAL) -> list[Operation]:
    return list(islice(operations(scenario, material), count))


def recommended(scenario: Scenario, count: int) -> list[RecommendRequest]:
    requests = [each.request for each in taken(scenario, count)]
    return [each for each in requests if isinstance(each, RecommendRequest)]


def test_scenarios_hold_what_they_say_in_the_same_order_every_time() -> None:
    by_query = recommended(Scenario.QUERY, 6)
    by_person = recommended(Scenario.PERSON, 4)
    mixed = recommended(Scenario.MIXED, 9)

    assert {request.query for request in by_query} == set(MATERIAL.queries)
    assert {request.user_id for request in by_person} == set(MATERIAL.users)
    kinds = [(bool(request.query), bool(request.user_id)) for request in mixed]
    assert kinds == [(True, False), (False, True), (True, True)] * 3
    assert mixed == recommended(Scenario.MIXED, 9)


def test_what_is_written_is_marked_so_that_it_can_be_removed() -> None:
    written = [each.request for each in taken(Scenario.WRITES, 500)]
    events = [each for each in written if isinstance(each, WriteInteractionsRequest)]
    items = [each for each in written if isinstance(each, BatchUpsertItemsRequest)]

    assert (len(events), len(items)) == (44, 8)
    assert {each.interactions[0].user_id for each in events} <= set(marked_users())
    assert {each.interactions[0].item_id for each in events} == {"1", "2"}
    assert len({each.interactions[0].event_id for each in events}) == len(events)
    assert {each.items[0].id for each in items} <= set(marked_items())
    assert {each.items[0].title for each in items} == {"One", "Of a load test"}


def test_a_cold_start_asks_for_nobody_twice() -> None:
    cold = recommended(Scenario.COLD, 40)

    assert len({request.user_id or request.query for request in cold}) == 40
    assert not {request.user_id for request in cold} & set(MATERIAL.users)


def test_every_request_of_filters_has_one_that_fits() -> None:
    assert all(
        request.filter.all_of[0].field == "kind" for request in recommended(Scenario.FILTERS, 10)
    )
    without = Material(MATERIAL.queries, MATERIAL.users, ITEMS, [])
    with pytest.raises(MaterialError, match="attributes"):
        taken(Scenario.FILTERS, 1, without)


def test_hot_keys_are_most_of_what_is_asked() -> None:
    many = Material(MATERIAL.queries, [str(number) for number in range(1000)], ITEMS, [])
    users = Counter(
        each.request.user_id
        for each in taken(Scenario.HOT, 4000, many)
        if isinstance(each.request, RecommendRequest) and each.request.user_id
    )

    assert sum(count for _, count in users.most_common(20)) > 0.5 * users.total()


async def test_material_comes_from_a_folder_and_the_rest_from_the_server(tmp_path: Path) -> None:
    (tmp_path / "queries.csv").write_text("query_id,query\n1,seas\n2,stars\n")
    (tmp_path / "interactions.csv").write_text("user_id,item_id\nu,1\nv,1\nu,2\n")
    with fake_server() as fake:
        fake.items = {item.id: item for item in ITEMS}
        async with AsyncLongtailClient(fake.address) as client:
            of_folder = await gather(client, tmp_path, None, None)
            of_server = await gather(client, None, None, None)

    assert (of_folder.queries, of_folder.users) == (["seas", "stars"], ["u", "v"])
    assert of_server.queries == ["One", "The second of them"]
    assert [each.equals.text for each in of_server.filters] == ["film", "old"]


def test_queries_come_from_lines_or_from_a_column(tmp_path: Path) -> None:
    lines, table = tmp_path / "queries.txt", tmp_path / "queries.csv"
    lines.write_text("one\n\ntwo\none\n")
    table.write_text("user_id,query\n1,one\n2,two\n3,\n")

    assert read_column(lines, "query") == read_column(table, "query") == ["one", "two"]
    with pytest.raises(MaterialError, match="no column 'words'"):
        read_column(table, "words")


def test_a_file_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(MaterialError, match="holds nothing"):
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
