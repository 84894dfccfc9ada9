"""What a generation has of its rows beside the graph: a view over it is the view without it."""

import mmap
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.columns.columns import Columns
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind
from longtail.server.catalogue.index.copies import FILE as COPIES_FILE
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import COLUMNS_FILE
from longtail.server.catalogue.words.words_file import FILE as WORDS_FILE
from longtail.server.store.clock import now
from longtail.server.store.records import DecisionKind, Impression, NewDecision, NewItem, State

from tests.unit.server.catalogues import (
    NOW,
    Written,
    indexer_of,
    interaction,
    item,
    nearest,
    view_of,
)

COLOURS = ("red", "green", "", "日本")


def described(number: int, step: int) -> NewItem:
    """Return an item with attributes of every type, some of which others have too."""
    attributes = {
        "colour": COLOURS[step % 4],
        "sizes": [1, step % 3, 2.5],
        "is_new": step % 2 == 0,
        "day": f"2026-01-{1 + step % 28:02}",
        "only": {f"of {step % 50}": "x" * (990 + step % 20)},
        "empty": [],
    }
    state = State.HIDDEN if step % 11 == 0 else State.ACTIVE
    window = (None, NOW) if step % 13 == 0 else (None, None)
    # Some have the vector of another item.
    made = item(f"i{number}", step % 37, float(step), state, window, **attributes)
    penalty = 0.5 if step % 5 == 0 else 0.0
    content = replace(made.content, text=f"word{step % 7} all", penalty=penalty)
    return replace(made, content=content)


