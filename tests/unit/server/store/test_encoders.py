from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.server.store.records import BoundEncoder, EncoderBinding, PendingText

from tests.unit.server.store_records import BINDING, VECTOR, Opened, new_item, opened

NEXT = EncoderBinding("other@2", 2)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "data" / "longtail.db") as store:
        yield store


def prepare(it: Opened, binding: EncoderBinding = NEXT) -> int:
    return it.do(lambda tx: it.store.encoders.prepare(tx, binding)).id


def put(it: Opened, encoder_id: int, *texts: PendingText) -> int:
    rows = [(text.id, text.revision, VECTOR[::-1]) for text in texts]
    return it.do(lambda tx: it.store.encoders.put_vectors(tx, encoder_id, rows))


def test_the_first_encoder_stays_whoever_binds_next(it: Opened) -> None:
    assert it.do(lambda tx: it.store.encoders.bind(tx, NEXT)).binding == BINDING
    assert it.store.encoders.current() == BoundEncoder(it.encoder_id, BINDING)
    assert it.store.encoders.next() is None


def test_a_change_goes_on_where_it_was_and_another_takes_its_place(it: Opened) -> None:
    begun = prepare(it)
    assert prepare(it) == begun
    other = prepare(it, EncoderBinding("third@3", 2))
    assert len({it.encoder_id, begun, other}) == 3
    following = it.store.encoders.next()
    assert following is not None
    assert following.id == other


def test_a_change_of_encoder_switches_once_every_item_has_a_vector(it: Opened) -> None:
    it.upsert(*(new_item(name) for name in ("a", "b", "c")))
    it.remove("c")
    old, new = it.encoder_id, prepare(it)
    first, second = it.store.encoders.pending(new, 10)
    assert it.store.encoders.pending(new, 10, after=first.revision) == [second]
    assert put(it, new, first) == 1
    assert it.store.encoders.pending_count(new) == 1
    with pytest.raises(ValueError, match="1 items have no vector"):
        it.do(lambda tx: it.store.encoders.switch(tx, new, after=first.revision))
    put(it, new, second)
    before = it.revision
    assert it.do(lambda tx: it.store.encoders.switch(tx, new, after=0)) == before + 1
    position = it.store.changes.position()
    assert (position.revision, position.encoder_id) == (before + 1, new)
    assert it.store.changes.vectors(new, ["a", "b", "c"]).keys() == {"a", "b"}

    assert it.store.encoders.retired(10) == 2
    assert it.do(lambda tx: it.store.encoders.drop_retired(tx, 1)) == 1
    assert it.do(lambda tx: it.store.encoders.drop_retired(tx, 9)) == 1
    assert it.store.encoders.retired(10) == 0
    assert it.store.changes.vectors(old, ["a", "b"]) == {}


def test_a_vector_of_a_version_that_was_replaced_is_passed_over(it: Opened) -> None:
    it.upsert(new_item("a"))
    new = prepare(it)
    (text,) = it.store.encoders.pending(new, 10)
    it.upsert(new_item("a", "Another title"))
    assert put(it, new, text) == 0
    assert it.store.encoders.pending_count(new) == 1


def test_only_a_text_that_changes_costs_the_next_encoder_its_vector(it: Opened) -> None:
    it.upsert(new_item("same"), new_item("changed"), new_item("given"))
    new = prepare(it)
    put(it, new, *it.store.encoders.pending(new, 10))
    it.upsert(
        new_item("same", prior=9),
        new_item("changed", "Another title"),
        new_item("given", vector_given=True),
    )
    assert it.store.changes.vectors(new, ["same", "changed", "given"]).keys() == {"same"}


def test_a_switch_takes_the_callers_word_for_what_it_went_through(it: Opened) -> None:
    it.upsert(new_item("a"), new_item("b"))
    new = prepare(it)
    last = it.store.encoders.pending(new, 10)[-1].revision
    it.upsert(new_item("a", "Another title"))
    with pytest.raises(ValueError, match="1 items have no vector"):
        it.do(lambda tx: it.store.encoders.switch(tx, new, after=last))
    it.do(lambda tx: it.store.encoders.switch(tx, new, after=it.revision))
    assert it.store.encoders.current() == BoundEncoder(new, NEXT)


def test_vectors_of_the_callers_own_hold_a_switch_up(it: Opened) -> None:
    it.upsert(new_item("given", vector_given=True))
    new = prepare(it)
    assert it.store.encoders.given_vectors(10) == ["given"]
    (given,) = it.store.encoders.pending(new, 10)
    assert given.vector_given
    with pytest.raises(ValueError, match="no vector"):
        it.do(lambda tx: it.store.encoders.switch(tx, new, after=0))
