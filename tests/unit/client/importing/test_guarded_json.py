"""JSON too deep or with half characters costs its row, or is refused before it costs time."""

import json
from pathlib import Path

import pytest
from longtail.client.importing.json_rows import BUFFER
from longtail.client.importing.opening import open_rows
from longtail.client.importing.rows import FileError

from tests.unit.client.importing.reading import items_in


@pytest.mark.parametrize("levels", [30, 200, 2_000])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jsonl", '{{"id":"1","title":"One"}}\n{{"id":"2","title":"Two","deep":{0}}}\n'),
        ("a.json", '[{{"id":"1","title":"One"}},{{"id":"2","title":"Two","deep":{0}}}]'),
        ("titles.json", '[{{"id":"1","title":"One"}},{{"id":"2","title":{{"a":{0}}}}}]'),
    ],
)
def test_a_row_with_too_much_in_each_other_is_dropped(
    tmp_path: Path, name: str, file: str, levels: int
) -> None:
    path = tmp_path / name
    path.write_text(file.format("[" * levels + "]" * levels))
    items, report = items_in(path)
    assert [each.id for each in items] == ["1"]
    assert len(report.dropped) == 1
    items[0].FromString(items[0].SerializeToString())


def test_a_cell_that_is_too_deep_costs_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,title,deep\n1,One,[]\n2,Two," + "[" * 30 + "]" * 30)
    items, report = items_in(path)
    assert ([each.id for each in items], list(report.dropped)) == (["1"], ["attributes too deep"])


def test_as_much_as_the_contract_allows_is_in_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id":"1","title":"One","deep":%s}' % ("[" * 29 + "]" * 29))
    [item], _ = items_in(path)
    assert str(item.attributes).count("list_value") == 29


@pytest.mark.parametrize("opened", ["[", '[{"a":', '[{"a\\\\\\"":'])
def test_a_file_of_nothing_but_beginnings_is_refused_at_once(tmp_path: Path, opened: str) -> None:
    path = tmp_path / "a.json"
    # Some gigabytes of paths if each level were looked at.
    path.write_text(opened * 1_000_000)
    with pytest.raises(FileError, match="nested over 10,000 levels"), open_rows(str(path)):
        pass


def test_brackets_in_strings_open_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    titles = ["[" * 600_000, '\\"[' * 250_000, '{"' * 250_000 + "\\", "One"]
    path.write_text(json.dumps([{"id": str(n), "title": each} for n, each in enumerate(titles)]))
    items, _ = items_in(path)
    assert [each.title for each in items] == titles


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\uD83Dx\\uDE00", "\\ud83d\\ud83d\\ude00"])
@pytest.mark.parametrize("before", [0, BUFFER - 40, BUFFER - 36, BUFFER - 31, BUFFER - 30])
def test_half_a_character_is_no_question_mark(tmp_path: Path, half: str, before: int) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"id":"1","title":"' + "x" * before + half + '"}]')
    with pytest.raises(FileError, match="half a character is escaped"), open_rows(str(path)):
        pass


def test_a_line_of_half_a_character_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    half = '{"id":"1","title":"\\ud800"}\n'
    path.write_text(half + '{"id":"2","title":"Two"}\n')
    items, report = items_in(path)
    assert ([each.id for each in items], list(report.dropped)) == (["2"], ["not UTF-8"])
    path.write_text(half)
    with pytest.raises(FileError, match="row 1: not UTF-8"), open_rows(str(path)):
        pass


def test_whole_characters_may_be_escaped_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    titles = [("x" * n) + "\U0001f600\\ud83d\\\U0001f600" * 3_000 for n in range(25)]
    path.write_text(json.dumps([{"id": str(n), "title": each} for n, each in enumerate(titles)]))
    assert path.stat().st_size > BUFFER
    items, _ = items_in(path)
    assert [each.title for each in items] == titles
