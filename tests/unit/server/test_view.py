from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from server.index import INDEX_FILE, IndexParameters
from server.store.record_store import RecordStore
from server.store.records import EncoderBinding, Interaction, ItemContent, NewItem
from server.view import ADD_CHUNK, CatalogueView

DIMENSION = 16
BINDING = EncoderBinding("tiny@1", DIMENSION)
PARAMETERS = IndexParameters(DIMENSION, links=8, ef_construction=100, ef_search=200)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordStore]:
    opened = RecordStore.open(tmp_path / "longtail.db")
    yield opened
    opened.close()


def unit(seed: int) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def item(item_id: str, seed: int, prior: float = 0.0) -> NewItem:
    return NewItem(ItemContent(item_id, item_id, "", {}, prior), unit(seed), vector_given=True)


def interaction(event_id: str, item_id: str, user_id: str = "ann") -> Interaction:
    return Interaction(event_id, user_id, item_id, "view", 1.0, 0, "")


def new_view(store: RecordStore, folder: Path) -> CatalogueView:
    return CatalogueView(store, BINDING, PARAMETERS, folder)


def loaded_view(store: RecordStore, folder: Path) -> CatalogueView:
    view = new_view(store, folder)
    view.load()
    return view


def nearest(view: CatalogueView, seed: int, k: int = 10) -> list[str]:
    with view.reading():
        labels, _ = view.index.search(unit(seed), k)
        return [view.id_of[label] for label in labels]


def masses(view: CatalogueView) -> dict[str, float]:
    ranked = view.popularity.ranked()
    return dict(zip(ranked.ids, ranked.popularity.mass.tolist(), strict=True))


def assert_same(view: CatalogueView, other: CatalogueView) -> None:
    assert view.revision == other.revision
    assert view.label_of == other.label_of
    assert view.id_of == other.id_of == {label: name for name, label in view.label_of.items()}
    assert view.index.labels_among(view.id_of) == other.index.labels_among(view.id_of)
    assert view.index.live_count == other.index.live_count == len(view.label_of)
    assert masses(view) == masses(other)
    for seed in range(1000, 1020):
        assert nearest(view, seed) == nearest(other, seed)


def fill(store: RecordStore) -> None:
    store.items.upsert([item(f"item-{n}", n, prior=n % 3) for n in range(4 * ADD_CHUNK)])
    store.interactions.write([interaction(f"event-{n}", f"item-{n % 7}") for n in range(40)])


def change_something(store: RecordStore) -> None:
    store.items.upsert([item("item-1", 501), item("item-2", 2, prior=9), item("new", 502)])
    store.items.remove("item-3")
    store.items.remove("new")
    store.items.upsert([item("item-3", 503)])
    store.interactions.write([interaction("later", "item-9", "bob")])
    store.interactions.delete_user("ann")


def test_an_empty_catalogue_loads(store: RecordStore, tmp_path: Path) -> None:
    view = loaded_view(store, tmp_path / "index")
    assert (view.revision, view.index.live_count, view.label_of) == (
        store.changes.revision(),
        0,
        {},
    )


def test_what_is_written_can_be_found(store: RecordStore, tmp_path: Path) -> None:
    view = new_view(store, tmp_path / "index")
    revision = store.items.upsert([item("a", 1), item("b", 2)])
    assert view.label_of == {}
    view.follow()
    assert view.revision == revision
    assert (nearest(view, 1, 1), nearest(view, 2, 1)) == (["a"], ["b"])


