"""Reading a folder: what is kept, and what is left out for which reason."""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from evaluation.dataset import Dataset, DatasetError, Dropped, Reason, positives, read
from evaluation.fields import number, seconds

ITEMS = "item_id,title,text\na,A,first\nb,B,second\nc,C,third\n"


def written(folder: Path, interactions: str, items: str = ITEMS) -> Path:
    (folder / "items.csv").write_bytes(items.encode())
    (folder / "interactions.csv").write_bytes(interactions.encode())
    return folder


def pairs(dataset: Dataset) -> list[tuple[str, str]]:
    return [
        (dataset.user_ids[user], dataset.item_ids[item])
        for user, item in zip(dataset.users, dataset.items, strict=True)
    ]


def test_every_column_is_read(tmp_path: Path) -> None:
    items = "year,item_id,text,title,kind\n1999,a,first,A,film\n,b,second,B,\n"
    interactions = (
        "split,timestamp,rating,user_id,item_id\n"
        "train,10,4.5,u,b\n"
        "Test,1970-01-01T00:00:20+00:00,2,v,a\n"
        "valid,15.5,-1,u,a\n"
    )
    dataset = read(written(tmp_path, interactions, items))
    assert (dataset.item_ids, dataset.titles, dataset.texts) == (
        ["a", "b"],
        ["A", "B"],
        ["first", "second"],
    )
    assert dataset.attributes == [{"year": "1999", "kind": "film"}, {"year": "", "kind": ""}]
    assert pairs(dataset) == [("u", "b"), ("v", "a"), ("u", "a")]
    assert dataset.ratings.tolist() == [4.5, 2, -1]
    assert dataset.times.tolist() == [10, 20, 15.5]
    assert dataset.split is not None
    assert dataset.split.tolist() == [0, 2, 1]
    assert dataset.rated
    assert dataset.dropped == Dropped({}, {})
    types = [array.dtype for array in (dataset.users, dataset.items, dataset.ratings)]
    assert types == [np.int64, np.int64, np.float64]


def test_without_optional_columns_the_file_gives_the_order(tmp_path: Path) -> None:
    dataset = read(written(tmp_path, "user_id,item_id\nu,c\nv,a\nu,a\n"))
    assert dataset.ratings.tolist() == [1, 1, 1]
    assert dataset.times.tolist() == [0, 1, 2]
    assert dataset.split is None
    assert not dataset.rated


def test_byte_order_mark_crlf_quoted_newlines_and_other_alphabets(tmp_path: Path) -> None:
    items = '\ufeffitem_id,title,text\r\na,"A, ""B""","two\r\nlines"\r\n\r\nб,浪漫,третий\r\n'
    dataset = read(written(tmp_path, "\ufeffuser_id,item_id\r\nu,б\r\nu,a\r\n", items))
    assert dataset.titles == ['A, "B"', "浪漫"]
    assert dataset.texts == ["two\r\nlines", "третий"]
    assert pairs(dataset) == [("u", "б"), ("u", "a")]
    assert dataset.dropped == Dropped({}, {})


def test_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "items.csv.gz").write_bytes(gzip.compress(ITEMS.encode()))
    whole = gzip.compress(b"user_id,item_id\nu,a\n")
    (tmp_path / "interactions.csv.gz").write_bytes(whole)
    assert pairs(read(tmp_path)) == [("u", "a")]
    (tmp_path / "interactions.csv.gz").write_bytes(whole[:-9])
    with pytest.raises(DatasetError, match=r"interactions\.csv\.gz: "):
        read(tmp_path)


@pytest.fixture
def usual_cells() -> Iterator[None]:
    """Let cells be as long as Python has it; the limit is the whole process's."""
    limit = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(limit)


@pytest.mark.usefixtures("usual_cells")
def test_rows_of_no_use_are_counted_by_reason(tmp_path: Path) -> None:
    items = ITEMS + " ,D,none\na,A,again\nd,D,too,many\n"
    interactions = (
        "user_id,item_id,rating,timestamp,split\n"
        ",a,1,1,train\n"
        "u, ,1,1,train\n"
        "u,nowhere,x,1,train\n"
        "u,a,good,x,train\n"
        "u,a,nan,1,train\n"
        "u,a,,1,train\n"
        "u,a,1,yesterday,x\n"
        "u,a,1,1,later\n"
        "u,a,1,1\n"
        f'u,a,1,1,"{"x" * 200_000}"\n'
        "u,b,3,7,train\n"
    )
    dataset = read(written(tmp_path, interactions, items))
    assert pairs(dataset) == [("u", "b")]
    assert dataset.texts == ["first", "second", "third"]
    assert dataset.dropped == Dropped(
        items={Reason.MISSING_ID: 1, Reason.REPEATED_ITEM: 1, Reason.MALFORMED: 1},
        interactions={
            Reason.MISSING_ID: 2,
            Reason.UNKNOWN_ITEM: 1,
            Reason.RATING: 3,
            Reason.TIMESTAMP: 1,
            Reason.SPLIT: 1,
            Reason.MALFORMED: 2,
        },
    )


