"""The int8 graph of tiny checkpoints, held against torch and against itself in other batches."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from longtail.export import head
from longtail.export.row_int8 import calibration, graph, weights
from longtail.export.row_int8.weights import UnsupportedEncoder
from onnx import ModelProto, TensorProto

from tests.unit.export import checkpoints
from tests.unit.export.graphs import MIXED, Tiny, encoder, lowest_cosine

SUPPORTED: dict[str, dict[str, Any]] = {
    "bert": {},
    "bert, wide and deep": {"hidden": 64, "layers": 5, "pooling": "cls_token"},
    "bert, no multiple of a vector": {"hidden": 40, "layers": 1, "pooling": "max_tokens"},
    "distilbert": {"model_type": "distilbert"},
    "electra": {
        "model_type": "electra",
        "pooling": "cls_token",
        "settings": {"embedding_size": 32},
    },
    "roberta": {"model_type": "roberta"},
    "xlm-roberta": {"model_type": "xlm-roberta", "sentencepiece": True},
}


def build(tiny: Tiny) -> ModelProto:
    read = weights.read(tiny.model, tiny.checkpoint.max_tokens)
    layers = calibration.quantise(read, tiny.tokens(MIXED))
    exported = head.add(graph.write(read, layers), tiny.pooling)
    onnx.checker.check_model(exported)
    return exported


@pytest.fixture(scope="module", params=list(SUPPORTED))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    settings = {"max_seq_length": None, **SUPPORTED[request.param]}
    return Tiny(checkpoints.write(tmp_path_factory.mktemp("tiny"), **settings))


@pytest.fixture(scope="module")
def exported(tiny: Tiny) -> ModelProto:
    return build(tiny)


def test_vectors_stay_near_those_of_torch(tiny: Tiny, exported: ModelProto) -> None:
    ours, theirs = tiny.run(exported), tiny.original()
    assert lowest_cosine(ours, theirs) > 0.998
    # Else a graph that mixes the texts up would pass.
    assert np.sort(theirs @ theirs.T, axis=1)[:, 0].max() < 0.98


def test_a_text_has_the_same_bits_alone_and_in_any_batch(tiny: Tiny, exported: ModelProto) -> None:
    run = encoder(exported).encode
    tokens = tiny.tokens(MIXED)
    alone = [run([text])[0] for text in tokens]
    generator = np.random.default_rng(3)
    for _ in range(30):
        mates = generator.choice(len(tokens), size=generator.integers(2, len(tokens)))
        for mate, vector in zip(mates, run([tokens[mate] for mate in mates]), strict=True):
            np.testing.assert_array_equal(vector, alone[mate])


def test_every_large_product_and_the_words_are_int8(tiny: Tiny, exported: ModelProto) -> None:
    config = tiny.model.config
    products = [node for node in exported.graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(products) == 4 * config.num_hidden_layers
    sizes = {TensorProto.INT8: 0, TensorProto.FLOAT: 0}
    for tensor in exported.graph.initializer:
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += int(np.prod(tensor.dims))
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * 64
    # Outliers and their units are few even beside layers as small as these.
    assert sizes[TensorProto.INT8] > 0.8 * config.num_hidden_layers * layer


def test_rows_of_zeros_have_a_scale_too(tmp_path: Path) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny"))
    with_zeros = weights.read(tiny.model, tiny.checkpoint.max_tokens)
    # What enters the feed-forward of the first block is zero, what leaves it is not.
    with_zeros.layers[0].attention_norm.scale.zero_()
    with_zeros.layers[0].attention_norm.shift.zero_()
    with_zeros.layers[0].output_norm.shift.copy_(torch.linspace(-1, 1, 32))
    layers = calibration.quantise(with_zeros, tiny.tokens(MIXED))
    exported = head.add(graph.write(with_zeros, layers), tiny.pooling)
    assert np.isfinite(tiny.run(exported)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "mpnet"}, "architecture 'mpnet'"),
        ({"settings": {"hidden_act": "relu"}}, "activation 'relu'"),
        (
            {"model_type": "electra", "settings": {"embedding_size": 16}},
            "embeddings as wide as the hidden states",
        ),
    ],
)
def test_what_it_is_not_written_for_is_refused_by_name(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny", **settings))
    with pytest.raises(UnsupportedEncoder, match=message):
        weights.read(tiny.model, tiny.checkpoint.max_tokens)


def test_a_long_calibration_is_sampled_over_all_its_lengths() -> None:
    texts = [[7] * (1 + i % 50) for i in range(10_000)]
    batches = list(calibration._batches(texts))
    tokens = sum(len(text) for batch in batches for text in batch)
    assert 0.9 * calibration.MAX_TOKENS < tokens <= 1.1 * calibration.MAX_TOKENS
    assert {len(text) for batch in batches for text in batch} == set(range(1, 51))