def test_a_follow_that_broke_off_is_made_good_by_the_next(
    store: RecordStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = loaded_view(store, tmp_path / "one")
    fill(store)

    def fail(*, after: int, until: int) -> list[object]:
        raise OSError("the disk does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(store.changes, "popularity_changes", fail)
        with pytest.raises(OSError, match="does not answer"):
            view.follow()
    view.follow()
    assert_same(view, loaded_view(store, tmp_path / "two"))


def test_a_replaced_item_is_where_it_is_now_and_nowhere_else(
    store: RecordStore, tmp_path: Path
) -> None:
    view = new_view(store, tmp_path / "index")
    store.items.upsert([item("a", 1), item("b", 2)])
    view.follow()
    store.items.upsert([item("a", 3, prior=5)])
    view.follow()
    assert sorted(nearest(view, 1)) == ["a", "b"]
    assert view.index.vectors([view.label_of["a"]])[0] == pytest.approx(unit(3))
    assert masses(view) == {"a": 5, "b": 0}


def test_a_removed_item_is_gone(store: RecordStore, tmp_path: Path) -> None:
    view = new_view(store, tmp_path / "index")
    store.items.upsert([item("a", 1), item("b", 2)])
    view.follow()
    store.items.remove("a")
    view.follow()
    assert nearest(view, 1) == ["b"]
    assert set(masses(view)) == set(view.label_of) == {"b"}


def test_an_item_that_came_and_went_between_two_looks_is_no_matter(
    store: RecordStore, tmp_path: Path
) -> None:
    view = new_view(store, tmp_path / "index")
    store.items.upsert([item("a", 1)])
    revision = store.items.remove("a")
    view.follow()
    assert (view.revision, view.label_of, view.index.live_count) == (revision, {}, 0)


def test_interactions_count_also_before_their_item_comes(
    store: RecordStore, tmp_path: Path
) -> None:
    view = new_view(store, tmp_path / "index")
    store.interactions.write([interaction("1", "late"), interaction("2", "late", "bob")])
    view.follow()
    store.items.upsert([item("late", 1, prior=0.5)])
    view.follow()
    assert masses(view) == {"late": 2.5}
    store.interactions.delete_user("ann")
    view.follow()
    assert masses(view) == {"late": 1.5}


def test_a_view_that_followed_equals_one_that_is_loaded_anew(
    store: RecordStore, tmp_path: Path
) -> None:
    view = new_view(store, tmp_path / "index")
    fill(store)
    view.follow()
    change_something(store)
    view.follow()
    assert_same(view, loaded_view(store, tmp_path / "nothing there"))


def test_an_index_file_and_later_changes_make_the_same_view(
    store: RecordStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(store)
    loaded_view(store, tmp_path / "index")
    change_something(store)
    with caplog.at_level("INFO", "server.view"):
        view = loaded_view(store, tmp_path / "index")
    # Three of the vectors in the file are out of date; the rest is taken from it.
    assert f"from_file={4 * ADD_CHUNK - 3} added=3" in caplog.text
    assert_same(view, loaded_view(store, tmp_path / "nothing there"))


def test_an_index_file_ahead_of_the_last_follow_is_no_matter(
    store: RecordStore, tmp_path: Path
) -> None:
    fill(store)
    view = loaded_view(store, tmp_path / "index")
    change_something(store)
    view.follow()
    view.save()
    assert_same(loaded_view(store, tmp_path / "index"), view)


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [flip_a_byte, Path.unlink], ids=["flipped byte", "missing"])
def test_a_damaged_file_is_built_anew(
    store: RecordStore,
    tmp_path: Path,
    damage: Callable[[Path], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill(store)
    view = loaded_view(store, tmp_path / "index")
    damage(tmp_path / "index" / INDEX_FILE)
    with caplog.at_level("INFO", "server.view"):
        assert_same(loaded_view(store, tmp_path / "index"), view)
        assert "from_file=0" in caplog.text
        caplog.clear()
        # The new file has replaced the damaged one.
        loaded_view(store, tmp_path / "index")
    assert f"from_file={4 * ADD_CHUNK} added=0" in caplog.text


def test_a_file_that_is_mostly_tombstones_is_built_anew(store: RecordStore, tmp_path: Path) -> None:
    fill(store)
    view = loaded_view(store, tmp_path / "index")
    for n in range(2 * ADD_CHUNK):
        store.items.remove(f"item-{n}")
    view.follow()
    view.save()
    assert view.index.tombstone_count == 2 * ADD_CHUNK
    again = loaded_view(store, tmp_path / "index")
    assert again.index.tombstone_count == 0
    assert_same(again, view)


def test_the_file_of_another_store_is_not_taken(store: RecordStore, tmp_path: Path) -> None:
    fill(store)
    loaded_view(store, tmp_path / "index")
    other = RecordStore.open(tmp_path / "other.db")
    other.items.upsert([item(f"other-{n}", 600 + n) for n in range(4 * ADD_CHUNK)])
    other.interactions.write([interaction("e", "other-0")])
    view = loaded_view(other, tmp_path / "index")
    assert nearest(view, 600, 1) == ["other-0"]
    assert view.index.vectors([view.label_of["other-5"]])[0] == pytest.approx(unit(605))
    other.close()


def test_an_index_file_that_cannot_be_written_is_only_a_warning(
    store: RecordStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "index").write_text("a file where the folder should be")
    store.items.upsert([item("a", 1)])
    view = new_view(store, tmp_path / "index")
    view.follow()
    view.save()
    assert "index file not written" in caplog.text
    assert nearest(view, 1) == ["a"]
