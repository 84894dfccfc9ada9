import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.matching import matching

from bench.figures import NotRun
from bench.index import catalogue
from bench.index.attributes import DRAW, SHARES, WORDS, Attributes, attributes_of
from bench.index.catalogue import Catalogue

WORD_OF = {0.5: "half", 0.1: "tenth", 0.01: "hundredth", 0.001: "thousandth"}
COUNT = 2_000


def write_data(folder: Path, count: int) -> Path:
    (folder / "packages").mkdir()
    with gzip.open(folder / catalogue.FILE, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "text", "monthly_downloads"])
        writer.writerows([f"p{row}", f"text, of package {row}", row] for row in range(count))
    return folder


def made() -> Catalogue:
    texts = [
        " ".join(
            ["item", *(word for share, word in WORD_OF.items() if row % round(1 / share) == 0)]
        )
        for row in range(COUNT)
    ]
    return Catalogue([str(row) for row in range(COUNT)], texts, [1.0] * COUNT)


def attributes() -> Attributes:
    vectors = np.random.default_rng(1).normal(size=(COUNT, 8)).astype(np.float32)
    return attributes_of(made(), vectors)


def test_items_are_read_in_their_order(tmp_path: Path) -> None:
    found = catalogue.read(write_data(tmp_path, 3))
    assert found.ids == ["p0", "p1", "p2"]
    assert found.to_encode[1] == "text, of package 1"
    assert found.priors == [0, 1, 2]


def test_without_the_data_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotRun, match=r"items\.csv\.gz"):
        catalogue.read(tmp_path)


def test_parts_of_the_data_make_up_the_whole(tmp_path: Path) -> None:
    data = write_data(tmp_path, 5)
    rows: list[list[str]] = []
    for start in (0, 2, 4):
        catalogue.write_part(data, start, 2, tmp_path / "part.csv")
        with (tmp_path / "part.csv").open(encoding="utf-8", newline="") as file:
            header, *part = csv.reader(file)
        assert header == ["item_id", "text", "monthly_downloads"]
        rows += part
    assert [row[0] for row in rows] == ["p0", "p1", "p2", "p3", "p4"]
    assert rows[3][1] == "text, of package 3"


def test_a_sample_says_where_its_items_stood() -> None:
    whole = made()
    part, rows = whole.sample(100)
    assert part.ids == [whole.ids[row] for row in rows.tolist()]
    assert len(set(part.ids)) == 100


def test_other_texts_have_another_digest() -> None:
    digests = {catalogue.digest(texts) for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"])}
    assert len(digests) == 3


def test_a_query_is_a_few_words_of_an_item() -> None:
    whole = Catalogue(["a", "b"], ["one two three four five", "too short"], [0, 0])
    (query,) = catalogue.queries(whole, 5)
    assert len(query.split()) == 3
    assert query in whole.texts[0]


def test_words_are_chosen_that_are_as_frequent_as_is_wanted() -> None:
    assert attributes().words == WORD_OF


def test_no_word_that_is_frequent_enough_is_no_reason_to_take_another() -> None:
    texts = Catalogue(["a", "b"], ["one", "two"], [0, 0])
    with pytest.raises(NotRun, match="no word"):
        attributes_of(texts, np.eye(2, dtype=np.float32))


@pytest.mark.parametrize("share", SHARES)
def test_the_filters_match_what_they_say(share: float) -> None:
    chosen = attributes()
    columns = AttributeColumns()
    columns.append([content.attributes for content in chosen.contents(made())])
    for wanted, expected in (chosen.at_random(share), chosen.by_word(share)):
        assert matching(columns, wanted, COUNT).tolist() == expected.tolist()


def test_attributes_of_a_part_are_those_of_its_items() -> None:
    whole = made()
    part, rows = whole.sample(50)
    chosen = attributes()
    all_contents = {content.id: content for content in chosen.contents(whole)}
    assert all(
        all_contents[content.id].attributes == content.attributes
        for content in chosen.taken(rows).contents(part)
    )
    assert {DRAW, WORDS} == set(all_contents["0"].attributes)
