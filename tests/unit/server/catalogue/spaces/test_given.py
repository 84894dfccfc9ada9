"""Spaces of the caller's: they follow the store, and what has a vector in one alone is found."""

from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.indexer import Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.spaces.space import Space
from longtail.server.store.changes import ChangeLog
from longtail.server.store.records import VectorSpace

from tests.unit.server.catalogues import (
    NOW,
    Written,
    indexer_of,
    item,
    pictured,
    unit,
    view_of,
)
from tests.unit.server.heads import head

WIDTH = 6


@pytest.fixture
def image(written: Written) -> VectorSpace:
    return written.declare("image", WIDTH)


def write(
    written: Written, image: VectorSpace, numbers: range, shift: int = 0, *, text: bool = True
) -> None:
    written.upsert(
        *(
            pictured(f"i{number:03}", image, number + shift, number + 5000 if text else None)
            for number in numbers
        )
    )


def space_of(view: CatalogueReplica) -> Space:
    return view.state.spaces["image"]


def nearest(view: CatalogueReplica, seed: int, k: int = 1) -> list[str]:
    state = view.state
    rows, _ = space_of(view).search(unit(seed, WIDTH), k, state.scope(NOW, None))
    return [state.columns.ids[row] for row in rows]


def by_text(view: CatalogueReplica, k: int = 1000) -> list[str]:
    state = view.state
    rows, _ = state.index.search(unit(1), k, state.scope(NOW, None))
    return [state.columns.ids[row] for row in rows]


def build(indexer: Indexer) -> None:
    indexer._build_what_is_due()


def check(view: CatalogueReplica, seeds: dict[str, int]) -> None:
    """Compare what is held with the vectors that items were written with, by their seeds."""
    state = view.state
    space = space_of(view)
    rows = state.columns.rows_at(seeds, state.revision)
    assert space.live_count == len(seeds)
    expected = np.stack([unit(seed, WIDTH) for seed in seeds.values()])
    assert space.vectors(rows) == pytest.approx(expected, abs=1e-6)
    ids = list(seeds)
    for seed in (7, 8):
        order = np.argsort(-(expected @ unit(seed, WIDTH)), kind="stable")
        assert nearest(view, seed, 5) == [ids[at] for at in order[:5]]
    assert len(nearest(view, 7, 1000)) == len(seeds)


def seeds(numbers: range, shift: int = 0) -> dict[str, int]:
    return {f"i{number:03}": number + shift for number in numbers}


def test_it_follows_what_is_written(written: Written, tmp_path: Path, image: VectorSpace) -> None:
    view = view_of(written, tmp_path)
    assert space_of(view).live_count == 0
    write(written, image, range(30))
    written.upsert(item("without", 1))
    view.follow()
    check(view, seeds(range(30)))
    write(written, image, range(5), shift=300)
    written.remove("i020")
    # It has lost its image.
    written.upsert(item("i021", 21))
    view.follow()
    left = seeds(range(30)) | seeds(range(5), 300)
    del left["i020"], left["i021"]
    check(view, left)
    check(view_of(written, tmp_path), left)


