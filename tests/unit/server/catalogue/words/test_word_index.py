"""Searches by words find what comparing with every text finds, however the rows are kept."""

import math
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from longtail.server.catalogue.columns.columns import Columns
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.words import word_index
from longtail.server.catalogue.words.word_index import WordIndex
from longtail.server.catalogue.words.word_search import Sought
from longtail.server.ranking.words import K1, B, distinct_words, key_of, words_of
from longtail.server.store.records import ItemChange, State
from numpy.typing import NDArray

from tests.unit.server.catalogue.columns.carried import carried

Mask = NDArray[np.bool_]

VOCABULARY = [f"w{number}" for number in range(30)]


def change(item_id: str, revision: int) -> ItemChange:
    return ItemChange(item_id, revision, False, "", 0.0, State.ACTIVE, None, None, {}, None)


class Shelf:
    """Columns with the words of their rows, and what the rows say."""

    def __init__(self) -> None:
        self.columns = Columns()
        self.index = WordIndex(self.columns)
        self.texts: list[str] = []
        self.revision = 0

    def put(self, *texts: str) -> None:
        """Write new items."""
        for text in texts:
            self._write(f"item {len(self.texts)}", text)

    def replace(self, row: int, text: str) -> None:
        self.index.forget(row)
        self._write(self.columns.ids[row], text)

    def remove(self, row: int) -> None:
        self.revision += 1
        self.index.forget(row)
        self.columns.kill(self.columns.ids[row], self.revision)

    def taken(self, rows: Sequence[int]) -> "Shelf":
        """Return the shelf with its rows in another order, -1 for none."""
        other, places = Shelf(), np.array(rows, np.int64)
        other.columns = carried(self.columns, places)
        other.index = self.index.take(places, other.columns)
        other.texts = ["" if row < 0 else self.texts[row] for row in rows]
        other.revision = self.revision
        return other

    def scope(self, allowed: Mask | None = None, revision: int | None = None) -> Scope:
        """Return what a request at a revision may find: with a filter, only what is allowed."""
        columns, count = self.columns, self.columns.count
        at = self.revision if revision is None else revision
        visible = columns.visible(at, count)
        found = SimpleNamespace(
            filter=None if allowed is None else "a filter",
            rows=count,
            revision=at,
            mask=lambda: visible if allowed is None else visible & allowed,
            passes=lambda rows: visible[rows],
        )
        return cast("Scope", found)

    def search(
        self, query: str, k: int = 10, allowed: Mask | None = None, revision: int | None = None
    ) -> Sought:
        return self.index.search(distinct_words(query), k, self.scope(allowed, revision))

    def _write(self, item_id: str, text: str) -> None:
        self.revision += 1
        self.texts.append(text)
        self.index.append([text])
        self.columns.append([change(item_id, self.revision)])


def by_hand(shelf: Shelf, query: str) -> dict[int, float]:
    """Return the scores of the rows that are current and hold a word, as Lucene defines BM25."""
    current = np.flatnonzero(shelf.columns.live()).tolist()
    words = {row: Counter(words_of(shelf.texts[row])) for row in current}
    mean = sum(sum(each.values()) for each in words.values()) / len(current)
    scores = defaultdict[int, float](float)
    for word in set(words_of(query)):
        holding = [row for row in current if words[row][word]]
        idf = math.log(1 + (len(current) - len(holding) + 0.5) / (len(holding) + 0.5))
        for row in holding:
            count, length = words[row][word], sum(words[row].values())
            norm = K1 * (1 - B + B * length / mean)
            scores[row] += idf * count * (K1 + 1) / (count + norm)
    return dict(scores)


def check(shelf: Shelf, query: str, k: int = 10) -> None:
    """Check that a search finds what comparing by hand does."""
    found, expected = shelf.search(query, k), by_hand(shelf, query)
    best = sorted(expected, key=lambda row: (-round(expected[row], 4), row))[:k]
    assert found.scores == pytest.approx([expected[row] for row in best], abs=1e-4)
    assert all(expected[row] == pytest.approx(score, abs=1e-4) for row, score in pairs(found))
    rows = np.flatnonzero(shelf.columns.live())
    parts = shelf.index.parts(found, rows)
    assert parts.sum(axis=0) == pytest.approx(
        [expected.get(row, 0.0) for row in rows.tolist()], abs=1e-4
    )


def pairs(found: Sought) -> list[tuple[int, float]]:
    return list(zip(found.rows.tolist(), found.scores.tolist(), strict=True))


