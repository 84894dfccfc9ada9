"""Vector spaces, and what the store knows of items in them."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.runtime.errors import FailedPrecondition, NotFound
from longtail.server.store.record_store import check_database
from longtail.server.store.records import EncoderBinding, ItemContent, NewItem, Vector, VectorSpace
from longtail.server.store.spaces import CHUNK, MAX_SPACES, SpaceDeleted

from tests.unit.server.store_records import Opened, new_item, opened, vectors_in_spaces

Extra = dict[str, dict[str, list[float]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "longtail.db"


@pytest.fixture
def it(path: Path) -> Iterator[Opened]:
    with opened(path) as store:
        yield store
    # Whatever a test did, the tables agree with each other.
    assert check_database(path) == []


def declare(it: Opened, name: str, dimension: int = 3) -> VectorSpace:
    return it.do(lambda tx: it.store.spaces.declare(tx, name, dimension))[0]


def unit(*values: float) -> Vector:
    return np.array(values, np.float32) / np.float32(np.linalg.norm(values))


def with_vectors(item_id: str, extra: Mapping[VectorSpace, Vector]) -> NewItem:
    return replace(new_item(item_id), extra_vectors=extra)


def pictured(item_id: str, extra: Mapping[VectorSpace, Vector]) -> NewItem:
    """Return an item without a text, so without a vector of the encoder's."""
    return NewItem(ItemContent(item_id, "", "", {}, 0.0), None, False, extra)


def told(it: Opened, after: int = 0) -> Extra:
    changes = it.store.changes.item_changes(after, it.revision, it.encoder_id)
    return {
        each.id: {name: vector.tolist() for name, vector in each.extra_vectors.items()}
        for each in changes
    }


def test_spaces_are_declared_once_and_no_other_has_their_id(it: Opened) -> None:
    sound, image = declare(it, "sound", 2), declare(it, "image", 3)
    assert it.store.changes.vector_spaces() == (image, sound)
    before = it.revision
    assert declare(it, "image", 3) == image
    assert it.revision == before
    with pytest.raises(FailedPrecondition, match="'image' is there with 3 dimensions, not 4"):
        declare(it, "image", 4)
    revision = it.do(lambda tx: it.store.spaces.delete(tx, "image"))
    assert revision == it.revision > before
    assert it.store.changes.vector_spaces() == (sound,)
    again = declare(it, "image", 4)
    assert again.id not in (image.id, sound.id)
    with pytest.raises(NotFound):
        it.do(lambda tx: it.store.spaces.delete(tx, "none"))


def test_there_are_so_many_spaces_at_most(it: Opened) -> None:
    for number in range(MAX_SPACES):
        declare(it, f"space-{number}")
    with pytest.raises(FailedPrecondition, match="8 vector spaces already: 'space-0', "):
        declare(it, "more")
    it.do(lambda tx: it.store.spaces.delete(tx, "space-3"))
    declare(it, "more")


def test_a_change_comes_with_the_vectors_of_the_current_version(it: Opened) -> None:
    image, sound = declare(it, "image"), declare(it, "sound", 2)
    one, other, heard = unit(1, 0, 0), unit(0, 1, 0), unit(0.6, 0.8)
    it.upsert(with_vectors("a", {image: one, sound: heard}), pictured("b", {image: one}))
    before = it.upsert(new_item("c"))
    assert told(it) == {
        "a": {"image": one.tolist(), "sound": heard.tolist()},
        "b": {"image": one.tolist()},
        "c": {},
    }
    bare = next(it.store.changes.versions(["b"], it.encoder_id))
    assert (bare.removed, bare.vector) == (False, None)
    it.upsert(with_vectors("a", {image: other}), with_vectors("c", {sound: heard}))
    it.remove("b")
    assert told(it, before) == {
        "a": {"image": other.tolist()},
        "b": {},
        "c": {"sound": heard.tolist()},
    }
    assert {change.id: change.extra_vectors for change in it.store.changes.current()} == {
        "a": {},
        "c": {},
    }
    held = it.store.changes.vectors_in(image.id, ["a", "b", "c"])
    assert {name: vector.tolist() for name, vector in held.items()} == {"a": other.tolist()}
    assert it.store.changes.extra_vectors(["c"])["c"].keys() == {sound}
    assert vectors_in_spaces(it.store) == {image.id: 1, sound.id: 1}


