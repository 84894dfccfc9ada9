"""Vectors adapted by a head: they follow the catalogue, and are kept in generations."""

from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue import indexer as indexer_module
from longtail.server.catalogue import replica as replica_module
from longtail.server.catalogue.index.vector_file import Matrix
from longtail.server.catalogue.indexer import Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.spaces.space import ADAPTED, Space
from longtail.server.store.records import EncoderBinding, State
from prometheus_client import REGISTRY

from tests.unit.server.catalogues import (
    DIMENSION,
    NOW,
    Written,
    indexer_of,
    item,
    unit,
    view_of,
)
from tests.unit.server.heads import LinearHead, head


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "AT_ONCE_ROWS", 100)


def write(written: Written, view: CatalogueReplica, numbers: range, shift: int = 0) -> None:
    written.upsert(*(item(f"i{number:03}", number + shift) for number in numbers))
    view.follow()


def space_of(view: CatalogueReplica) -> Space:
    return view.state.spaces[ADAPTED]


def nearest(view: CatalogueReplica, vector: np.ndarray, k: int = 3) -> list[str]:
    state = view.state
    rows, _ = state.spaces[ADAPTED].search(vector, k, state.scope(NOW, None))
    return [state.columns.ids[row] for row in rows]


def build(indexer: Indexer) -> None:
    """Do what a look of the owner at what is due does."""
    indexer._build_what_is_due()


def check(view: CatalogueReplica, by: LinearHead) -> None:
    """Compare what is held with what the head makes of the catalogue: each row, and each search."""
    state = view.state
    space = space_of(view)
    rows = np.flatnonzero(state.columns.visible(state.revision, state.columns.count))
    expected = by.adapted(state.index.vectors(rows))
    assert space.live_count == len(rows)
    assert space.vectors(rows) == pytest.approx(expected, abs=1e-6)
    scope = state.scope(NOW, None)
    for seed in (1, 2, 3):
        found, cosines = space.search(unit(seed), 5, scope)
        products = expected @ unit(seed)
        best = np.argsort(-products)[:5]
        assert found.tolist() == rows[best].tolist()
        assert cosines == pytest.approx(products[best], abs=1e-6)


def test_few_vectors_are_adapted_at_once_and_follow_what_is_written(
    written: Written, tmp_path: Path
) -> None:
    view, linear = view_of(written, tmp_path), head(1)
    write(written, view, range(60))
    assert view.state.spaces == {}
    view.adapt(linear)
    check(view, linear)
    write(written, view, range(60, 90))
    write(written, view, range(10), shift=500)
    written.remove("i020", "i061")
    view.follow()
    check(view, linear)
    wanted = linear.adapted(unit(503)[None])[0]
    assert nearest(view, wanted, 1) == ["i003"]


def test_only_what_may_be_found_is(written: Written, tmp_path: Path) -> None:
    view, linear = view_of(written, tmp_path), head(1)
    hidden = item("hidden", 7, state=State.HIDDEN)
    written.upsert(hidden, *(item(f"i{number}", number + 20) for number in range(9)))
    view.follow()
    view.adapt(linear)
    assert "hidden" not in nearest(view, linear.adapted(unit(7)[None])[0], 20)


def test_who_reads_an_older_revision_sees_nothing_of_what_came_later(
    written: Written, tmp_path: Path
) -> None:
    view, linear = view_of(written, tmp_path), head(1)
    write(written, view, range(9))
    view.adapt(linear)
    scope, space = view.state.scope(NOW, None), space_of(view)
    write(written, view, range(9, 20))
    write(written, view, range(3), shift=900)
    rows, _ = space.search(unit(1), 50, scope)
    assert sorted(rows.tolist()) == list(range(9))


def test_many_vectors_serve_when_a_generation_of_them_is_built(
    written: Written, tmp_path: Path
) -> None:
    view, linear = view_of(written, tmp_path), head(1)
    write(written, view, range(150))
    view.adapt(linear)
    assert view.coming is linear
    assert view.state.spaces == {}
    indexer = indexer_of(written, view, tmp_path)
    build(indexer)
    assert view.coming is None
    assert space_of(view).index.graph_rows == 150
    check(view, linear)
    # The main index was built by the same look.
    assert view.state.index.graph_rows == 150
    write(written, view, range(100, 220), shift=300)
    check(view, linear)
    build(indexer)
    assert space_of(view).index.delta_rows == 0
    check(view, linear)