def test_the_latest_of_repeated_interactions_stays(tmp_path: Path) -> None:
    interactions = (
        "user_id,item_id,rating,timestamp\n"
        "u,a,1,30\n"
        "u,b,2,10\n"
        "u,a,3,20\n"
        "v,a,4,10\n"
        "u,b,5,10\n"
        "u,a,x,90\n"
    )
    dataset = read(written(tmp_path, interactions))
    assert pairs(dataset) == [("u", "a"), ("v", "a"), ("u", "b")]
    assert dataset.ratings.tolist() == [1, 4, 5]
    assert dataset.dropped.interactions == {Reason.REPEATED_INTERACTION: 2, Reason.RATING: 1}


@pytest.mark.parametrize(
    ("items", "interactions", "message"),
    [
        (None, "user_id,item_id\nu,a\n", r"there is no items\.csv or items\.csv\.gz"),
        (ITEMS, None, r"there is no interactions\.csv or interactions\.csv\.gz"),
        ("item_id,text\na,A\n", "user_id,item_id\nu,a\n", r"items\.csv: there is no column title"),
        (ITEMS, "user,item_id\nu,a\n", r"interactions\.csv: there is no column user_id"),
        ("", "user_id,item_id\nu,a\n", "no column item_id and no column title and no column text"),
        ("item_id,title,text\n,A,x\n", "user_id,item_id\nu,a\n", r"items\.csv .*: 1 missing id"),
        (ITEMS, "user_id,item_id\nu,x\nu,y\n,a\n", r"used: 2 unknown item, 1 missing id"),
        (ITEMS, "user_id,item_id\n", r"interactions\.csv has no row that can be used$"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, items: str | None, interactions: str | None, message: str
) -> None:
    for name, content in (("items.csv", items), ("interactions.csv", interactions)):
        if content is not None:
            (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path)


def test_likes_are_the_high_ratings_or_everything(tmp_path: Path) -> None:
    rated = "user_id,item_id,rating\nu,a,3.5\nu,b,3\nv,b,5\n"
    dataset = read(written(tmp_path, rated))
    assert positives(dataset, 3.5).tolist() == [True, False, True]
    assert positives(dataset, None).tolist() == [True, True, True]
    with pytest.raises(DatasetError, match="no rating of 7 or more"):
        positives(dataset, 7)
    unrated = read(written(tmp_path, "user_id,item_id\nu,a\n"))
    assert positives(unrated, None).tolist() == [True]
    with pytest.raises(DatasetError, match="no column rating"):
        positives(unrated, 3.5)


@pytest.mark.parametrize(
    ("text", "value"),
    [("4", 4), (" -0.5 ", -0.5), ("1e3", 1000), ("", None), ("inf", None), ("1_0", None)],
)
def test_numbers(text: str, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "964982703",
        "964982703.0",
        "964982703000",
        "964982703000000",
        "964982703000000000",
        "2000-07-30T18:45:03Z",
        "2000-07-30 18:45:03",
        "2000-07-30T20:45:03+02:00",
        " 2000-07-30T18:45:03.000000 ",
    ],
)
def test_moments(text: str) -> None:
    assert seconds(text) == pytest.approx(964982703, abs=1e-3)


@pytest.mark.parametrize("text", ["", "soon", "2000-13-01", "2000_07_30", "nan"])
def test_what_is_no_moment(text: str) -> None:
    assert seconds(text) is None


def test_a_date_alone_is_its_midnight() -> None:
    assert seconds("2020-01-31") == datetime(2020, 1, 31, tzinfo=UTC).timestamp()


@pytest.mark.data
def test_the_films_are_read_whole(development_data: Path) -> None:
    dataset = read(development_data / "movies")
    assert (len(dataset.item_ids), len(dataset.user_ids), len(dataset.users)) == (9742, 610, 100836)
    assert dataset.dropped == Dropped({}, {})


def test_what_is_relevant_to_queries_stands_for_people_where_there_are_none(tmp_path: Path) -> None:
    folder = written(tmp_path, "user_id,item_id\nu,a\n")
    (folder / "relevance.csv").write_text("query_id,item_id\nq,b\nq,a\np,c\n")
    assert pairs(read(folder)) == [("u", "a")]
    (folder / "interactions.csv").unlink()
    dataset = read(folder)
    assert pairs(dataset) == [("q", "b"), ("q", "a"), ("p", "c")]
    assert dataset.times.tolist() == [0, 1, 2]
    assert not dataset.rated
