"""The capacity model against cases that were computed by hand."""

import tomllib
from dataclasses import fields, replace

import pytest

from bench.capacity import command
from bench.capacity.model import (
    CONSTANTS,
    GIB,
    Constants,
    Demand,
    Fleet,
    Group,
    Plan,
    encoding_hours,
    installations,
    plans,
    scaled,
)

VIEWS, PGVECTOR, MILVUS = range(3)
KNOWN = Constants(
    **{each.name: 0.0 for each in fields(Constants)}
    | {
        "server_ms": 4.0,
        "search_ms": 6.0,
        "search_items": 1e6,
        "encode_query_ms": 20.0,
        "encode_texts_per_second": 100.0,
        "graph_factor": 1.0,
        "item_bytes": 100.0,
        "mapped_bytes": 200.0,
        "found_bytes": 100.0,
        "store_connections": 2.0,
        "pgvector_bytes": 768.0,
        "pgvector_ms": 8.0,
        "pgvector_items": 1e6,
        "milvus_factor": 2.0,
        "milvus_ms": 5.0,
        "milvus_items": 1e6,
        "milvus_segment_items": 1e6,
    }
)
FLEET = Fleet(cores=16, memory=10.0, large_cores=16, large_memory=20.0, used=0.5)
# A vector has 1,024 bytes.
DEMAND = Demand(items=1e6, rate=1000, dimension=256, new_texts=0.1)


def test_a_search_takes_longer_with_the_logarithm_and_never_less() -> None:
    assert scaled(5.0, 1e4, 1e8) == pytest.approx(10.0)
    assert scaled(5.0, 1e4, 100) == 5.0


def test_a_machine_holds_as_many_processes_as_its_memory_has_places() -> None:
    plan = plans(DEMAND, FLEET, KNOWN)[VIEWS]
    # 1,000 x 10 ms at half use are 20 processes. Of 10 GiB what is mapped takes 1.224 GB, a merge
    # 1.024 GB, and a process 1.156 GB: 7 places, 3 machines, and one to spare.
    servers = plan.groups["servers"]
    assert (servers.machines, servers.processes, servers.cores) == (4, 7, 8)
    assert servers.memory == pytest.approx((2.248e9 + 7 * 1.156e9) / GIB)
    assert plan.core_ms == 10.0
    # 1,000 x 0.1 x 20 ms at half use are 4 cores.
    assert plan.groups["workers"].cores == 4
    assert plan.strain["memory of a server machine"] == pytest.approx(3.404e9 / GIB / 10)
    assert plan.strain["connections of PostgreSQL"] == pytest.approx(4 * 7 * 2 / 5000)
    assert plan.holds


def test_what_is_too_large_for_a_machine_is_said_and_no_number_of_stores_helps() -> None:
    large = replace(DEMAND, items=1e7)
    plan = plans(large, FLEET, KNOWN)[VIEWS]
    assert (plan.holds, plan.breaks_first) == (False, "memory of a server machine")
    assert installations(large, FLEET, KNOWN, VIEWS) == 0


def test_one_postgresql_has_so_many_cores_and_two_stores_have_twice_as_many() -> None:
    # 1,000 x 8 ms of a search at half use are 16 cores; 1,250 take 20 of 16.
    more = replace(DEMAND, rate=1250)
    plan = plans(more, FLEET, KNOWN)[PGVECTOR]
    assert (plan.breaks_first, plan.strain["cores of PostgreSQL"]) == ("cores of PostgreSQL", 1.25)
    # 1,250 x 200 x 100 bytes are 0.2 of 10 Gbit/s, used by half.
    assert plan.strain["network of PostgreSQL"] == pytest.approx(0.04)
    assert installations(more, FLEET, KNOWN, PGVECTOR) == 2
    # 768 x 256 / 384 bytes of a vector in its graph, beside the records.
    assert plan.groups["PostgreSQL"].memory == pytest.approx(8 + 512e6 / GIB)
    # 1,250 x 4 ms at half use are 10 processes, each of 132 bytes an item, on one machine that has
    # 200 mapped, and one to spare.
    servers = plan.groups["servers"]
    assert (servers.machines, servers.processes) == (2, 10)
    assert servers.memory == pytest.approx((200e6 + 10 * 132e6) / GIB)


def test_every_segment_is_searched() -> None:
    plan = plans(replace(DEMAND, items=4e6, rate=2000), FLEET, KNOWN)[MILVUS]
    # 4 segments of 5 ms; 2,000 x 20 ms at half use are 80 cores, and 5 machines.
    assert plan.core_ms == 4 + 20
    assert plan.groups["Milvus"].machines == 6
    assert plan.groups["Milvus"].memory == 8.0
    assert plan.strain["memory of a server machine"] == pytest.approx(4 * 332e6 / GIB / 10)


def test_a_plan_costs_its_cores_and_memory() -> None:
    plan = Plan("", {"a": Group(2, 10, 100.0), "b": Group(1, 2, 8.0, 4)}, {"x": 0.5}, 1.0)
    assert plan.cost(FLEET) == pytest.approx(22 * 0.04 + 208 * 0.005)
    assert encoding_hours(DEMAND, KNOWN) == pytest.approx(1e6 / 100 / 3600)


def test_each_constant_says_what_it_is_and_how_it_was_measured() -> None:
    with CONSTANTS.open("rb") as file:
        told = tomllib.load(file)
    assert told.keys() == {each.name for each in fields(Constants)}
    assert all(each.keys() == {"value", "what", "command"} for each in told.values())
    assert Constants.read().server_ms > 0


def test_the_command_reads_out_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--items", "10e6", "--rate", "1000", "2000", "--core-hour", "0"]) == 0
    said = capsys.readouterr().out
    assert said.count("| PostgreSQL + pgvector | 1 |") == 2
    assert "### 10,000,000 items, 2,000 requests/s" in said
