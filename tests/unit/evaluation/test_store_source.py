from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.server.store.records import Interaction, ItemContent, NewItem

from evaluation import store_source
from evaluation.dataset import Dataset, DatasetError, read
from evaluation.store_source import read_store
from tests.unit.evaluation import invented_data
from tests.unit.server.store_records import VECTOR, Opened, event, new_item, opened

SECOND = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "longtail.db"


@pytest.fixture
def it(path: Path) -> Iterator[Opened]:
    with opened(path) as store:
        yield store


def rated(item_id: str, value: float, time: int, user_id: str = "ann") -> Interaction:
    name = f"{user_id} {item_id} {time}"
    return replace(event(name, item_id, user_id, time * SECOND), value=value)


def rows(data: Dataset) -> set[tuple[str, str, float, float]]:
    columns = data.users, data.items, data.ratings, data.times
    return {
        (data.user_ids[user], data.item_ids[item], rating, time)
        for user, item, rating, time in zip(*(each.tolist() for each in columns), strict=True)
    }


def texts(data: Dataset) -> dict[str, tuple[str, str]]:
    return dict(zip(data.item_ids, zip(data.titles, data.texts, strict=True), strict=True))


def test_a_store_is_the_same_data_as_its_files(
    it: Opened, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_source, "PAGE", 40)
    data = invented_data.dataset()
    content = zip(data.item_ids, data.titles, data.texts, strict=True)
    it.upsert(*(NewItem(ItemContent(*each, {}, 0.0), VECTOR, False) for each in content))
    it.interact(
        *(
            rated(item_id, rating, int(time), user_id)
            for user_id, item_id, rating, time in sorted(rows(data), reverse=True)
        )
    )
    stored, written = read_store(path), read(invented_data.write(data, tmp_path / "files"))
    assert rows(stored) == rows(written)
    assert texts(stored) == texts(written)
    assert len(stored.items) == len(written.items)
    for name in ("users", "items", "ratings", "times"):
        assert getattr(stored, name).dtype == getattr(written, name).dtype
    # Of one person an earlier row is never the later one.
    for user in range(len(stored.user_ids)):
        assert (np.diff(stored.times[stored.users == user]) >= 0).all()


def test_an_item_met_with_again_counts_once_as_it_was_last_said_to_be(
    it: Opened, path: Path
) -> None:
    it.upsert(*map(new_item, "abc"))
    it.interact(
        rated("a", 1, 5), rated("b", 1, 1), rated("a", -1, 3), rated("b", -2, 9), rated("c", 3, 2)
    )
    assert rows(read_store(path)) == {
        ("ann", "a", 1.0, 5.0),
        ("ann", "b", -2.0, 9.0),
        ("ann", "c", 3.0, 2.0),
    }


def test_what_says_nothing_of_taste_takes_nothing_back(it: Opened, path: Path) -> None:
    it.upsert(*map(new_item, "abc"))
    it.interact(rated("a", 2, 1), rated("a", 0, 5), rated("b", 0, 2), rated("b", 0, 4))
    assert rows(read_store(path)) == {("ann", "a", 2.0, 1.0), ("ann", "b", 0.0, 4.0)}


def test_items_that_are_not_in_the_catalogue_are_left_out(it: Opened, path: Path) -> None:
    it.upsert(*map(new_item, "abc"))
    it.interact(rated("a", 1, 1), rated("b", 1, 2), rated("never", 1, 3))
    it.remove("b")
    data = read_store(path)
    assert data.item_ids == ["a", "c"]
    assert rows(data) == {("ann", "a", 1.0, 1.0)}


def test_a_store_is_read_while_its_server_writes(it: Opened, path: Path) -> None:
    it.upsert(new_item("a"))
    it.interact(rated("a", 1, 1))
    assert rows(read_store(path)) == {("ann", "a", 1.0, 1.0)}
    it.interact(rated("a", 1, 1, "bob"))
    assert len(rows(read_store(path))) == 2


def test_a_store_whose_server_is_down_is_read_too(path: Path) -> None:
    with opened(path) as store:
        store.upsert(new_item("a"))
        store.interact(rated("a", 1, 1))
    assert rows(read_store(path)) == {("ann", "a", 1.0, 1.0)}


def test_a_store_without_interactions_says_so(it: Opened, path: Path) -> None:
    it.upsert(new_item("a"))
    with pytest.raises(DatasetError, match="no interaction"):
        read_store(path)


@pytest.mark.parametrize("content", [b"", b"item_id,title,text\n1,a,b\n" * 500])
def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="no store"):
        read_store(path)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["items.csv"]


def test_no_store_is_made_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no store"):
        read_store(tmp_path / "longtail.db")
    assert not list(tmp_path.iterdir())
