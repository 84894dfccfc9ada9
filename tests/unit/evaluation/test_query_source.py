from pathlib import Path

import pytest

from evaluation.dataset import DatasetError, Reason
from evaluation.query_source import Queries, holds_queries, read_queries

ITEMS = ["a", "b", "c"]


def said(queries: Queries) -> dict[tuple[str, str], float]:
    """Return the grade by the words of the query and the item."""
    rows = zip(queries.queries.tolist(), queries.items.tolist(), queries.grades, strict=True)
    return {(queries.texts[query], ITEMS[item]): grade for query, item, grade in rows}


def written(folder: Path, queries: str, relevance: str) -> Path:
    (folder / "queries.csv").write_text(queries)
    (folder / "relevance.csv").write_text(relevance)
    return folder


@pytest.mark.parametrize("column", ["text", "query"])
def test_queries_and_what_is_relevant_to_them_are_read(tmp_path: Path, column: str) -> None:
    folder = written(
        tmp_path,
        f"query_id,{column},tags\n1,red lamp,x\n2,desk,y\n3,never asked,z\n",
        "query_id,item_id,grade\n1,a,2\n1,b,0\n2,b,1\n2,b,0.5\n9,a,1\n2,zz,1\n2,c,x\n",
    )
    assert holds_queries(folder)
    found = read_queries(folder, ITEMS)
    assert found.ids == ["1", "2"]
    assert said(found) == {("red lamp", "a"): 2.0, ("desk", "b"): 1.0}
    assert found.dropped == {Reason.MISSING_ID: 1, Reason.UNKNOWN_ITEM: 1, Reason.RATING: 1}


def test_without_grades_all_are_relevant_alike(tmp_path: Path) -> None:
    folder = written(tmp_path, "query_id,text\n1,lamp\n", "query_id,item_id\n1,c\n1,a\n1,a\n")
    assert said(read_queries(folder, ITEMS)) == {("lamp", "c"): 1.0, ("lamp", "a"): 1.0}


def test_of_rows_with_a_query_and_an_item_the_grade_is_how_many_say_so(tmp_path: Path) -> None:
    (tmp_path / "recommendation_data.csv").write_text(
        "user_id,item_id,query\nu,a,Dark Comedy\nv,a,dark comedy\nv,a,dark comedy\nu,b,robots\n"
        "u,zz,robots\nu,c,\n"
    )
    assert holds_queries(tmp_path)
    found = read_queries(tmp_path, ITEMS)
    assert said(found) == {("Dark Comedy", "a"): 2.0, ("robots", "b"): 1.0}
    assert found.dropped == {Reason.UNKNOWN_ITEM: 1, Reason.MISSING_ID: 1}


def test_a_folder_without_queries_is_refused(tmp_path: Path) -> None:
    assert not holds_queries(tmp_path)
    with pytest.raises(DatasetError, match=r"recommendation_data\.csv"):
        read_queries(tmp_path, ITEMS)


@pytest.mark.parametrize(
    ("queries", "relevance", "word"),
    [
        ("query_id,words\n1,lamp\n", "query_id,item_id\n1,a\n", "no column text"),
        ("query_id,text\n1,lamp\n", "query_id,item\n1,a\n", "no column item_id"),
        ("query_id,text\n1,lamp\n", "query_id,item_id,grade\n1,a,0\n", "no row says"),
    ],
)
def test_what_is_wrong_with_the_files_is_named(
    tmp_path: Path, queries: str, relevance: str, word: str
) -> None:
    with pytest.raises(DatasetError, match=word):
        read_queries(written(tmp_path, queries, relevance), ITEMS)