def test_a_start_takes_what_was_built(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, linear = view_of(written, tmp_path), head(1)
    write(written, view, range(150))
    view.adapt(linear)
    build(indexer_of(written, view, tmp_path))
    write(written, view, range(140, 160))
    again = view_of(written, tmp_path)
    # An owner of the index looks for what is of no use before it knows of a head.
    indexer_of(written, again, tmp_path)._prune()
    asked: list[int] = []
    adapt = LinearHead.adapted

    def counted(self: LinearHead, vectors: Matrix) -> Matrix:
        asked.append(len(vectors))
        return adapt(self, vectors)

    monkeypatch.setattr(LinearHead, "adapted", counted)
    again.adapt(head(1))
    assert asked == [20]
    assert space_of(again).index.graph_rows == 150
    check(again, linear)


def test_what_is_damaged_is_built_anew(written: Written, tmp_path: Path) -> None:
    view, linear = view_of(written, tmp_path), head(1)
    write(written, view, range(150))
    view.adapt(linear)
    build(indexer_of(written, view, tmp_path))
    [graph] = (tmp_path / "index").glob("adapted-*/*/graph.hnsw")
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    again = view_of(written, tmp_path)
    again.adapt(linear)
    assert again.coming is linear
    build(indexer_of(written, again, tmp_path))
    assert space_of(again).index.graph_rows == 150
    check(again, linear)


def test_another_head_takes_the_place_of_the_first_when_it_is_complete(
    written: Written, tmp_path: Path
) -> None:
    view, first, second = view_of(written, tmp_path), head(1), head(2)
    write(written, view, range(150))
    indexer = indexer_of(written, view, tmp_path)
    view.adapt(first)
    build(indexer)
    view.adapt(second)
    check(view, first)
    build(indexer)
    check(view, second)
    assert len(list((tmp_path / "index").glob("adapted-*"))) == 1
    # The same one once more changes nothing.
    space = space_of(view)
    view.adapt(head(2))
    assert space_of(view) is space
    view.adapt(None)
    assert view.state.spaces == {}
    build(indexer)
    assert view.state.spaces == {}


def test_it_moves_with_the_rows_of_the_main_index(written: Written, tmp_path: Path) -> None:
    view, linear = view_of(written, tmp_path), head(1)
    write(written, view, range(80))
    view.adapt(linear)
    write(written, view, range(20), shift=400)
    before = view.state
    indexer_of(written, view, tmp_path).rebuild(view.state.encoder, lambda *_: None)
    assert view.state is not before
    check(view, linear)
    # A rebuild is of all vectors there are.
    assert space_of(view).index.delta_rows == 0
    write(written, view, range(70, 99), shift=700)
    check(view, linear)


def test_dead_rows_are_built_out(written: Written, tmp_path: Path) -> None:
    view, linear = view_of(written, tmp_path), head(1)
    write(written, view, range(150))
    view.adapt(linear)
    indexer = indexer_of(written, view, tmp_path, merge_rows=1000)
    build(indexer)
    written.remove(*(f"i{number:03}" for number in range(60)))
    view.follow()
    assert space_of(view).dead_share() > indexer_module.DEAD_SHARE
    build(indexer)
    assert space_of(view).dead_share() == 0
    assert space_of(view).index.graph_rows == 90
    check(view, linear)


def test_the_others_take_over_what_the_owner_built(written: Written, tmp_path: Path) -> None:
    owner, other, linear = view_of(written, tmp_path), view_of(written, tmp_path), head(1)
    write(written, owner, range(150))
    other.follow()
    for view in (owner, other):
        view.adapt(head(1))
    build(indexer_of(written, owner, tmp_path))
    taking = indexer_of(written, other, tmp_path)
    taking._take_over()
    assert space_of(other).index.graph_rows == 150
    check(other, linear)
    space = space_of(other)
    taking._take_over()
    assert space_of(other) is space


def test_another_encoder_has_no_head(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    write(written, view, range(9))
    view.adapt(head(1))
    encoders = written.store.encoders
    coming = written.write(lambda tx: encoders.prepare(tx, EncoderBinding("tiny@2", 16)))
    rows = [(text.id, text.revision, unit(1)) for text in encoders.pending(coming.id, 99)]
    written.write(lambda tx: encoders.put_vectors(tx, coming.id, rows))
    written.write(lambda tx: encoders.switch(tx, coming.id, after=0))
    view.follow()
    assert (view.head, view.coming, view.state.spaces) == (None, None, {})


def test_metrics_tell_what_it_takes(written: Written, tmp_path: Path) -> None:
    def told(name: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"space": ADAPTED})

    view = view_of(written, tmp_path)
    write(written, view, range(150))
    view.adapt(head(1))
    build(indexer_of(written, view, tmp_path))
    assert told("longtail_space_rows") == 150
    of_graph = told("longtail_space_bytes")
    assert of_graph is not None
    assert of_graph > 150 * 4 * DIMENSION
    write(written, view, range(150, 160))
    assert told("longtail_space_rows") == 160
    view.adapt(None)
    assert told("longtail_space_rows") is None