def live_through(written: Written, steps: range, items: int = 60) -> None:
    """Write, remove, decide about, show and like items."""
    random = np.random.default_rng(steps.start)
    for step in steps:
        number = int(random.integers(items))
        match step % 8:
            case 0 | 1 | 2 | 3:
                written.upsert(described(number, step))
            case 4:
                written.remove(f"i{number}")
            case 5:
                written.interact(interaction(f"e{step}", f"i{number}"))
            case 6:
                shown = [
                    Impression(step.to_bytes(12, "big"), f"i{number}", 1, "ann", now(), 0.0, 1.0)
                ]
                write = partial(written.store.impressions.write, shown=shown, made=2**63)
                written.write(write)
            case 7:
                kind = list(DecisionKind)[step // 8 % len(DecisionKind)]
                decision = NewDecision(kind, 0.25, "ann", "spam", NOW + step if step % 3 else None)
                written.write(
                    partial(written.store.decisions.decide, new=decision, ids=[f"i{number}"])
                )


def told(view: CatalogueReplica) -> dict[str, object]:
    """Return all that a view knows of each item."""
    state = view.state
    columns, words = state.columns, state.words
    assert words is not None
    rows = np.flatnonzero(columns.visible(state.revision, columns.count))
    sought = words.search(("word3", "all"), 100, state.scope(NOW, None))
    found = {columns.ids[row]: None for row in sought.rows.tolist()}
    parts = words.parts(sought, rows).T.tolist()
    places, keys, values = columns.attributes.values(rows)
    pairs = [set[str]() for _ in rows]
    for place, key, value in zip(places.tolist(), keys.tolist(), values.tolist(), strict=True):
        pairs[place].add(columns.attributes.pair(key, value))
    scale = state.popularity.scale()
    of_each = zip(
        columns.ids.of_each(rows.tolist()),
        columns.mass(rows).tolist(),
        # The average is added up in the order of the rows.
        columns.exposure(rows).round(9).tolist(),
        columns.penalty(rows, NOW).tolist(),
        columns.are_offered(rows, state.revision, NOW - 1).tolist(),
        columns.are_offered(rows, state.revision, NOW).tolist(),
        scale.percentile(columns.mass(rows)).tolist(),
        parts,
        strict=True,
    )
    return {
        item_id: (
            columns.titles[row],
            pairs[place],
            columns.state_of(row, NOW),
            columns.newest([item_id]) == [row],
            *rest,
        )
        for place, (row, (item_id, *rest)) in enumerate(zip(rows.tolist(), of_each, strict=True))
    } | {"found": sorted(found)}


def is_mapped(columns: Columns) -> bool:
    array = columns._born._held
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return isinstance(array, memoryview | mmap.mmap)


def rebuild(written: Written, view: CatalogueReplica, folder: Path) -> None:
    indexer_of(written, view, folder).rebuild(view.state.encoder, lambda _, __: None)


def test_a_view_over_a_generation_is_the_view_without(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    indexer = indexer_of(written, view, tmp_path, merge_rows=10)
    for start in range(0, 240, 80):
        live_through(written, range(start, start + 80))
        view.follow()
        indexer._build_what_is_due()
        # Nothing that follows may be read from the generation alone.
        live_through(written, range(10_000 + start, 10_000 + start + 24))
        view.follow()
        fresh = view_of(written, tmp_path / f"elsewhere {start}")
        again = view_of(written, tmp_path)
        assert fresh.state.index.graph_rows == 0
        assert not is_mapped(fresh.state.columns)
        assert again.state.index.graph_rows > 0
        assert is_mapped(again.state.columns)
        assert is_mapped(view.state.columns)
        assert told(view) == told(fresh)
        assert told(again) == told(fresh)
        for seed in range(0, 37, 3):
            assert sorted(nearest(view, seed, 100)) == sorted(nearest(fresh, seed, 100))
        red = Filter((Condition("colour", Equals(Kind.TEXT, "red")),))
        masks = [int(each.state.scope(NOW, red).mask().sum()) for each in (view, again, fresh)]
        assert len(set(masks)) == 1


def test_items_that_are_removed_after_the_last_write_stay_removed(
    written: Written, tmp_path: Path
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(described(number, number) for number in range(1, 9)))
    written.remove("i3", "i8")
    rebuild(written, view, tmp_path)
    written.remove("i4")
    again = view_of(written, tmp_path)
    assert again.state.index.graph_rows == 6
    view.follow()
    assert told(again) == told(view)
    assert again.live_count == view.live_count == 5
    assert again.state.columns.newest(["i3", "i5"]) == [-1, 3]


def test_what_was_liked_before_it_was_removed_is_popular_when_it_comes_back(
    written: Written, tmp_path: Path
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(described(number, number) for number in range(1, 9)))
    written.interact(interaction("e1", "i3"), interaction("e2", "i4"))
    view.follow()
    written.remove("i3")
    written.upsert(described(9, 9))
    view.follow()
    rebuild(written, view, tmp_path)
    written.remove("i4")
    written.upsert(described(10, 10))
    rebuild(written, view, tmp_path)
    written.upsert(described(3, 3), described(4, 4))
    view.follow()
    fresh = view_of(written, tmp_path / "elsewhere")
    assert told(view) == told(view_of(written, tmp_path)) == told(fresh)


@pytest.mark.parametrize(
    ("file", "harm"),
    [
        (COLUMNS_FILE, "damaged"),
        (COLUMNS_FILE, "cut off"),
        (COLUMNS_FILE, "missing"),
        (WORDS_FILE, "damaged"),
        (COPIES_FILE, "damaged"),
    ],
)
def test_a_generation_of_which_a_file_is_damaged_is_not_used(
    written: Written, tmp_path: Path, file: str, harm: str
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(described(number, number) for number in range(20)))
    rebuild(written, view, tmp_path)
    [path] = (tmp_path / "index").rglob(file)
    content = bytearray(path.read_bytes())
    # Whoever has it mapped keeps what was there.
    path.unlink()
    if harm == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "damaged":
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
    again = view_of(written, tmp_path)
    assert again.state.index.graph_rows == 0
    assert told(again) == told(view)
    rebuild(written, again, tmp_path)
    assert view_of(written, tmp_path).state.index.graph_rows == 20


def test_the_views_of_one_generation_do_not_disturb_each_other(
    written: Written, tmp_path: Path
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(described(number, number) for number in range(20)))
    rebuild(written, view, tmp_path)
    behind = view_of(written, tmp_path)
    before = told(behind)
    live_through(written, range(100, 140), items=20)
    view.follow()
    rebuild(written, view, tmp_path)
    assert told(behind) == before
    behind.follow()
    assert told(behind) == told(view)
