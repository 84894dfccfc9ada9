"""One type per column, over the whole file, and nothing of a cell lost by it."""

from pathlib import Path
from typing import Any

import pytest
from longtail.client import attributes_of
from longtail.client.importing.columns import ItemOptions

from tests.unit.client.importing.reading import BY_NAME, items_in


def column(path: Path, cells: list[str], options: ItemOptions = BY_NAME) -> list[Any]:
    quoted = [cell.replace('"', '""') for cell in cells]
    rows = "".join(f'{at},t,"{cell}"\n' for at, cell in enumerate(quoted))
    (path / "a.csv").write_text("id,title,a\n" + rows)
    items, report = items_in(path / "a.csv", options)
    assert report.rows_read == len(items) + report.dropped_count
    return [attributes_of(item).get("a") for item in items]


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["1995", "7", ""], [1995, 7, None]),
        (["38", "38.5", "NaN"], [38, 38.5, None]),
        (["1977.0", "1980.0"], [1977, 1980]),
        (["3.50", "4.25", "10"], [3.5, 4.25, 10]),
        (["1e-07", "0.5"], [1e-07, 0.5]),
        # Codes, of which one would change or is no number, are text all over.
        (["0425115801", "1558746218", "034545104X"], ["0425115801", "1558746218", "034545104X"]),
        (["01234", "90210"], ["01234", "90210"]),
        (["12e3", "7"], ["12e3", "7"]),
        (["-0", "7"], ["-0", "7"]),
        ([r"\N", "7", "NULL", "NaT", "<NA>"], [None, 7, None, None, None]),
        (["1.10", "1.1"], ["1.10", "1.1"]),
        (["38", "M"], ["38", "M"]),
        ([str(2**53), "1"], [str(2**53), "1"]),
        (["9" * 300, "1"], ["9" * 300, "1"]),
        (["inf", "1"], ["inf", "1"]),
        (["+1", "1"], ["+1", "1"]),
        (["true", "False", "TRUE"], [True, False, True]),
        (["true", "yes"], ["true", "yes"]),
        (["['a', 'b']", '["c"]', "[]"], [["a", "b"], ["c"], None]),
        (["[1", "[2]"], ["[1", "[2]"]),
        (["2020-01-01", ""], ["2020-01-01", None]),
        (["windows;mac", "linux"], ["windows;mac", "linux"]),
    ],
)
def test_a_column_has_one_type(tmp_path: Path, cells: list[str], read: list[Any]) -> None:
    assert column(tmp_path, cells) == read


def test_the_type_of_a_column_can_be_said(tmp_path: Path) -> None:
    texts, numbers = ItemOptions(texts=("a",)), ItemOptions(numbers=("a",))

    assert column(tmp_path, ["1", "2"], texts) == ["1", "2"]
    assert column(tmp_path, ["007", "1e3", "x"], numbers) == [7, 1000]
    with_lists = ItemOptions(lists=("a",))
    assert column(tmp_path, ["a|b", "c,d"], with_lists) == [["a", "b"], ["c,d"]]
    assert column(tmp_path, ["a;b", "c"], with_lists) == [["a", "b"], ["c"]]
    assert column(tmp_path, ["['a', 'b']", "[1]"], with_lists) == [["a", "b"], [1]]
    assert column(tmp_path, ["1", "2"], ItemOptions(ignored=("a",))) == [None, None]


def test_types_that_a_file_says_itself_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.item"
    path.write_text("item_id:token\ttitle:token\tcode:token\tgenre:token_seq\tyear:float\n"
                    "1\tt\t7\tSci-Fi Drama\t1995\n")  # fmt: skip
    [item], _ = items_in(path)
    assert attributes_of(item) == {"code": "7", "genre": ["Sci-Fi", "Drama"], "year": 1995}
