"""Every kind of file, by what it holds, and that a row that cannot be read is known by its line."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from longtail.client.importing import encoding
from longtail.client.importing.delimited import Dialect
from longtail.client.importing.opening import open_rows
from longtail.client.importing.rows import BadRow, FileError, Row
from pyarrow import parquet

from tests.damages import damages

ROWS = [{"item_id": "1", "title": "Käse"}, {"item_id": "2", "title": "两个"}]
AS_FOUND = Dialect()
CSV = "item_id,title\n1,Käse\n2,两个\n".encode()
JSON_LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def read(path: Path, dialect: Dialect = AS_FOUND) -> list[Row | BadRow]:
    with open_rows(str(path), dialect) as source:
        assert list(source.rows()) == list(source.rows())
        return list(source.rows())


def values(path: Path, dialect: Dialect = AS_FOUND) -> list[Any]:
    return [row.values for row in read(path, dialect) if isinstance(row, Row)]


def in_parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return file.getvalue()


def zstd(content: bytes) -> bytes:
    packed: bytes = pyarrow.compress(content, codec="zstd", asbytes=True)
    return packed


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV),
        ("a", CSV),
        ("marked.csv", b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n")),
        ("old.csv", CSV.replace(b"\n", b"\r")),
        ("a.csv.gz", gzip.compress(CSV)),
        ("gzip by another name.csv", gzip.compress(CSV)),
        ("a.zst", zstd(CSV)),
        ("a.bz2", bz2.compress(CSV)),
        ("a.xz", lzma.compress(CSV)),
        ("two members.gz", gzip.compress(CSV[:30]) + gzip.compress(CSV[30:])),
        ("a.zip", zipped("a.csv")),
        ("of a mac.zip", zipped("a.csv", "__MACOSX/._a.csv", ".DS_Store")),
        ("utf16.csv", CSV.decode().encode("utf-16")),
        ("a.tsv", CSV.replace(b",", b"\t")),
        ("a.ssv", CSV.replace(b",", b";")),
        ("a.psv", CSV.replace(b",", b"|")),
        ("a.dat", CSV.replace(b",", b"::")),
        ("a.inter", b"item_id:token\ttitle:token\n1\tK\xc3\xa4se\n2\t\xe4\xb8\xa4\xe4\xb8\xaa\n"),
        ("of a spreadsheet.csv", b"\xef\xbb\xbfsep=;\r\n" + CSV.replace(b",", b";")),
        ("formulas.csv", b'item_id,title\n"=""1""","K\xc3\xa4se"\n="2",\xe4\xb8\xa4\xe4\xb8\xaa\n'),
        ("frame.csv", b",item_id,title\n0,1,K\xc3\xa4se\n1,2,\xe4\xb8\xa4\xe4\xb8\xaa\n"),
        ("a.jsonl", b"\xef\xbb\xbf" + JSON_LINES),
        ("a.jsonl.gz", gzip.compress(JSON_LINES)),
        ("utf16.jsonl", JSON_LINES.decode().encode("utf-16")),
        ("commas.jsonl", JSON_LINES.replace(b"}\n", b"},\n")),
        ("python.jsonl", "".join(f"{row}\n" for row in ROWS).encode()),
        ("laid out.json", "".join(json.dumps(row, indent=2) for row in ROWS).encode()),
        ("a.json", json.dumps(ROWS, indent=2).encode()),
        ("marked.json", b"\xef\xbb\xbf" + json.dumps(ROWS, ensure_ascii=False).encode()),
        ("utf16.json", json.dumps(ROWS, ensure_ascii=False).encode("utf-16")),
        ("a.parquet", in_parquet(ROWS)),
        ("frame.parquet", in_parquet([{**row, "__index_level_0__": 7} for row in ROWS])),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with open_rows(str(path)) as source:
        rows = list(source.rows())
        assert source.columns == ("item_id", "title")
        assert 0 < source.fraction_read() <= 1
    assert [row.values for row in rows if isinstance(row, Row)] == ROWS


