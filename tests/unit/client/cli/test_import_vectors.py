"""`longtail import items` with vectors in vector spaces, from files that can hold lists."""

import json
from pathlib import Path

import pyarrow
import pytest
from longtail.client import named_vectors
from pyarrow import parquet

from tests.unit.client.cli.command_line import run
from tests.unit.client.fake import Fake

ROWS = [
    {"id": "1", "title": "One", "clip": [0.5, 1.0], "text_v": [1.0]},
    {"id": "2", "title": "", "clip": [2.0, 3.0], "text_v": None},
]
OPTIONS = ("--named-vector", "image=clip", "--named-vector", "words=text_v")


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_columns_of_vectors_are_imported(fake: Fake, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name == "a.parquet":
        parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
    else:
        file.write_text("".join(json.dumps(each) + "\n" for each in ROWS))
    done = run("import", "items", file, *OPTIONS, address=fake.address)

    assert done.exit_code == 0, done.output
    one, other = fake.items["1"], fake.items["2"]
    assert list(one.extra_vectors) == named_vectors({"image": [0.5, 1], "words": [1]})
    assert list(other.extra_vectors) == named_vectors({"image": [2, 3]})
    assert not one.attributes.fields
    assert not other.title


@pytest.mark.parametrize("given", ["clip", "=clip", "image="])
def test_a_named_vector_is_a_name_and_a_column(fake: Fake, tmp_path: Path, given: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(ROWS[0]))
    done = run("import", "items", file, "--named-vector", given, address=fake.address)
    assert done.exit_code == 2
    assert "NAME=COLUMN" in done.output
