"""Texts by number and numbers by text, of a file and of what came after it."""

from collections.abc import Sequence

import numpy as np
import pytest
from longtail.server.catalogue.array_file import below, named_below
from longtail.server.catalogue.columns import texts as module
from longtail.server.catalogue.columns.texts import NONE, TextNumbers, Texts

from tests.unit.server.catalogue.columns.carried import mapped

WORDS = ["a", "", "日本語", "\x00", "two words", "\ud800", "é" * 300]


def written(words: Sequence[str]) -> tuple[Texts, TextNumbers]:
    texts = Texts.empty()
    texts.append(words)
    numbers = TextNumbers.empty(texts)
    numbers.update({word: number for number, word in enumerate(words)})
    return texts, numbers


def kept(texts: Texts, numbers: TextNumbers, chosen: Sequence[int]) -> tuple[Texts, TextNumbers]:
    at = np.array(chosen, np.int64)
    arrays = mapped([*below("t/", texts.kept(at)), *below("n/", numbers.kept(at))])
    found = Texts.of(named_below("t/", arrays))
    return found, TextNumbers.of(found, named_below("n/", arrays))


@pytest.mark.parametrize("times", [1, 2])
def test_texts_come_back_by_number_and_numbers_by_text(times: int) -> None:
    texts, numbers = written(WORDS)
    for _ in range(times):
        texts, numbers = kept(texts, numbers, range(len(WORDS)))
    assert list(texts) == WORDS
    assert texts.of_each([2, 0, 2]) == ["日本語", "a", "日本語"]
    assert texts.of_each([2, 1]) == ["日本語", ""]
    assert numbers.of_each([*WORDS[::-1], "b"]) == [6, 5, 4, 3, 2, 1, 0, NONE]
    assert [numbers.get(word) for word in ("", "c", "")] == [1, NONE, 1]


def test_what_comes_later_is_found_too_and_takes_the_place_of_what_was() -> None:
    texts, numbers = kept(*written(WORDS), range(len(WORDS)))
    assert numbers.of_each(["new", "a"]) == [NONE, 0]
    texts.append(["new", "a"])
    numbers.update({"new": 7, "a": 8})
    assert (texts[7], texts.of_each([8, 0, 4])) == ("new", ["a", "a", "two words"])
    assert numbers.of_each(["new", "a", ""]) == [7, 8, 1]
    assert (texts.mapped, numbers.mapped(["new", "a", ""])) == (7, [NONE, 0, 1])
    again = kept(texts, numbers, [NONE, 8, 2, 7])
    assert list(again[0]) == ["", "a", "日本語", "new"]
    assert again[1].of_each(["a", "new", "日本語", ""]) == [1, 3, 2, NONE]


def test_texts_of_one_key_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "key_of", lambda _: 5)
    _, numbers = kept(*written(WORDS), range(len(WORDS)))
    assert numbers.of_each([*WORDS, "b"]) == [*range(len(WORDS)), NONE]


def test_few_texts_are_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    words = [str(number) for number in range(100)]
    texts, numbers = kept(*written(words), range(100))
    for number, word in enumerate(words):
        assert texts.of_each([number]) == [word]
        assert numbers.of_each([word]) == [number]
        assert len(texts._known) <= 11
        assert len(numbers._known) <= 11
