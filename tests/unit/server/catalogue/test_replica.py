"""The view follows the store, whatever it was loaded from."""

import asyncio
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from longtail.runtime.errors import Unavailable
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import CatalogueState
from longtail.server.process.part import Part
from longtail.server.store.records import BoundEncoder, EncoderBinding, ItemChange, State
from longtail.server.upkeep import recall_canary
from longtail.server.upkeep.recall_canary import measure

from tests.unit.server.catalogues import (
    DIMENSION,
    NOW,
    Written,
    contents,
    indexer_of,
    interaction,
    item,
    nearest,
    opened,
    unit,
    view_of,
)


def fill(written: Written, n: int = 200) -> None:
    written.upsert(*(item(f"i{number:03}", number, prior=number) for number in range(n)))


def merge(written: Written, view: CatalogueReplica, folder: Path) -> None:
    indexer_of(written, view, folder).rebuild(view.state.encoder, lambda _done, _total: None)


def test_an_empty_catalogue_finds_nothing(written: Written, tmp_path: Path) -> None:
    assert nearest(view_of(written, tmp_path), 1) == []


def test_what_is_written_can_be_found_after_a_follow(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    revision = written.upsert(item("a", 1), item("b", 2))
    assert nearest(view, 1) == []
    view.follow()
    assert view.revision == revision
    assert nearest(view, 1, 1) == ["a"]


def test_a_replaced_item_is_where_it_is_now_and_nowhere_else(
    written: Written, tmp_path: Path
) -> None:
    view = view_of(written, tmp_path)
    for seed in (1, 2, 3):
        written.upsert(item("a", seed))
        view.follow()
    assert nearest(view, 3) == ["a"]
    assert (view.live_count, view.tombstone_count) == (1, 2)


def test_a_removed_item_is_gone_and_may_come_back(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    written.upsert(item("a", 1), item("b", 2))
    written.remove("a")
    view.follow()
    assert nearest(view, 1) == ["b"]
    written.upsert(item("a", 3))
    view.follow()
    assert sorted(nearest(view, 1)) == ["a", "b"]


def test_a_reader_keeps_what_it_saw_while_others_write(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    written.upsert(item("a", 1), item("b", 2))
    view.follow()
    state = view.state
    before = state.scope(NOW, None)
    written.upsert(item("a", 3), item("c", 4))
    written.remove("b")
    view.follow()
    rows, cosines = state.index.search(unit(1), 10, before)
    assert [state.columns.ids[row] for row in rows] == ["a", "b"]
    assert cosines[0] == pytest.approx(1.0)


@pytest.mark.parametrize("merged", [False, True])
def test_only_what_is_active_available_and_let_through_is_found(
    written: Written, tmp_path: Path, merged: bool
) -> None:
    written.upsert(
        item("active", 1, kind="x"),
        item("hidden", 2, state=State.HIDDEN, kind="x"),
        item("in review", 3, state=State.IN_REVIEW, kind="x"),
        item("not yet", 4, window=(NOW + 1, None), kind="x"),
        item("no more", 5, window=(None, NOW), kind="x"),
        item("in time", 6, window=(NOW, NOW + 1), kind="x"),
        item("other", 7, kind="y"),
    )
    view = view_of(written, tmp_path)
    if merged:
        merge(written, view, tmp_path)
    assert sorted(nearest(view, 1)) == ["active", "in time", "other"]
    wanted = Filter(all_of=(Condition("kind", Equals(Kind.TEXT, "x")),))
    state = view.state
    rows, _ = state.index.search(unit(1), 10, state.scope(NOW, wanted))
    assert sorted(state.columns.ids[row] for row in rows) == ["active", "in time"]


def test_a_view_that_followed_equals_one_that_is_loaded_anew(
    written: Written, tmp_path: Path
) -> None:
    view = view_of(written, tmp_path)
    generator = np.random.default_rng(5)
    for step in range(120):
        number = int(generator.integers(40))
        match step % 4:
            case 0 | 1:
                written.upsert(item(f"i{number}", step, prior=step))
            case 2:
                written.remove(f"i{number}")
            case 3:
                written.interact(interaction(f"e{step}", f"i{number}"))
        if step % 7 == 0:
            view.follow()
        if step % 30 == 29:
            view.follow()
            merge(written, view, tmp_path)
    view.follow()
    assert contents(view) == contents(view_of(written, tmp_path))
    fresh = view_of(written, tmp_path / "elsewhere")
    assert fresh.state.index.graph_rows == 0
    assert contents(view) == contents(fresh)
    for seed in range(50):
        assert nearest(view, seed) == nearest(fresh, seed)


def test_a_generation_and_later_changes_make_the_same_view(
    written: Written, tmp_path: Path
) -> None:
    fill(written)
    merge(written, view_of(written, tmp_path), tmp_path)
    written.upsert(item("i007", 1007), item("late", 1008))
    written.remove("i008")
    loaded = view_of(written, tmp_path)
    assert (loaded.state.index.graph_rows, loaded.delta_count) == (200, 2)
    assert contents(loaded) == contents(view_of(written, tmp_path / "elsewhere"))
    assert nearest(loaded, 1007, 1) == ["i007"]
    assert "i008" not in nearest(loaded, 8, 200)


def test_adopting_a_generation_changes_no_answer_and_holds_up_no_reader(
    written: Written, tmp_path: Path
) -> None:
    fill(written, 3000)
    view = view_of(written, tmp_path)
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for seed in (5, 1500, 2999):
                if (found := nearest(view, seed, 1)) != [f"i{seed:03}"]:
                    wrong.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(3):
        written.upsert(item(f"late{number}", 5000 + number))
        merge(written, view, tmp_path)
        assert nearest(view, 5000 + number, 1) == [f"late{number}"]
    done.set()
    reader.join()
    assert wrong == []
    assert view.delta_count == 0


def test_the_index_of_another_store_is_not_taken(written: Written, tmp_path: Path) -> None:
    fill(written)
    merge(written, view_of(written, tmp_path), tmp_path)
    with opened(tmp_path / "other") as other:
        fill(other, 20)
        view = CatalogueReplica(
            other.store, other.encoder, view_of(written, tmp_path)._settings, tmp_path / "index"
        )
        assert (view.state.index.graph_rows, view.live_count) == (0, 20)


def test_another_encoder_is_switched_to_with_its_own_index(
    written: Written, tmp_path: Path
) -> None:
    fill(written, 60)
    view = view_of(written, tmp_path)
    old = view.state
    following = coming(written, dimension=8)
    encode_pending(written, following)
    indexer_of(written, view, tmp_path).rebuild(following, lambda _done, _total: None)
    assert view.state is old
    switch(written, following)
    view.follow()
    state = view.state
    assert (state.encoder, state.index.graph_rows) == (following, 60)
    found, _ = state.index.search(unit(7, 8), 1, state.scope(NOW, None))
    assert state.columns.ids[found[0]] == "i007"
    # Who began with the old one can end with it.
    found, _ = old.index.search(unit(7), 1, old.scope(NOW, None))
    assert old.columns.ids[found[0]] == "i007"


def coming(written: Written, model_id: str = "tiny@2", dimension: int = DIMENSION) -> BoundEncoder:
    binding = EncoderBinding(model_id, dimension)
    return written.write(lambda tx: written.store.encoders.prepare(tx, binding))


def encode_pending(written: Written, encoder: BoundEncoder) -> None:
    pending = written.store.encoders.pending(encoder.id, 1000)
    dimension = encoder.binding.dimension
    rows = [(text.id, text.revision, unit(int(text.id[1:]), dimension)) for text in pending]
    written.write(lambda tx: written.store.encoders.put_vectors(tx, encoder.id, rows))


def switch(written: Written, encoder: BoundEncoder) -> None:
    written.write(
        lambda tx: written.store.encoders.switch(
            tx, encoder.id, written.store.changes.position().revision
        )
    )
    written.encoder = encoder


@pytest.mark.parametrize("merged", [False, True])
def test_a_staged_encoder_is_switched_to_by_what_changed_since(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merged: bool
) -> None:
    fill(written, 60)
    view = view_of(written, tmp_path)
    following = coming(written)
    encode_pending(written, following)
    if merged:
        indexer_of(written, view, tmp_path).rebuild(following, lambda _done, _total: None)
    # Neither is encoded when the state is loaded: one is there already, one is not.
    written.upsert(item("i001", 1001), item("i100", 100))
    view.stage(following)
    assert view.state.encoder == written.encoder
    encode_pending(written, following)
    # These come between two looks: one is encoded before it is looked at, one is removed.
    written.upsert(item("i002", 1002), item("i101", 101))
    written.remove("i003")
    view.stage(following)
    encode_pending(written, following)
    written.interact(interaction("e", "i100"))
    # Refused: there will be none.
    written.upsert(item("i102", 102))
    monkeypatch.setattr(view, "_load", forbidden)
    switch(written, following)
    written.upsert(item("i103", 103))
    view.follow()
    monkeypatch.undo()
    fresh = view_of(written, tmp_path / "elsewhere")
    assert view.state.encoder == following
    assert contents(view) == contents(fresh)
    assert contents(view).keys() == {f"i{n:03}" for n in (*range(60), 100, 101, 103)} - {"i003"}


def forbidden(_encoder: object) -> NoReturn:
    raise AssertionError("the catalogue is loaded while writes wait")


def test_a_switch_that_was_not_staged_is_followed_all_the_same(
    written: Written, tmp_path: Path
) -> None:
    fill(written, 20)
    view = view_of(written, tmp_path)
    view.stage(coming(written))
    other = coming(written, "tiny@3")
    encode_pending(written, other)
    switch(written, other)
    view.follow()
    assert (view.state.encoder, view.live_count) == (other, 20)


def test_the_canary_sees_what_searches_miss(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(3)
    fill(written, 400)
    view = view_of(written, tmp_path)
    assert measure(view.state, generator) is None
    merge(written, view, tmp_path)
    assert measure(view.state, generator) == 1.0
    whole = view.state.index.search

    def blind(vector: object, k: int, scope: object) -> object:
        rows, cosines = whole(vector, 2 * k, scope)  # type: ignore[arg-type]
        return rows[k // 2 :][:k], cosines[k // 2 :][:k]

    monkeypatch.setattr(view.state.index, "search", blind)
    assert measure(view.state, generator) == pytest.approx(0.5)


async def test_the_canary_goes_on_when_a_look_failed(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(written, 400)
    view = view_of(written, tmp_path)
    merge(written, view, tmp_path)
    failures = [MemoryError(), IndexError("no such row")]

    def failing(state: CatalogueState, generator: np.random.Generator) -> float | None:
        if failures:
            raise failures.pop()
        return measure(state, generator)

    monkeypatch.setattr(recall_canary, "measure", failing)
    monkeypatch.setattr(recall_canary, "FIRST_SECONDS", 0)
    monkeypatch.setattr(recall_canary, "PERIOD_SECONDS", 0.01)
    watch = asyncio.create_task(recall_canary.watch_recall(view, part := Part("canary")))
    async with asyncio.timeout(60):
        while not view.recall:  # noqa: ASYNC110 (the canary tells nobody)
            await asyncio.sleep(0.01)
    assert (failures, part.well, watch.done()) == ([], True, False)
    watch.cancel()


def test_a_follow_that_broke_off_is_made_up_for(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(item(f"i{number}", number) for number in range(5)))

    def exhausted(*_arguments: object) -> None:
        raise MemoryError

    # The vector of the first is taken in by then, its other columns are not.
    with monkeypatch.context() as patch:
        patch.setattr(view.state.columns, "append", exhausted)
        with pytest.raises(MemoryError):
            view.follow()
    view.follow()
    assert contents(view) == contents(view_of(written, tmp_path / "elsewhere"))
    written.upsert(item("i9", 9))
    view.follow()
    assert contents(view) == contents(view_of(written, tmp_path / "elsewhere"))


def test_a_store_that_went_away_meanwhile_is_followed_on_without_a_new_view(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(item(f"i{number}", number) for number in range(5)))
    written.remove("i1")
    written.upsert(item("i2", 7))
    state, changes = view.state, written.store.changes.item_changes

    def broken_off(after: int, until: int, encoder_id: int) -> Iterator[ItemChange]:
        yield from islice(changes(after, until, encoder_id), 3)
        raise Unavailable("the database cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(written.store.changes, "item_changes", broken_off)
        for _ in range(2):
            with pytest.raises(Unavailable):
                view.follow()
    written.upsert(item("i0", 8))
    view.follow()
    assert view.state is state
    assert view.state.columns.count == view.state.index.delta_rows
    assert contents(view) == contents(view_of(written, tmp_path / "elsewhere"))