def invented(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    weights = [1 / (1 + place) for place in range(len(VOCABULARY))]
    return [
        " ".join(draw.choices(VOCABULARY, weights, k=draw.randint(1, 12))) for _ in range(count)
    ]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few postings fill a tail, so that there are segments."""
    monkeypatch.setattr(word_index, "TAIL", 64)


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.put(*invented(1, 150))
    draw = random.Random(2)
    for row in draw.sample(range(150), 40):
        shelf.remove(row) if row % 2 else shelf.replace(row, *invented(row, 1))
    return shelf


QUERIES = ["w0", "w3 w7", "w29 w0 w5 w5", "w28 w1 nobody says this", " ".join(VOCABULARY)]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("k", [1, 10, 500])
def test_what_is_found_is_the_best_by_bm25(shelf: Shelf, query: str, k: int) -> None:
    assert len(shelf.index._layers.segments) > 1
    check(shelf, query, k)


def test_the_rows_kept_in_another_way_give_the_same_scores(shelf: Shelf) -> None:
    rows = [row for row in range(shelf.columns.count) if row != 3]
    random.Random(3).shuffle(rows)
    moved = shelf.taken([*rows, -1])
    assert len(moved.index._layers.segments) == 1
    for query in QUERIES:
        check(moved, query)
        ids = [
            [each.columns.ids[row] for row in each.search(query, 200).rows]
            for each in (shelf, moved)
        ]
        assert sorted(ids[0]) == sorted(ids[1])
    moved.put("w3 w3 w7", "w29")
    check(moved, "w3 w29")


def test_rows_that_score_the_same_come_in_their_order() -> None:
    shelf = Shelf()
    shelf.put(*("the same words",) * 30)
    assert shelf.search("words", 5).rows.tolist() == [0, 1, 2, 3, 4]


def test_a_filter_leaves_the_best_of_what_passes(shelf: Shelf) -> None:
    allowed = np.zeros(shelf.columns.count, np.bool_)
    allowed[::9] = True
    expected = {row: score for row, score in by_hand(shelf, "w0 w4").items() if allowed[row]}
    found = shelf.search("w0 w4", 3, allowed=allowed)
    assert allowed[found.rows].all()
    assert found.scores == pytest.approx(sorted(expected.values(), reverse=True)[:3], abs=1e-4)


def test_a_request_sees_the_words_of_its_own_revision() -> None:
    shelf = Shelf()
    shelf.put("red shoe", "blue shoe")
    before = shelf.revision
    shelf.replace(0, "green boat")
    shelf.put("red boat")
    assert shelf.search("red", revision=before).rows.tolist() == [0]
    assert shelf.search("red").rows.tolist() == [3]
    assert shelf.search("green", revision=before).rows.tolist() == []


def test_what_was_found_is_kept_until_an_item_changes(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    def noted(word: str) -> int:
        looked_up.append(word)
        return key_of(word)

    monkeypatch.setattr(word_index, "key_of", noted)
    for _ in range(3):
        shelf.search("w1 w2")
    assert looked_up == ["w1", "w2"]
    # What happens to people moves the revision, but no item; and they have seen more or less.
    shelf.revision += 1
    shelf.search("w1 w2", 12)
    assert looked_up == ["w1", "w2"]
    shelf.put("w1 w1 w1")
    check(shelf, "w1 w2")


def test_common_words_count_for_what_rarer_ones_found(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    shelf.put(*("common" if row % 3 else "common rare" for row in range(60)), "common common rare")
    whole = shelf.search("common rare", 3)
    monkeypatch.setattr(word_index, "MOST_POSTINGS", 25)
    bounded = Shelf()
    bounded.put(*shelf.texts)
    found = bounded.search("common rare", 3)
    assert found.words == ("rare", "common")
    assert found.rows.tolist() == whole.rows.tolist()
    assert found.scores == pytest.approx(whole.scores)
    # Alone it is read whole.
    assert len(bounded.search("common", 100).rows) == 61


def test_of_many_words_the_rarest_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_index, "MOST_WORDS", 2)
    shelf = Shelf()
    shelf.put("a b c", "a b", "a")
    assert shelf.search("a b c").words == ("c", "b")


def test_chinese_and_english_are_found_by_their_words() -> None:
    shelf = Shelf()
    shelf.put("浪漫主义 袁娅维 TIARA", "华语歌手的歌单", "R&B romance", "ROMANCE in Paris")
    assert shelf.search("浪漫").rows.tolist() == [0]
    assert shelf.search("华语的歌手").words == ("华语", "歌手", "的歌")
    assert set(shelf.search("Romance").rows.tolist()) == {2, 3}


@pytest.mark.parametrize("query", ["", "?!", "nobody says this"])
def test_nothing_is_found_of_no_words(shelf: Shelf, query: str) -> None:
    found = shelf.search(query)
    assert not found.words
    assert not len(found.rows)
    assert shelf.index.parts(found, np.arange(5)).shape == (0, 5)


def test_an_empty_catalogue_holds_no_words() -> None:
    assert not len(Shelf().search("anything").rows)
    assert not len(Shelf().taken([]).search("anything").rows)


def test_readers_see_one_revision_while_items_are_written() -> None:
    shelf, last = Shelf(), 300
    # Items by revision, told after they can be seen.
    items, wrong = [0], list[tuple[int, int]]()

    def read() -> None:
        while (revision := len(items) - 1) < last:
            found = shelf.search("common", 2 * last, revision=revision)
            if len(found.rows) != items[revision]:
                wrong.append((items[revision], len(found.rows)))

    readers = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    for row in range(last):
        if row % 5 == 4:
            shelf.replace(row - 1, "common again")
            items.append(items[-1])
        else:
            shelf.put(f"common {row}")
            items.append(items[-1] + 1)
    for reader in readers:
        reader.join()
    assert not wrong
    assert len(shelf.search("common", 2 * last).rows) == items[-1]
