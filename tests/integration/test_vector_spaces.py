"""Vectors of the caller's own in a space beside the texts', over real processes: they stay."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from grpc import StatusCode
from longtail.client import LongtailClient, LongtailError, example, named_vectors
from longtail.server.store.record_store import DATABASE, check_database
from longtail.v1.item_pb2 import Item

from tests import processes
from tests.films import FILMS, films

pytestmark = pytest.mark.model

DIMENSION = 8


def vectors() -> dict[str, list[float]]:
    drawn = np.random.default_rng(5).normal(size=(len(FILMS), DIMENSION))
    return dict(zip(FILMS, drawn.tolist(), strict=True))


def longtail(address: str, *arguments: str | Path) -> dict[str, object]:
    command = [sys.executable, "-m", "longtail.client.cli", *map(str, arguments)]
    command += ["--json", "--address", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def held(client: LongtailClient) -> dict[str, Item]:
    """Return the items as they are exported, but for their times."""
    found = {item.id: item for item in client.export_items()}
    for item in found.values():
        item.ClearField("create_time")
        item.ClearField("update_time")
    return found


def check_found(client: LongtailClient) -> None:
    """Fail unless items are found by their vectors in the space, those without a text too."""
    given = vectors()
    for name, vector in given.items():
        near = client.recommend(examples=[example(vector=vector, space="image")], strength=0)
        assert near.results[0].item_id == name
    matrix = np.array(list(given.values()))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    names, at = list(given), list(given).index("robots")
    nearest = [names[row] for row in np.argsort(-(matrix @ matrix[at])) if row != at]
    like = client.recommend(
        examples=[example(item_id="robots", space="image")], strength=0, page_size=3
    )
    assert [result.item_id for result in like.results] == nearest[:3]
    with pytest.raises(LongtailError) as caught:
        client.recommend(examples=[example(vector=given["heat"], space="sound")])
    assert caught.value.violations[0].field == "examples[0].space"


def test_vectors_are_imported_exported_deleted_and_put_back(
    worker_address: str, tmp_path: Path
) -> None:
    file, copy = tmp_path / "films.jsonl", tmp_path / "copy.jsonl"
    lines = [{"id": name, "clip": vector} for name, vector in vectors().items()]
    # Half of them have a text too.
    for line, film in zip(lines[::2], films()[::2], strict=True):
        line |= {"title": film.title, "text": film.text}
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    named = "--named-vector", "image=clip"
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        longtail(running.address, "vector-spaces", "create", "image", str(DIMENSION))
        told = longtail(running.address, "import", "items", file, *named)
        assert told["added"] == len(FILMS)
        again = longtail(running.address, "import", "items", file, *named)
        assert again["unchanged"] == len(FILMS)
        before = held(client)
        longtail(running.address, "items", "export", copy)
        told = longtail(running.address, "import", "items", copy)
        assert told["unchanged"] == len(FILMS)
        (space,) = client.list_vector_spaces().vector_spaces
        assert (space.name, space.dimension, space.item_count) == ("image", DIMENSION, len(FILMS))
        for item_id, vector in vectors().items():
            (found,) = before[item_id].extra_vectors
            assert np.frombuffer(found.vector, "<f4") == pytest.approx(
                np.array(vector) / np.linalg.norm(vector), abs=1e-6
            )
        check_found(client)
        made = client.wait_for_operation(client.create_snapshot().operation.id)
        client.delete_vector_space("image")
        assert not any(item.extra_vectors for item in client.export_items())
        with pytest.raises(LongtailError) as caught:
            client.update_item(
                Item(id="alien", extra_vectors=named_vectors({"image": [1.0] * DIMENSION})),
                ["extra_vectors"],
            )
        assert caught.value.code is StatusCode.INVALID_ARGUMENT
        assert caught.value.violations[0].field == "item.extra_vectors[0].name"
        # Another space of the same name begins without a vector.
        client.create_vector_space("image", 3)
        assert [each.item_count for each in client.list_vector_spaces().vector_spaces] == [0]
        assert running.stop() == 0
    assert check_database(tmp_path / "data" / DATABASE) == []

    restored = subprocess.run(
        [sys.executable, "-m", "longtail.server.operations.restore", made.snapshot_id],
        env=processes.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert restored.returncode == 0, restored.stderr
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        assert held(client) == before
        check_found(client)
        client.delete_items(list(FILMS)[:6])
        assert client.list_vector_spaces().vector_spaces[0].item_count == 6
        assert running.stop() == 0
    assert check_database(tmp_path / "data" / DATABASE) == []


def test_what_looks_alike_is_found_by_pictures_that_an_encoder_of_images_saw(
    worker_address: str, tmp_path: Path
) -> None:
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        done = subprocess.run(
            [sys.executable, "examples/find_by_picture.py", "cat", "house"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=processes.ROOT,
            env=os.environ | {"LONGTAIL_SERVER_ADDRESS": running.address},
        )
        assert done.returncode == 0, done.stderr
        # It leaves the catalogue as it was.
        assert held(client) == {}
        assert not client.list_vector_spaces().vector_spaces
    imported, cat, house = done.stdout.splitlines()[-3:]
    assert imported == "888 pictures imported; those with * have no text"
    found = cat.removeprefix("cat: ").split(", ")
    assert {"smiley_cat", "smirk_cat"} & {each.rstrip("*") for each in found}
    assert any(each.endswith("*") for each in found)
    assert "house_with_garden" in house
