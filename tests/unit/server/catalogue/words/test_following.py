"""The words follow the store as the vectors do: writes, removals, merges and starts."""

from dataclasses import replace
from pathlib import Path

import pytest
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.words import word_index, words_file
from longtail.server.catalogue.words.words_file import FILE
from longtail.server.ranking.words import words_of
from longtail.server.store.records import NewItem, State

from tests.unit.server.catalogues import (
    NOW,
    SETTINGS,
    Written,
    indexer_of,
    item,
    view_of,
)


def saying(item_id: str, text: str, title: str = "", state: State = State.ACTIVE) -> NewItem:
    made = item(item_id, 1, state=state)
    return replace(made, content=replace(made.content, title=title, text=text))


def holding(view: CatalogueReplica, *words: str) -> set[str]:
    state = view.state
    assert state.words is not None
    found = state.words.search(words, 100, state.scope(NOW, None))
    return {state.columns.ids[row] for row in found.rows}


def test_what_is_written_is_found_by_its_title_and_its_text(
    written: Written, tmp_path: Path
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(saying("a", "red shoes", "Dorothy"), saying("b", "blue shoes"))
    assert holding(view, "shoes") == set()
    view.follow()
    assert holding(view, "shoes") == {"a", "b"}
    assert holding(view, "dorothy") == {"a"}


def test_what_is_replaced_or_removed_is_found_no_more(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    written.upsert(saying("a", "red shoes"), saying("b", "blue shoes"))
    written.upsert(saying("a", "a green boat"))
    written.remove("b")
    view.follow()
    assert holding(view, "shoes") == set()
    assert holding(view, "boat") == {"a"}
    written.upsert(saying("b", "shoes again"))
    view.follow()
    assert holding(view, "shoes") == {"b"}


def test_what_may_not_be_recommended_is_not_found(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    written.upsert(saying("a", "shoes", state=State.HIDDEN), saying("b", "shoes"))
    view.follow()
    assert holding(view, "shoes") == {"b"}
    written.upsert(saying("a", "shoes"))
    view.follow()
    assert holding(view, "shoes") == {"a", "b"}


@pytest.mark.parametrize("kept", ["nothing", "index and words", "damaged words"])
def test_a_start_finds_what_was_found_before(written: Written, tmp_path: Path, kept: str) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(saying(f"i{at}", f"word{at % 5} all") for at in range(30)))
    written.remove("i7")
    if kept != "nothing":
        indexer_of(written, view, tmp_path).rebuild(view.state.encoder, lambda _, __: None)
        [file] = (tmp_path / "index").rglob(FILE)
        if kept == "damaged words":
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
    written.upsert(saying("i3", "word4 all"), saying("new", "word3"))
    view.follow()
    again = view_of(written, tmp_path)
    for each in (view, again):
        assert holding(each, "word3") == {*(f"i{at}" for at in range(8, 30, 5)), "new"}
        assert holding(each, "word4") == {*(f"i{at}" for at in range(4, 30, 5)), "i3"}
    scores = [
        each.state.words.search(("word4", "all"), 9, each.state.scope(NOW, None)).scores.tolist()
        for each in (view, again)
        if each.state.words is not None
    ]
    assert scores[0] == scores[1]


def test_an_index_that_is_adopted_keeps_the_words(written: Written, tmp_path: Path) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(saying(f"i{at}", f"word{at % 5}") for at in range(20)))
    view.follow()
    before = view.state
    indexer_of(written, view, tmp_path).rebuild(before.encoder, lambda _, __: None)
    assert view.state is not before
    written.upsert(saying("new", "word2"))
    view.follow()
    assert holding(view, "word2") == {"i2", "i7", "i12", "i17", "new"}


def test_words_can_be_left_out_and_taken_in_again(written: Written, tmp_path: Path) -> None:
    written.upsert(saying("a", "shoes"))
    settings = replace(SETTINGS, words=False)
    view = CatalogueReplica(written.store, written.encoder, settings, tmp_path / "index")
    written.upsert(saying("b", "shoes"), saying("c", "shoes"))
    view.follow()
    assert view.state.words is None
    indexer_of(written, view, tmp_path).rebuild(view.state.encoder, lambda _, __: None)
    written.remove("c")
    written.upsert(saying("d", "shoes"))
    again = view_of(written, tmp_path)
    assert again.state.index.graph_rows == 3
    assert holding(again, "shoes") == {"a", "b", "d"}


def test_a_start_reads_the_words_of_what_came_after_those_kept_alone(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(*(saying(f"i{at}", f"word{at}") for at in range(20)))
    indexer_of(written, view, tmp_path).rebuild(view.state.encoder, lambda _, __: None)
    written.upsert(saying("new", "latest words"), saying("i1", "other"))
    read: list[str] = []

    def noted(text: str) -> list[str]:
        read.append(text.strip())
        return words_of(text)

    monkeypatch.setattr(word_index, "words_of", noted)
    again = view_of(written, tmp_path)
    assert read == ["latest words", "other"]
    assert holding(again, "word2") == {"i2"}
    assert holding(again, "word1") == set()
    assert holding(again, "latest", "other") == {"new", "i1"}
    written.upsert(saying("i2", "word2 again"))
    again.follow()
    assert holding(again, "again") == {"i2"}


def test_words_of_another_format_are_not_used(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(written, tmp_path)
    written.upsert(saying("a", "red shoes"), saying("b", "blue shoes"))
    indexer_of(written, view, tmp_path).rebuild(view.state.encoder, lambda _, __: None)
    monkeypatch.setattr(words_file, "FORMAT", 0)
    again = view_of(written, tmp_path)
    assert again.state.index.graph_rows == 2
    assert holding(again, "shoes") == {"a", "b"}
    assert holding(again, "red") == {"a"}