def test_vectors_are_read_across_chunks(it: Opened) -> None:
    image = declare(it, "image")
    names = [f"item-{number}" for number in range(CHUNK + 1)]
    it.upsert(*(pictured(name, {image: unit(1, 2, 3)}) for name in names))
    assert [len(each) for each in told(it).values()] == [1] * len(names)
    assert it.store.changes.extra_vectors(names).keys() == set(names)


def test_a_text_that_goes_takes_its_vector_with_it_and_comes_back(it: Opened) -> None:
    image = declare(it, "image")
    it.upsert(new_item("a"))
    it.upsert(pictured("a", {image: unit(1, 0, 0)}))
    assert it.store.changes.vectors(it.encoder_id, ["a"]) == {}
    it.upsert(new_item("a"))
    assert it.store.changes.vectors(it.encoder_id, ["a"]).keys() == {"a"}
    assert told(it) == {"a": {}}


def test_a_vector_of_a_space_that_is_gone_is_not_written(it: Opened) -> None:
    image = declare(it, "image")
    it.do(lambda tx: it.store.spaces.delete(tx, "image"))
    declare(it, "image")
    with pytest.raises(SpaceDeleted):
        it.upsert(with_vectors("a", {image: unit(1, 0, 0)}))
    assert it.present() == []


def test_what_a_deleted_space_leaves_goes_bit_by_bit(it: Opened) -> None:
    image, sound = declare(it, "image"), declare(it, "sound")
    both = {image: unit(1, 0, 0), sound: unit(0, 0, 1)}
    it.upsert(*(with_vectors(name, both) for name in "abcde"))
    assert not it.store.spaces.any_deleted()
    it.do(lambda tx: it.store.spaces.delete(tx, "image"))
    # Nobody is told of them any more, though they are there.
    assert {frozenset(each) for each in told(it).values()} == {frozenset(["sound"])}
    assert vectors_in_spaces(it.store) == {image.id: 5, sound.id: 5}
    it.remove("e")
    assert it.do(lambda tx: it.store.spaces.drop_deleted(tx, 3)) == 3
    assert it.store.spaces.any_deleted()
    assert it.do(lambda tx: it.store.spaces.drop_deleted(tx, 3)) == 1
    assert not it.store.spaces.any_deleted()
    assert vectors_in_spaces(it.store) == {sound.id: 4}


def test_a_change_of_the_encoder_leaves_vectors_and_waits_for_no_item_without_a_text(
    it: Opened,
) -> None:
    image = declare(it, "image")
    it.upsert(pictured("b", {image: unit(1, 0, 0)}))
    it.upsert(with_vectors("a", {image: unit(0, 1, 0)}))
    coming = it.do(lambda tx: it.store.encoders.prepare(tx, EncoderBinding("other@1", 2)))
    (pending,) = it.store.encoders.pending(coming.id, 10)
    assert pending.id == "a"
    rows = [(pending.id, pending.revision, unit(1, 1))]
    it.do(lambda tx: it.store.encoders.put_vectors(tx, coming.id, rows))
    assert it.store.encoders.pending_count(coming.id) == 0
    before = told(it)
    it.do(lambda tx: it.store.encoders.switch(tx, coming.id, after=0))
    assert told(it) == before
    assert before.keys() == {"a", "b"}
    it.do(lambda tx: it.store.encoders.drop_retired(tx, 10))


DAMAGE = {
    "UPDATE extra_vectors SET data = x'00'": "not of the dimension of their space",
    "DELETE FROM vector_spaces": "not of the dimension of their space",
    "UPDATE items SET removed = 1": "vectors in spaces are of items that do not exist",
    "UPDATE sequence SET revision = 0": "vector spaces have revisions that were never given out",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_does_not_fit_together_is_found(path: Path, damage: str) -> None:
    with opened(path) as it:
        image = declare(it, "image")
        it.upsert(with_vectors("a", {image: unit(1, 0, 0)}))
    assert check_database(path) == []
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    assert any(DAMAGE[damage] in problem for problem in check_database(path))
