"""The command line against our real processes, with real text and the real encoder."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import processes

pytestmark = [pytest.mark.model, pytest.mark.data]

FILMS = 200


@pytest.fixture(scope="module")
def address(
    worker_address: str, development_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the address of a server that holds the first films and their ratings."""
    home = tmp_path_factory.mktemp("cli")
    with processes.server(home, worker_address) as running:
        films = home / "items.csv"
        with (development_data / "movies" / "items.csv").open(encoding="utf-8") as lines:
            films.write_text("".join(next(lines) for _ in range(FILMS + 1)), encoding="utf-8")
        ratings = home / "interactions.csv"
        with (development_data / "movies" / "interactions.csv").open(encoding="utf-8") as lines:
            ratings.write_text("".join(next(lines) for _ in range(1001)), encoding="utf-8")

        items = as_json(
            longtail("import", "items", films, "--list-column", "genres", address=running.address)
        )
        history = as_json(
            longtail("import", "interactions", ratings, "--neutral", "2.5", address=running.address)
        )

        assert (items["rows_read"], items["imported"], items["dropped"]) == (FILMS, FILMS, {})
        assert (history["imported"], history["duplicates"], history["dropped"]) == (1000, 0, {})
        assert history["revision"] > items["revision"] > 0
        yield running.address


def longtail(
    *arguments: str | Path, address: str, json_flag: bool = True
) -> subprocess.CompletedProcess[str]:
    flags = ["--json"] if json_flag else []
    return subprocess.run(
        [sys.executable, "-m", "longtail.client.cli", *map(str, arguments), *flags],
        env=processes.environment(Path(), LONGTAIL_SERVER_ADDRESS=address, COLUMNS="200"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def as_json(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:  # noqa: ANN401
    assert done.returncode == code, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_a_query_finds_its_film(address: str) -> None:
    answer = as_json(
        longtail("recommend", "toys come to life", "--long-tail", "0", address=address)
    )

    assert answer["results"][0]["title"] == "Toy Story (1995)"
    assert len(answer["results"]) == 10


def test_a_table_is_for_people(address: str) -> None:
    done = longtail(
        "recommend",
        "toys come to life",
        "--count=3",
        "--explain",
        "--long-tail=0",
        address=address,
        json_flag=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Toy Story" in done.stdout
    assert "relevance loss" in done.stdout


def test_what_is_excluded_or_an_example_is_not_listed_and_explain_says_so(address: str) -> None:
    options = ["--exclude", "1", "--like", "2"]
    answer = as_json(longtail("recommend", "toys come to life", *options, address=address))
    excluded = as_json(longtail("explain", "1", "toys come to life", *options, address=address))
    liked = as_json(longtail("explain", "2", "toys come to life", *options, address=address))

    assert not {"1", "2"} & {result["item_id"] for result in answer["results"]}
    assert excluded["verdict"] == "VERDICT_EXCLUDED"
    assert liked["verdict"] == "VERDICT_EXAMPLE"


def test_importing_the_same_interactions_again_counts_nothing_twice(
    address: str, development_data: Path, tmp_path: Path
) -> None:
    before = as_json(longtail("stats", address=address))
    again = tmp_path / "again.csv"
    with (development_data / "movies" / "interactions.csv").open(encoding="utf-8") as lines:
        again.write_text("".join(next(lines) for _ in range(301)), encoding="utf-8")

    report = as_json(longtail("import", "interactions", again, address=address))

    assert (report["imported"], report["duplicates"]) == (0, 300)
    after = as_json(longtail("stats", address=address))
    assert after["interaction_count"] == before["interaction_count"]


def test_items_are_read_listed_and_removed(address: str) -> None:
    found = as_json(longtail("items", "get", "3", "nowhere", address=address), code=1)
    [film] = found["items"]
    assert film["title"] == "Grumpier Old Men (1995)"
    assert film["attributes"] == {"genres": ["Comedy", "Romance"], "year": 1995}
    assert type(film["attributes"]["year"]) is int
    assert found["missing_ids"] == ["nowhere"]

    listed = as_json(longtail("items", "list", "--limit", "20", address=address))
    assert len(listed) == 20
    ids = [each["id"] for each in listed]
    assert ids == sorted(ids)

    assert int(as_json(longtail("items", "delete", "3", address=address))["revision"]) > 0
    gone = as_json(longtail("items", "get", "3", address=address), code=1)
    assert gone["missing_ids"] == ["3"]


def test_a_person_can_be_forgotten(address: str) -> None:
    first = as_json(longtail("user", "delete", "1", address=address))
    second = as_json(longtail("user", "delete", "1", address=address))

    assert int(first["deleted_interaction_count"]) > 0
    assert int(second["deleted_interaction_count"]) == 0


def test_stats_and_info_describe_the_server(address: str) -> None:
    stats = as_json(longtail("stats", address=address))
    info = as_json(longtail("info", address=address))

    buckets = sum(int(stats[name]["item_count"]) for name in ("head", "mid", "tail"))
    assert int(stats["item_count"]) == buckets
    assert info["dimension"] == 384
    assert info["model_id"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["recommend", "toys", "--long-tail", "2"], "strength"),
        (["recommend", "x" * 5000], "query"),
        (["recommend", "toys", "--user", "u" * 300], "user_id"),
    ],
)
def test_the_server_names_the_field_that_is_wrong(
    address: str, arguments: list[str], field: str
) -> None:
    done = longtail(*arguments, address=address)

    assert (done.returncode, done.stdout) == (1, "")
    assert field in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_the_server_refuses_does_not_stop_an_import(address: str, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    rows = [
        {"item_id": "new-1", "title": "A film about a lighthouse"},
        {"item_id": "x" * 300, "title": "An id that is too long"},
        {"item_id": "new-2", "title": "A film about a library"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    report = as_json(longtail("import", "items", file, address=address))

    assert report["imported"] == 2
    ((reason, dropped),) = report["dropped"].items()
    assert "refused by the server" in reason
    assert dropped["lines"] == [2]