@pytest.mark.parametrize(
    ("encoding", "word"),
    [("cp1252", "Café Müller"), ("cp1252", "Käse"), ("gb18030", "流浪地球,科幻电影讲述了"),
     ("cp1251", "Ирония судьбы"), ("shift_jis", "千と千尋の神隠し"),
     ("cp949", "올드보이 그리고 봄"), ("koi8_r", "Москва слезам не верит")],
)  # fmt: skip
def test_an_encoding_is_found_and_told(tmp_path: Path, encoding: str, word: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(f"item_id\ttitle\n1\t{word}\n2\tplain\n".encode(encoding))

    with open_rows(str(path)) as source:
        rows = list(source.rows())
        assert any("guess" in remark for remark in source.remarks)
    assert rows[0] == Row(2, {"item_id": "1", "title": word})
    assert values(path, Dialect(encoding=encoding))[0]["title"] == word
    lines = tmp_path / "a.jsonl"
    lines.write_text(f'{{"item_id": "1", "title": "{word}"}}\n', encoding=encoding)
    assert values(lines)[0]["title"] == word
    lines.write_text(f'[{{"item_id": "1", "title": "{word}"}}]', encoding=encoding)
    assert values(lines)[0]["title"] == word


def test_a_file_without_a_header_is_told_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text("196\t242\t3\n186\t302\t3\n")

    rows = read(path, Dialect(columns=("user_id", "item_id", "rating")))
    assert rows[0] == Row(1, {"user_id": "196", "item_id": "242", "rating": "3"})
    assert len(rows) == 2
    # And what it has all the same is no row of it.
    path.write_text("user_id\titem_id\n196\t242\n")
    assert read(path, Dialect(columns=("user_id", "item_id"))) == [
        Row(2, {"user_id": "196", "item_id": "242"})
    ]
    path.write_text('19"6\t"2"42\n')
    assert len(read(path, Dialect(columns=("user_id", "item_id")))) == 1


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


def test_a_delimiter_at_the_end_of_every_row_is_no_field(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item_id,title\n1,Bear,\n2,Fox,\n")
    assert values(path) == [{"item_id": "1", "title": "Bear"}, {"item_id": "2", "title": "Fox"}]


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item_id,tag,tag\n1,a,b\n")
    assert values(path) == [{"item_id": "1", "tag": "a", "tag.1": "b"}]
    columns = [pyarrow.array([each]) for each in "1ab"]
    parquet.write_table(pyarrow.Table.from_arrays(columns, ["item_id", "tag", "tag"]), path)
    assert values(path) == [{"item_id": "1", "tag": "a", "tag.1": "b"}]


def test_an_unclosed_quote_costs_its_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    plain = [f"{n},Thing {n}\n" for n in range(3, 2_000)]
    for closing in ("", '2000,"Closed"\n', '2000,""\n', '2000,"x"" y"\n', '2000,""""\n'):
        path.write_text("".join(["item_id,title\n", "1,Bear\n", '2,"Fox\n', *plain, closing]))

        rows = read(path)
        assert [row for row in rows if isinstance(row, BadRow)] == [BadRow(3, "unclosed quote")]
        assert len(rows) == 1_999 + bool(closing)


def test_broken_quotes_cost_only_their_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('item_id,text\n1,"a"b\n2,fine\n3,"never closed\n')

    first, second, third = read(path)
    assert isinstance(first, BadRow)
    assert (first.line, first.reason) == (2, "malformed CSV")
    assert second == Row(3, {"item_id": "2", "text": "fine"})
    assert isinstance(third, BadRow)
    assert third.line == 4


def test_a_backslash_may_escape_a_quote(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        'item_id;title;text\n"1";"Classical \\"Myth\\"";"x"\n"2";"a\\";"C:\\"\n'
        '"3";"y";"z \\""\n"4";"a";"b"\n'
    )
    assert [list(each.values()) for each in values(path)] == [
        ["1", 'Classical "Myth"', "x"], ["2", "a\\", "C:\\"], ["3", "y", 'z "'], ["4", "a", "b"]
    ]  # fmt: skip


@pytest.mark.parametrize("delimiter", ["\t", "|"])
def test_a_quote_may_be_a_letter_where_files_have_no_others(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.tsv"
    titles = ['"Wheel" of Fortune', '"Giliap', '6" under', "x", '""', '"a" and "b"', "Fox"]
    rows = [["1", title, "x"] for title in titles] + [["2", "y", '"No" and "yes"']]
    # And as programs have them that know of quotes.
    quoted = [["3", '"a ""b"""', "x"], ["4", f'"a{delimiter}b"', "x"], ["5", "z", '"two\nlines"']]
    lines = [delimiter.join(row) for row in [["item_id", "title", "text"], *rows, *quoted]]
    path.write_text("\n".join(lines) + "\n")

    read_values = [list(each.values()) for each in values(path)]
    rows[4][1] = ""
    assert read_values[: len(rows)] == rows
    assert read_values[len(rows) :] == [
        ["3", 'a "b"', "x"], ["4", f"a{delimiter}b", "x"], ["5", "z", "two\nlines"]
    ]  # fmt: skip


def test_a_long_field_of_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"item_id,text\n1,{'x' * 200_000}\n")
    assert len(values(path)[0]["text"]) == 200_000


@pytest.mark.parametrize(
    ("cell", "divided"),
    [("{}", ","), ('"{}"', ","), ('"a ""{}""\nb"', ","), ('"a\n{}\nb"', ","), ("{}", "::")],
)
def test_a_line_that_is_too_long_is_one_row_whatever_it_holds(
    tmp_path: Path, cell: str, divided: str
) -> None:
    path = tmp_path / "a.csv"
    # What looks like rows is none.
    long = cell.format("3,invented" * 150_000)
    lines = ["item_id,title", "1,Bear", f"2,{long}", "4,Fox"]
    path.write_text("\n".join(lines).replace(",", divided) + "\n")
    found = read(path)
    kept = [list(row.values.values()) for row in found if isinstance(row, Row)]
    assert kept == [["1", "Bear"], ["4", "Fox"]]
    assert "line too long" in {row.reason for row in found if isinstance(row, BadRow)}


def test_bytes_of_another_encoding_cost_only_their_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"item_id,text\n1,caf\xe9\n2,caf\xc3\xa9\n")

    assert read(path) == [
        BadRow(2, "not in the file's encoding"),
        Row(3, {"item_id": "2", "text": "café"}),
    ]


def test_bad_json_lines_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = "9" * (2**20 + 5)
    path.write_text(
        f'{{"a": 1}}\n{{"a": \n\n[1]\n{long}\n{{"a": NaN}}\n{{"a": "\\ud800"}}\n{{"a": 2}}\n'
    )

    rows = read(path)
    assert [(row.line, row.reason) for row in rows if isinstance(row, BadRow)] == [
        (2, "malformed JSON"),
        (4, "not a JSON object"),
        (5, "line too long"),
        (7, "not UTF-8"),
    ]
    assert [row for row in rows if isinstance(row, Row)] == [
        Row(1, {"a": 1}), Row(6, {"a": None}), Row(8, {"a": 2})
    ]  # fmt: skip


def test_a_first_line_of_json_that_is_too_long_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"a": "{"x" * 2**20}"}}\n{{"a": 2}}\n')
    assert [type(row) for row in read(path)] == [BadRow, Row]


