from pathlib import Path

import numpy as np
import pytest
import torch
from longtail.export import fp32, pruning
from longtail.export.errors import ExportError
from torch.nn import Linear, Module
from transformers import PreTrainedModel

from tests.unit.export import checkpoints
from tests.unit.export.graphs import MIXED, Tiny, lowest_cosine

MODEL_TYPES = ["bert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(checkpoints.write(tmp_path / "tiny", layers=4))


def layer(model: PreTrainedModel, index: int) -> Module:
    stack = model.transformer if model.config.model_type == "distilbert" else model.encoder
    module: Module = stack.layer[index]
    return module


def silence(module: Module) -> None:
    """Let a layer add nothing, so that it hands on what it was given."""
    with torch.no_grad():
        for linear in module.modules():
            if isinstance(linear, Linear):
                linear.weight.zero_()
                linear.bias.zero_()


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_layer_that_does_nothing_is_dropped(tmp_path: Path, model_type: str) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny", model_type=model_type, layers=3))
    silence(layer(tiny.model, 1))
    original = tiny.original()
    keep = pruning.choose(tiny.model, tiny.original, 1)
    assert keep == (0, 2)
    pruned = pruning.prune(tiny.model, keep)
    assert pruned.config.num_hidden_layers == 2
    assert lowest_cosine(tiny.reference.with_model(pruned).encode(MIXED), original) > 0.99999


def test_several_layers_are_dropped_one_after_another(tiny: Tiny) -> None:
    silence(layer(tiny.model, 0))
    silence(layer(tiny.model, 2))
    assert pruning.choose(tiny.model, tiny.original, 2) == (1, 3)


def test_choosing_and_pruning_leave_the_encoder_as_it_was(tiny: Tiny) -> None:
    before = tiny.original()
    pruned = pruning.prune(tiny.model, pruning.choose(tiny.model, tiny.original, 2))
    silence(layer(pruned, 0))
    np.testing.assert_array_equal(tiny.original(), before)
    assert tiny.model.config.num_hidden_layers == 4


def test_an_encoder_that_fails_keeps_its_layers(tiny: Tiny) -> None:
    calls = iter([tiny.original()])
    with pytest.raises(StopIteration):
        pruning.choose(tiny.model, lambda: next(calls), 1)
    assert len(tiny.model.encoder.layer) == 4


def test_the_pruned_encoder_is_exported_without_the_layers(tiny: Tiny) -> None:
    pruned = pruning.prune(tiny.model, (0, 3))
    whole = fp32.build(tiny.model, tiny.pooling, tiny.folder)
    graph = fp32.build(pruned, tiny.pooling, tiny.folder)
    assert graph.ByteSize() < whole.ByteSize()
    original = tiny.reference.with_model(pruned).encode(MIXED)
    np.testing.assert_allclose(tiny.run(graph), original, atol=1e-5)
    assert lowest_cosine(original, tiny.original()) < 0.99


@pytest.mark.parametrize("count", [-1, 0, 4, 5])
def test_one_layer_at_least_goes_and_one_stays(tiny: Tiny, count: int) -> None:
    with pytest.raises(ExportError, match=f"{count} layers cannot be dropped of 4: 1 to 3 can"):
        pruning.choose(tiny.model, tiny.original, count)


@pytest.mark.parametrize("keep", [(), (0, 4), (-1, 0), (2, 1), (1, 1)])
def test_layers_that_are_not_there_or_out_of_order_are_refused(
    tiny: Tiny, keep: tuple[int, ...]
) -> None:
    with pytest.raises(ExportError, match="cannot be kept of 4"):
        pruning.prune(tiny.model, keep)
