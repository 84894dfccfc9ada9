"""What is written for nothing is no id, and what things are called is one."""

import json
from pathlib import Path

import pytest

from tests.unit.client.importing.reading import interactions_in, items_in

Ids = list[tuple[str, str]]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize(
    ("ids", "read"),
    [
        ([("1", "nan"), ("NULL", "2.0"), ("-3", "4.0")], [("-3", "4")]),
        # There are packages of these names.
        ([("ada", "nan"), ("null", "left-pad"), ("nan", "null")], None),
        ([("ada", r"\N"), ("<NA>", "x"), ("eve", "y")], [("eve", "y")]),
    ],
)
def test_a_word_for_nothing_is_an_id_where_the_others_are_words(
    tmp_path: Path, name: str, ids: Ids, read: Ids | None
) -> None:
    path = tmp_path / name
    rows = [dict(zip(("user_id", "item_id"), each, strict=True)) for each in ids]
    if name == "a.csv":
        path.write_text("\n".join(map(",".join, [("user_id", "item_id"), *ids])) + "\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    messages, report = interactions_in(path)
    found = [(each.user_id, each.item_id) for each in messages]
    assert found == (ids if read is None else read)
    assert report.rows_read == len(found) + report.dropped_count


def test_titles_are_words(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item_id,title,text,colour\nnan,null,Native,NULL\nnull,\\N,,red\nx,y,#N/A,\n")
    items, report = items_in(path)
    assert [(each.id, each.title, each.text) for each in items] == [
        ("nan", "null", "Native"), ("x", "y", "")
    ]  # fmt: skip
    assert not items[0].attributes.fields
    assert report.dropped["missing text"].lines == [3]
