"""Long texts are read whole, in passages."""

from collections.abc import Sequence

import numpy as np
import pytest
from longtail.runtime.errors import InferenceFailed
from longtail.server.encoder.passages import Read, read_whole

LIMIT = 40


class ByLetter:
    """An encoder of the first LIMIT characters: it counts a, b and c in them."""

    def __init__(self) -> None:
        self.calls: list[Sequence[str]] = []

    async def __call__(self, texts: Sequence[str]) -> list[Read]:
        self.calls.append(texts)
        return [self._read(text) for text in texts]

    def _read(self, text: str) -> Read:
        if "!" in text[:LIMIT]:
            return Read(InferenceFailed("the encoder failed on a text"), len(text) > LIMIT)
        counts = np.array([text[:LIMIT].count(letter) for letter in "abc"], np.float32) + 1e-3
        return Read(counts / np.linalg.norm(counts), len(text) > LIMIT)


async def test_a_word_at_the_end_of_a_long_text_is_in_its_vector() -> None:
    embed = ByLetter()
    long = "a" * 400 + " " + "c" * 80

    short, pooled = await read_whole(["b", long], embed)

    assert isinstance(short, np.ndarray)
    assert isinstance(pooled, np.ndarray)
    assert short.argmax() == 1
    assert pooled[2] > 0.1
    assert pooled[0] > pooled[2]
    assert np.linalg.norm(pooled) == pytest.approx(1)
    # All passages of a round go in one call, and what is short is read once.
    assert len(embed.calls) <= 6
    assert sum(text == "b" for call in embed.calls for text in call) == 1


async def test_what_is_not_long_is_read_once_and_as_it_is() -> None:
    embed = ByLetter()
    [vector] = await read_whole(["abc"], embed)
    expected = embed._read("abc").vector
    assert isinstance(vector, np.ndarray)
    assert isinstance(expected, np.ndarray)
    assert (vector == expected).all()
    assert embed.calls == [["abc"]]


async def test_passages_end_where_sentences_and_words_do() -> None:
    embed = ByLetter()
    await read_whole(["aaa bbb ccc. " * 20], embed)
    passages = list(embed.calls[-1])
    assert all(text.endswith((". ", " ")) for text in passages)
    whole = "".join(text for call in embed.calls[1:2] for text in call)
    assert whole == "aaa bbb ccc. " * 20


async def test_a_passage_that_fails_is_the_texts_failure() -> None:
    [vector] = await read_whole(["a " * 100 + "!"], ByLetter())
    assert isinstance(vector, InferenceFailed)


async def test_halving_ends() -> None:
    async def never(texts: Sequence[str]) -> list[Read]:
        return [Read(np.ones(3, np.float32), cut=True) for _ in texts]

    [vector] = await read_whole(["x" * 1_000], never)
    assert isinstance(vector, np.ndarray)