def test_times_of_parquet_in_nanoseconds_are_read_to_the_microsecond(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    moments = pyarrow.array([1_609_459_200_000_001_999], pyarrow.timestamp("ns"))
    parquet.write_table(pyarrow.table({"time": moments}), path)
    [row] = values(path)
    assert row["time"].isoformat() == "2021-01-01T00:00:00.000001"
    inside = pyarrow.StructArray.from_arrays([moments], ["time"])
    lists = pyarrow.ListArray.from_arrays([0, 1], inside)
    parquet.write_table(pyarrow.table({"times": lists}), path)
    assert values(path) == [{"times": [row]}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "header"),
        (b"\n\n", "header"),
        (bytes(range(256)) * 8 + bytes(999), "neither text"),
        (gzip.compress(b"item_id,title\n" + b"1,one\n" * 1000)[:60], "damaged"),
        (zipped("a.csv", "b.csv"), "2 files, not one: a.csv, b.csv"),
        (b'{"item_id": 1\n{"item_id": 2\n', "no row can be read; row 1: malformed JSON"),
        (b"[1, 2]", "no row can be read; row 1: not a JSON object"),
        (b"{1: 2}", "no row can be read; row 1: malformed JSON"),
        (zipped("[Content_Types].xml", "x"), "spreadsheet"),
        (b"PAR1 and nothing else", "Parquet"),
        (b'[{"item_id": 1}, {]', "malformed JSON after element 1"),
    ],
)
def test_a_file_of_no_use_says_why(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        read(path)


@pytest.mark.parametrize("dialect", [Dialect(encoding="klingon"), Dialect(encoding="ascii")])
def test_an_encoding_that_it_is_not_in_is_refused_or_costs_rows(
    tmp_path: Path, dialect: Dialect
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    with suppress(FileError):
        assert {row.reason for row in read(path, dialect) if isinstance(row, BadRow)}


@pytest.mark.parametrize(
    "content",
    [CSV, gzip.compress(CSV), JSON_LINES, json.dumps(ROWS).encode(), in_parquet(ROWS),
     zstd(CSV), zipped("a.csv"), bz2.compress(CSV), lzma.compress(CSV)],
    ids=["csv", "gzip", "json-lines", "json", "parquet", "zstd", "zip", "bzip2", "xz"],
)  # fmt: skip
def test_a_damaged_file_costs_rows_or_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    kept = 0
    for _, damage in damages(len(content), places=40):
        path.write_bytes(damage(content))
        # Nothing but what is told in a line ends an import.
        with suppress(FileError):
            kept += len(read(path))
    # Each byte of the last is held against a sum.
    assert kept or content.startswith(lzma.compress(b"")[:6])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_an_encoding_is_found_however_a_text_is_cut(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(encoding, "SAMPLE_BYTES", size)
    for text in ("я\nplain\n\nтекст", "ab\nя", "\n\nЯя\n"):
        assert encoding.encoding_of(io.BytesIO(text.encode())) == ("utf-8", "")
        assert encoding.encoding_of(io.BytesIO(text.encode("cp1251", "replace")))[0] != "utf-8"
