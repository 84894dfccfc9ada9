"""Vectors that are kept: right rows, nothing computed twice, damage survived."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.write.encoding import text_to_encode
from longtail.worker import artefact as artefacts
from longtail.worker import model
from longtail.worker.devices import Device, DeviceChoice
from longtail.worker.settings import WorkerSettings
from longtail.worker.tokenizer import Role, Tokenizer
from longtail.worker.vectors import Vectors

from evaluation.text_vectors import batches, cached, item_vectors, query_vectors

DIMENSION = 4


def vector_of(text: str) -> list[float]:
    return [len(text), *(float(ord(letter)) for letter in text[:3].ljust(3))]


class Encoder:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        return np.array([vector_of(text) for text in texts], np.float32)


def ask(
    file: Path, texts: Sequence[str], model_id: str = "encoder@1", dimension: int = DIMENSION
) -> list[list[str]]:
    encoder = Encoder()
    vectors = cached(
        texts, model_id=model_id, dimension=dimension, file=file, encode=encoder.encode
    )
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts), DIMENSION)
    assert vectors.tolist() == [vector_of(text) for text in texts]
    return encoder.calls


def test_only_what_is_new_is_encoded_and_once(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "vectors.npz"
    assert ask(file, ["one", "two", "one", ""]) == [["one", "two", ""]]
    assert ask(file, ["two", "", "two"]) == []
    assert ask(file, ["three", "one", "four", "three"]) == [["three", "four"]]
    assert ask(file, ["four", "three", "two", "one"]) == []
    assert [found.name for found in file.parent.iterdir()] == ["vectors.npz"]


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    assert ask(tmp_path / "vectors.npz", []) == []
    assert list(tmp_path.iterdir()) == []


def test_another_encoder_shares_nothing(tmp_path: Path) -> None:
    file = tmp_path / "vectors.npz"
    ask(file, ["one"])
    assert ask(file, ["one"], model_id="encoder@2") == [["one"]]
    assert ask(file, ["one"]) == []


def test_a_failed_encoding_leaves_what_was_kept(tmp_path: Path) -> None:
    def fail(texts: Sequence[str]) -> Vectors:
        raise ArithmeticError

    file = tmp_path / "vectors.npz"
    ask(file, ["one"])
    before = file.read_bytes()
    with pytest.raises(ArithmeticError):
        cached(["two"], model_id="encoder@1", dimension=DIMENSION, file=file, encode=fail)
    assert file.read_bytes() == before


def test_any_damage_is_survived_and_repaired(tmp_path: Path) -> None:
    file = tmp_path / "vectors.npz"
    ask(file, ["one", "two"])
    whole = file.read_bytes()
    for place in range(0, len(whole), 2):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        # The vectors are right, whether they had to be computed again or not.
        ask(file, ["two", "one"])
        assert ask(file, ["two", "one"]) == []
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert ask(file, ["two", "one"]) == [["two", "one"]]


@pytest.mark.parametrize(
    "content",
    [
        {"keys": np.zeros((1, 32), np.uint8), "vectors": np.zeros((2, DIMENSION), np.float32)},
        {"keys": np.zeros((1, 16), np.uint8), "vectors": np.zeros((1, DIMENSION), np.float32)},
        {"keys": np.zeros((1, 32), np.uint8), "vectors": np.zeros((1, 3), np.float32)},
        {"keys": np.zeros((1, 32), np.uint8), "vectors": np.zeros((1, DIMENSION))},
        {"keys": np.zeros((1, 32), np.uint8)},
    ],
)
def test_a_file_of_something_else_is_replaced(
    tmp_path: Path, content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "vectors.npz"
    np.savez(file, allow_pickle=False, **content)
    with caplog.at_level(logging.WARNING):
        assert ask(file, ["one"]) == [["one"]]
    assert "computed anew" in caplog.text
    assert ask(file, ["one"]) == []


@given(lengths=st.lists(st.integers(1, 300), max_size=60), padded_tokens=st.integers(1, 400))
def test_batches_hold_every_text_once_and_keep_to_the_budget(
    lengths: list[int], padded_tokens: int
) -> None:
    parts = batches(lengths, padded_tokens)
    assert sorted(text for part in parts for text in part) == list(range(len(lengths)))
    longest = [max(lengths[text] for text in part) for part in parts]
    assert longest == sorted(longest, reverse=True)
    for part, length in zip(parts, longest, strict=True):
        assert len(part) == 1 or len(part) * length <= padded_tokens
    # A text is only left to a later batch when it would not fit.
    for part, length in zip(parts[:-1], longest, strict=False):
        assert (len(part) + 1) * length > padded_tokens


@pytest.mark.model
def test_items_are_encoded_as_they_are_served(artefact: Path, tmp_path: Path) -> None:
    titles = ["Up", "Heat (1995)", "", "Up"]
    texts = ["An old man and a boy fly away. " * 20, "", "Only a text", "Another"]
    settings = WorkerSettings(home=str(tmp_path), model=str(artefact), device="cpu", slots=1)
    told: list[tuple[int, int]] = []
    vectors = item_vectors(titles, texts, settings, lambda done, all_: told.append((done, all_)))

    loaded = artefacts.load(artefact)
    (encoder,) = model.load(loaded, DeviceChoice(Device.CPU))
    composed = [text_to_encode(*item) for item in zip(titles, texts, strict=True)]
    tokens = Tokenizer(loaded).tokenise(composed, Role.ITEM)
    alone = np.concatenate([encoder.encode([text.ids]) for text in tokens])
    assert vectors.shape == (4, loaded.manifest.dimension)
    assert np.allclose(vectors, alone, atol=1e-5)
    assert told[-1] == (4, 4)
    assert told == sorted(told)

    told.clear()
    again = item_vectors(titles, texts, settings, lambda done, all_: told.append((done, all_)))
    assert np.array_equal(again, vectors)
    assert told == []
    (file,) = (tmp_path / "cache" / "evaluation").iterdir()
    assert file.name == f"{loaded.manifest.model_id}.npz"


@pytest.mark.model
def test_a_long_text_is_read_to_its_end(artefact: Path, tmp_path: Path) -> None:
    settings = WorkerSettings(home=str(tmp_path), model=str(artefact), device="cpu", slots=1)
    end = "A submarine sinks in the Arctic."
    begins = "An old man and a boy fly away. " * 60

    [cut, whole] = item_vectors(["", ""], [begins, begins + end], settings, lambda done, all_: None)
    [query] = query_vectors([end], settings, lambda done, all_: None)

    assert whole @ query > cut @ query + 0.02
