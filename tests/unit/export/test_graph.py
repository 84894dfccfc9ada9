"""The processor's graphs, held against torch on the same texts."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from longtail.export import fp32
from longtail.export.errors import ExportError

from tests.unit.export import checkpoints
from tests.unit.export.graphs import MIXED, Build, Tiny, eight_bits, lowest_cosine, some_slow

SUPPORTED: dict[str, dict[str, Any]] = {
    "bert": {},
    "bert, wide and deep": {"hidden": 64, "layers": 5, "pooling": "cls_token"},
    "bert, no multiple of a block": {"hidden": 40, "layers": 1, "pooling": "max_tokens"},
    "bert with a prompt": {"prompts": checkpoints.PROMPTS},
    "distilbert": {"model_type": "distilbert"},
    "electra": {"model_type": "electra", "pooling": "cls_token"},
    "electra with narrow embeddings": {
        "model_type": "electra",
        "settings": {"embedding_size": 16},
    },
    "mpnet": {"model_type": "mpnet"},
    "roberta": {"model_type": "roberta", "pooling": "cls_token"},
    "xlm-roberta": {"model_type": "xlm-roberta", "sentencepiece": True},
}


# One of each way of reading positions; the others by `make test-slow`.
QUICK = ("bert with a prompt", "mpnet", "roberta")


@pytest.fixture(scope="module", params=some_slow(SUPPORTED, QUICK))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    settings = {"max_seq_length": None, **SUPPORTED[request.param]}
    return Tiny(checkpoints.write(tmp_path_factory.mktemp("tiny"), **settings))


def test_the_longest_text_fills_all_positions(tiny: Tiny) -> None:
    longest = max(map(len, tiny.tokens(MIXED)))
    assert longest == tiny.checkpoint.max_tokens
    assert checkpoints.POSITIONS - 2 <= longest <= checkpoints.POSITIONS


def test_full_precision_gives_the_vectors_of_torch(tiny: Tiny) -> None:
    exported = fp32.build(tiny.model, tiny.pooling, tiny.folder)
    onnx.checker.check_model(exported)
    assert [value.name for value in exported.graph.input] == ["input_ids", "attention_mask"]
    texts = [tiny.checkpoint.prompts.item + text for text in MIXED]
    ours, theirs = tiny.run(exported, texts), tiny.original()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    # Else a graph that mixes the texts up would pass.
    assert np.sort(theirs @ theirs.T, axis=1)[:, 0].max() < 0.98


def test_eight_bits_stay_near_the_vectors_of_torch(tiny: Tiny) -> None:
    exported = eight_bits(tiny.model, tiny.pooling, tiny.folder)
    texts = [tiny.checkpoint.prompts.item + text for text in MIXED]
    assert lowest_cosine(tiny.run(exported, texts), tiny.original()) > 0.99


@pytest.mark.parametrize("build", [fp32.build, eight_bits])
def test_a_text_has_the_same_vector_in_any_batch(tmp_path: Path, build: Build) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny", model_type="xlm-roberta", sentencepiece=True))
    exported = build(tiny.model, tiny.pooling, tiny.folder)
    alone = np.concatenate([tiny.run(exported, [text]) for text in MIXED])
    assert lowest_cosine(alone, tiny.run(exported)) > 1 - 1e-6


def test_an_encoder_that_cannot_be_traced_is_refused_by_name(tmp_path: Path) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny", settings={"type_vocab_size": 1}))
    with pytest.raises(ExportError, match="type_vocab_size is 1"):
        fp32.build(tiny.model, tiny.pooling, tiny.folder)


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny"))
    before = sorted(tiny.folder.rglob("*"))
    fp32.build(tiny.model, tiny.pooling, tiny.folder)
    assert sorted(tiny.folder.rglob("*")) == before
