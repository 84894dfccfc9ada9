"""An export brings back the catalogue that it was made of, byte for byte."""

from pathlib import Path

import pytest
from longtail.client import attributes, named_vectors
from longtail.client.calls.messages import pack_vector
from longtail.client.importing.json_rows import HEADER_ROWS
from longtail.v1.item_pb2 import STATE_ACTIVE, STATE_HIDDEN, STATE_IN_REVIEW, Item

from tests.unit.client.cli.command_line import run
from tests.unit.client.fake import Fake

ATTRIBUTES = {
    "z": 1, "a": [1, 2.5, "x", None, True, [], {}], "m": {"b": 1, "a": {"y": None, "x": ""}},
    "none": None, "empty": "", "list": [], "object": {}, "yes": True, "no": False, "tenth": 0.1,
    "big": 1e300, "two60": 2.0**60, "id64": str(2**60), "zip": "01234", "day": "2026-01-01",
    "blanks": "  x ", "nan": "NaN", "markup": "<b>x</b>", "id": "x", "title": "y", "a.b": 1, "": 3,
    "Käse": "两个", "vector": [1], "create_time": "never",
}  # fmt: skip


def catalogue() -> list[Item]:
    window = Item(id="window", title="Window", state=STATE_ACTIVE)
    window.available_from.FromJsonString("0001-01-01T00:00:00Z")
    window.available_until.FromJsonString("9999-12-31T23:59:59.999999Z")
    items = [
        Item(id="1", title="Title and text", text="of a film"),
        Item(id="own", title="Vector", vector=pack_vector([0.1, -2.5, 1e-30])),
        Item(id="own only", vector=pack_vector([1, 0, 3.4e38])),
        Item(id="7.0", title="7.0"),
        Item(id="nan", title="NaN", text="null"),
        Item(id=" blanks ", title="  Title ", text="\ta\r\nb\0c\v\x1b\u2028d\x85"),
        Item(id="a/b c?d=e&f", title="<b>bold</b> &amp; <p>x</p>", text="a<br>b"),
        Item(id="cafe\u0301", title="Not composed: e\u0301"),
        Item(id="\U0001f680", title="\U0001f469\u200d\U0001f680 两个"),
        Item(id="long", title="Long", text="汉\x01" * 10_000),
        Item(id="attributes", title="All", attributes=attributes(ATTRIBUTES)),
        Item(id="hidden", title="Hidden", state=STATE_HIDDEN, penalty=0.3, popularity_prior=12.25),
        Item(id="review", title="Review", state=STATE_IN_REVIEW, penalty=1, popularity_prior=1e30),
        window,
        Item(id="picture", extra_vectors=named_vectors({"image": [0.5, 1], "sound": [1e-30]})),
        Item(id="both", title="Both", extra_vectors=named_vectors({"image": [1, 0]})),
    ]
    # What few have is known for what it is, though none of the first items have it.
    items = [*(Item(id=f"first {number}", title="T") for number in range(HEADER_ROWS)), *items]
    for item in items:
        # As a server tells it.
        item.state = item.state or STATE_ACTIVE
    return items


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_an_export_into_an_empty_catalogue_gives_an_equal_export(
    fake: Fake, tmp_path: Path, name: str
) -> None:
    written = {item.id: item for item in catalogue()}
    first, second = tmp_path / name, tmp_path / f"second-{name}"
    fake.items = dict(written)
    assert run("items", "export", first, address=fake.address).exit_code == 0
    fake.items = {}
    done = run("import", "items", first, "--strict", address=fake.address)
    assert done.exit_code == 0, done.output
    assert fake.items == written
    assert run("items", "export", second, address=fake.address).exit_code == 0
    assert first.read_bytes() == second.read_bytes()


def test_what_was_added_to_an_export_is_read_as_in_any_file(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    item = Item(id="1", title="One", state=STATE_ACTIVE, attributes=attributes({"year": 1977}))
    fake.items = {"1": item}
    run("items", "export", file, address=fake.address)
    file.write_text(file.read_text().replace('"title"', '"colour": "red", "title"'))
    # Of another kind than an export has it, and without what it always has.
    file.write_text(
        file.read_text() + '{"id": 2, "title": "Two", "text": ""}\n{"id": "3", "title": "Three"}\n'
    )
    done = run("import", "items", file, address=fake.address)

    assert fake.items["1"].attributes == attributes({"year": 1977, "colour": "red"})
    assert set(fake.items) == {"1"}
    assert "not as an export has it" in done.output
