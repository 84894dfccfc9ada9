"""Checkpoint to ONNX graph in full precision: optimum's export, with the head added."""

import warnings
from pathlib import Path

import onnx
from longtail.export import head
from longtail.export.checkpoint import Pooling
from longtail.export.errors import ExportError
from onnx import ModelProto
from optimum.exporters.onnx import export
from optimum.exporters.tasks import TasksManager
from transformers import PreTrainedModel

PRECISION = "fp32"


def build(model: PreTrainedModel, pooling: Pooling, folder: Path) -> ModelProto:
    """Return the graph of `model`; `folder` takes an intermediate file.

    Inputs `input_ids` and `attention_mask`: int64 (batch, tokens). Output `embedding`: float32
    (batch, dimension), each row of unit length.
    """
    return head.add(encoder(model, folder), pooling)


def encoder(model: PreTrainedModel, folder: Path) -> ModelProto:
    """Return the graph without its head: the output is `last_hidden_state`.

    An encoder that knows segments has a third input, `token_type_ids`. Raises ExportError when
    it cannot be traced.
    """
    constructor = TasksManager.get_exporter_config_constructor(
        "onnx", model, task="feature-extraction", library_name="transformers"
    )
    onnx_config = constructor(model.config)
    if "token_type_ids" in onnx_config.inputs and model.config.type_vocab_size < 2:
        # optimum traces with texts of two segments.
        raise ExportError("type_vocab_size is 1: an encoder that knows segments must know two")
    path = folder / "encoder.fp32.onnx"
    with warnings.catch_warnings():
        # optimum uses the exporter that torch has superseded.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.|optimum\.")
        # Conditions and constants in the encoders' code, which are the same for any input.
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python")
        warnings.filterwarnings("ignore", message="torch.tensor results are registered")
        export(model, onnx_config, path)
    graph = onnx.load(path)
    # Large weights are written beside the graph.
    for written in folder.glob(f"{path.name}*"):
        written.unlink()
    return graph
