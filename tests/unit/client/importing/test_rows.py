"""Every format, and that a row that cannot be read is known by its line."""

import gzip
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from longtail.client.importing.rows import BadRow, FileError, Row, open_rows
from pyarrow import parquet

from tests.damages import damages

ROWS = [{"item_id": "1", "title": "Käse"}, {"item_id": "2", "title": "两个"}]


def read(path: Path) -> list[Row | BadRow]:
    with open_rows(path) as source:
        return list(source.rows)


def write_csv(path: Path) -> None:
    path.write_bytes("item_id,title\n1,Käse\n2,两个\n".encode())


def write_csv_with_mark(path: Path) -> None:
    path.write_bytes("item_id,title\r\n1,Käse\r\n2,两个\r\n".encode("utf-8-sig"))


def write_csv_gz(path: Path) -> None:
    path.write_bytes(gzip.compress("item_id,title\n1,Käse\n2,两个\n".encode()))


JSON_LINES = '{"item_id": "1", "title": "Käse"}\n{"item_id": "2", "title": "两个"}\n'


def write_json(path: Path) -> None:
    path.write_bytes(JSON_LINES.encode("utf-8-sig"))


def write_json_gz(path: Path) -> None:
    path.write_bytes(gzip.compress(JSON_LINES.encode()))


def write_parquet(path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", write_csv),
        ("a.b.CSV", write_csv_with_mark),
        ("a.csv.gz", write_csv_gz),
        ("a.jsonl", write_json),
        ("a.ndjson", write_json),
        ("a.jsonl.gz", write_json_gz),
        ("a.parquet", write_parquet),
    ],
)
def test_every_format_gives_the_same_rows(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)

    with open_rows(tmp_path / name) as source:
        rows = list(source.rows)
        assert source.columns == ("item_id", "title")
        assert source.fraction_read() == 1.0
    assert [row.values for row in rows if isinstance(row, Row)] == ROWS


def test_csv_lines_are_where_a_row_starts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('item_id,text\n1,"two\nlines"\n\n2,plain\n3\n4,more,fields\n5,"end"\n')

    assert read(path) == [
        Row(2, {"item_id": "1", "text": "two\nlines"}),
        Row(5, {"item_id": "2", "text": "plain"}),
        BadRow(6, "wrong number of fields", "1 instead of 2"),
        BadRow(7, "wrong number of fields", "3 instead of 2"),
        Row(8, {"item_id": "5", "text": "end"}),
    ]


def test_broken_quotes_cost_only_their_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('item_id,text\n1,"a"b\n2,fine\n3,"never closed\n')

    first, second, third = read(path)
    assert isinstance(first, BadRow)
    assert (first.line, first.reason) == (2, "malformed CSV")
    assert second == Row(3, {"item_id": "2", "text": "fine"})
    assert isinstance(third, BadRow)
    assert (third.line, third.reason) == (4, "malformed CSV")


def test_a_long_field_of_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"item_id,text\n1,{'x' * 200_000}\n")

    (row,) = read(path)
    assert isinstance(row, Row)
    assert len(row.values["text"]) == 200_000


def test_bytes_that_are_no_utf8_cost_only_their_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"item_id,text\n1,caf\xe9\n2,fine\n")

    assert read(path) == [BadRow(2, "not UTF-8"), Row(3, {"item_id": "2", "text": "fine"})]


def test_bad_json_lines_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = "9" * (2**20 + 5)
    path.write_text(
        f'{{"a": 1}}\n{{"a": \n\n[1]\n{long}\n{{"a": NaN}}\n{{"a": "\\ud800"}}\n{{"a": 2}}\n'
        '{"a": {"b": [-1e400]}}'
    )

    rows = read(path)
    assert [(row.line, row.reason) for row in rows if isinstance(row, BadRow)] == [
        (2, "malformed JSON"),
        (4, "not a JSON object"),
        (5, "line too long"),
        (6, "malformed JSON"),
        (7, "not UTF-8"),
        # What reads it as infinity makes null of it in the end.
        (9, "malformed JSON"),
    ]
    assert [row for row in rows if isinstance(row, Row)] == [Row(1, {"a": 1}), Row(8, {"a": 2})]


def no_file(path: Path) -> None:
    pass


def cut_gzip(path: Path) -> None:
    compressed = gzip.compress(b"item_id,title\n" + b"1,one\n" * 1000)
    path.write_bytes(compressed[: len(compressed) // 2])


def text(content: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(content)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.csv", no_file, "No such file"),
        ("a.xlsx", text(""), "extension"),
        ("a", text(""), "extension"),
        ("a.csv", text(""), "header"),
        ("a.csv", text("a,a\n"), "twice"),
        ("a.csv.gz", text("a\n"), "gzip"),
        ("a.csv.gz", cut_gzip, "gzip"),
        ("a.parquet", text("a\n"), "Parquet"),
        ("a.parquet", no_file, "No such file"),
    ],
)
def test_a_file_of_no_use_says_why(
    tmp_path: Path, name: str, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(FileError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.csv", write_csv), ("a.csv.gz", write_csv_gz), ("a.jsonl", write_json),
     ("a.jsonl.gz", write_json_gz), ("a.parquet", write_parquet)],
)  # fmt: skip
def test_a_damaged_file_costs_rows_or_is_refused(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    path = tmp_path / name
    write(path)
    sound = path.read_bytes()
    kept = 0
    for _, damage in damages(len(sound), places=40):
        path.write_bytes(damage(sound))
        # Nothing but what is told in a line ends an import.
        with suppress(FileError):
            kept += len(read(path))
    assert kept