def test_a_space_that_is_declared_later_is_followed(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    written.upsert(item("first", 1))
    view.follow()
    before = view.state.spaces
    assert before == {}
    image = written.declare("image", WIDTH)
    write(written, image, range(9))
    view.follow()
    check(view, seeds(range(9)))
    assert view.state.declared_spaces == {"image": image}


def test_what_has_a_named_vector_alone_is_found_by_it_and_by_no_text(
    written: Written, tmp_path: Path, image: VectorSpace
) -> None:
    view = view_of(written, tmp_path)
    write(written, image, range(40), text=False)
    written.upsert(item("text", 3))
    view.follow()
    assert view.live_count == 41
    for each in (view, view_of(written, tmp_path)):
        check(each, seeds(range(40)))
        assert by_text(each) == ["text"]
        state = each.state
        rows = state.columns.rows_at([f"i{number:03}" for number in range(40)], state.revision)
        assert not state.index.copies.are_shared(rows).any()
    indexer = indexer_of(written, view, tmp_path, merge_rows=20)
    build(indexer)
    assert view.state.index.graph_rows == 41
    assert space_of(view).index.graph_rows == 40
    for each in (view, view_of(written, tmp_path)):
        check(each, seeds(range(40)))
        assert by_text(each) == ["text"]
    # It gets a text, loses it again, and goes.
    write(written, image, range(1), text=True)
    view.follow()
    assert sorted(by_text(view)) == ["i000", "text"]
    write(written, image, range(1), text=False)
    written.remove("i001")
    view.follow()
    assert by_text(view) == ["text"]
    check(view, {key: seed for key, seed in seeds(range(40)).items() if key != "i001"})


def test_a_head_adapts_what_has_a_text(
    written: Written, tmp_path: Path, image: VectorSpace
) -> None:
    view = view_of(written, tmp_path)
    write(written, image, range(9), text=False)
    written.upsert(item("text", 3))
    view.follow()
    view.adapt(head(1))
    write(written, image, range(9, 12), text=False)
    written.upsert(item("another", 4))
    view.follow()
    assert view.state.spaces["adapted"].live_count == 2
    check(view, seeds(range(12)))


def test_generations_are_taken_at_a_start(
    written: Written, tmp_path: Path, image: VectorSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(written, tmp_path)
    write(written, image, range(60))
    view.follow()
    build(indexer_of(written, view, tmp_path))
    write(written, image, range(55, 70), shift=400)
    asked: list[int] = []
    read = ChangeLog.vectors_in

    def counted(changes: ChangeLog, space_id: int, ids: list[str]) -> object:
        asked.append(len(ids))
        return read(changes, space_id, ids)

    monkeypatch.setattr(ChangeLog, "vectors_in", counted)
    again = view_of(written, tmp_path)
    assert asked == [15]
    assert space_of(again).index.graph_rows == 60
    check(again, seeds(range(55)) | seeds(range(55, 70), 400))


def test_one_that_is_damaged_is_built_anew(
    written: Written, tmp_path: Path, image: VectorSpace
) -> None:
    view = view_of(written, tmp_path)
    write(written, image, range(60))
    view.follow()
    build(indexer_of(written, view, tmp_path))
    [graph] = (tmp_path / "index").glob("space-*/*/graph.hnsw")
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    again = view_of(written, tmp_path)
    assert space_of(again).index.graph_rows == 0
    check(again, seeds(range(60)))
    build(indexer_of(written, again, tmp_path))
    assert space_of(again).index.graph_rows == 60
    check(again, seeds(range(60)))


def test_it_moves_with_the_rows_of_the_main_index(
    written: Written, tmp_path: Path, image: VectorSpace
) -> None:
    view = view_of(written, tmp_path)
    write(written, image, range(40))
    write(written, image, range(40, 50), text=False)
    view.follow()
    indexer = indexer_of(written, view, tmp_path)
    indexer.rebuild(view.state.encoder, lambda *_: None)
    write(written, image, range(30, 45), shift=200)
    view.follow()
    left = seeds(range(50)) | seeds(range(30, 45), 200)
    check(view, left)
    indexer.rebuild(view.state.encoder, lambda *_: None)
    assert view.tombstone_count == 0
    check(view, left)


def test_a_deleted_space_goes_and_what_had_a_vector_in_it_alone(
    written: Written, tmp_path: Path, image: VectorSpace
) -> None:
    sound = written.declare("sound", 3)
    view = view_of(written, tmp_path)
    write(written, image, range(60), text=False)
    written.upsert(pictured("heard", sound, 1), item("text", 3))
    view.follow()
    indexer = indexer_of(written, view, tmp_path)
    build(indexer)
    written.delete_space("image")
    view.follow()
    for each in (view, view_of(written, tmp_path)):
        assert each.state.spaces.keys() == {"sound"}
        assert each.live_count == 2
        assert each.state.has(["i001", "heard", "text"]) == [False, True, True]
    indexer._prune()
    assert not list((tmp_path / "index").glob(f"space-{image.id}"))
    other = written.declare("image", 4)
    written.upsert(pictured("i001", other, 1))
    view.follow()
    assert space_of(view).dimension == 4
    assert view.state.has(["i001", "i002"]) == [True, False]


def test_the_others_take_over_what_the_owner_built(
    written: Written, tmp_path: Path, image: VectorSpace
) -> None:
    owner, other = view_of(written, tmp_path), view_of(written, tmp_path)
    write(written, image, range(60))
    for view in (owner, other):
        view.follow()
    build(indexer_of(written, owner, tmp_path))
    indexer_of(written, other, tmp_path)._take_over()
    assert space_of(other).index.graph_rows == 60
    check(other, seeds(range(60)))
