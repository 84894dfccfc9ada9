import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from longtail.server.store.encoders import EncoderChanged
from longtail.server.store.records import State

from tests.unit.server.store_records import VECTOR, Opened, new_item, opened


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "data" / "longtail.db") as store:
        yield store


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list whose last element is the time in microseconds."""
    times = [10]
    monkeypatch.setattr(time, "time_ns", lambda: times[-1] * 1000)
    return times


def test_an_item_comes_back_as_it_was_written(it: Opened, clock: list[int]) -> None:
    plain = new_item("film", prior=2.5)
    content = replace(
        plain.content,
        state=State.IN_REVIEW,
        available_from=-5,
        available_until=2**50,
        penalty=0.25,
    )
    written = replace(plain, content=content, vector_given=True)
    revision = it.upsert(written)
    (stored,) = it.store.items.get(["film", "none"]).values()
    assert stored.content == content
    assert stored.create_time == stored.update_time == 10
    assert (stored.revision, stored.vector_given) == (revision, True)


def test_replacing_keeps_the_time_of_creation(it: Opened, clock: list[int]) -> None:
    it.upsert(new_item("film"))
    clock.append(20)
    it.upsert(new_item("film", "Another title"))
    stored = it.store.items.get(["film"])["film"]
    assert stored.content.title == "Another title"
    assert (stored.create_time, stored.update_time) == (10, 20)
    assert it.store.counts().items == 1


def test_a_clock_that_is_set_back_changes_no_order(it: Opened, clock: list[int]) -> None:
    first = it.upsert(new_item("a"), new_item("b"))
    clock.append(3)
    assert it.upsert(new_item("a")) > first
    stored = it.store.items.get(["a"])["a"]
    assert stored.update_time >= stored.create_time
    assert it.present() == ["b", "a"]


def test_an_item_that_comes_back_is_a_new_one(it: Opened, clock: list[int]) -> None:
    plain = new_item("film")
    it.upsert(replace(plain, content=replace(plain.content, penalty=0.5)))
    it.remove("film")
    assert it.store.items.get(["film"]) == {}
    assert it.store.items.encoded_texts(["film"], it.encoder_id) == {}
    assert it.store.counts().items == 0
    clock.append(5)
    it.upsert(new_item("film"))
    stored = it.store.items.get(["film"])["film"]
    assert (stored.create_time, stored.update_time) == (5, 5)
    assert stored.content.penalty == 0


def test_removing_names_what_was_there_and_gives_each_a_revision(it: Opened) -> None:
    last = it.upsert(new_item("a"), new_item("b"), new_item("c"))
    assert it.remove("a", "b", "never") == (frozenset("ab"), last + 2)
    assert it.remove("a", "never") == (frozenset(), last + 2)
    assert it.revision == last + 2
    assert it.do(lambda tx: it.store.items.revisions(tx, ["a", "c"])) == {"c": last}


def test_each_version_has_a_revision_of_its_own_and_they_grow(it: Opened) -> None:
    last = it.revision
    for _ in range(3):
        until = it.upsert(new_item("a"), new_item("b"))
        revisions = [change.revision for change in it.store.changes.current()]
        assert revisions == [last + 1, last + 2] == [until - 1, until]
        last = until


def test_encoded_texts_leave_out_vectors_that_were_given(it: Opened) -> None:
    it.upsert(new_item("ours"), new_item("theirs", vector_given=True))
    texts = it.store.items.encoded_texts(["ours", "theirs"], it.encoder_id)
    (encoded,) = texts.values()
    assert (encoded.title, encoded.text) == ("A title", "A text")
    assert encoded.vector.tolist() == VECTOR.tolist()
    assert it.store.items.encoded_texts(["ours"], it.encoder_id + 1) == {}


def test_pages_follow_each_other_in_the_order_of_ids(it: Opened) -> None:
    it.upsert(*(new_item(name) for name in ("d", "b", "é", "a", "c")))
    it.remove("b")
    pages = []
    after = ""
    while page := it.store.items.list_page(after=after, limit=2):
        pages.append([item.content.id for item in page])
        after = pages[-1][-1]
    assert pages == [["a", "c"], ["d", "é"]]


def test_a_thousand_ids_are_read_at_once(it: Opened) -> None:
    names = [f"item-{number}" for number in range(1000)]
    it.upsert(*map(new_item, names))
    assert it.store.items.get(names).keys() == set(names)


def test_vectors_of_an_encoder_that_is_not_the_catalogues_are_refused(it: Opened) -> None:
    with pytest.raises(EncoderChanged):
        it.do(lambda tx: it.store.items.upsert(tx, [new_item("a")], it.encoder_id + 1))
    assert it.present() == []
