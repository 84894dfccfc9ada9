"""The precisions that an encoder can be exported in, and the one for this processor."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import onnx
from longtail.export import fp16, fp32, head, nbits8
from longtail.export.checkpoint import Pooling
from longtail.export.row_int8 import calibration, graph
from longtail.export.row_int8 import weights as row_int8_weights
from longtail.export.row_int8.weights import UnsupportedEncoder
from longtail.worker.vectors import TokenIds
from onnx import ModelProto
from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

CPU_INFORMATION = Path("/proc/cpuinfo")
# Without these, products of 8 bits add up in 16 and may overflow there.
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})


class Precision(Enum):
    """How an encoder computes; the values are the names in manifests and contracts."""

    ROW_INT8 = "row-int8"
    NBITS8 = "nbits8"
    FP32 = "fp32"
    FP16 = "fp16"


@dataclass(frozen=True)
class Graphs:
    """The graph to serve, and the one that is measured: the same, unless that needs a GPU."""

    served: ModelProto
    measured: ModelProto


def choose(model: PreTrainedModel, cpu_information: Path = CPU_INFORMATION) -> Precision:
    """Return the fastest precision that is sound for `model` on this processor."""
    if not has_vnni(cpu_information):
        logger.info("taking nbits8: this processor has no VNNI")
        return Precision.NBITS8
    try:
        row_int8_weights.read(model, max_tokens=1)
    except UnsupportedEncoder as error:
        logger.info("taking nbits8: %s", error)
        return Precision.NBITS8
    return Precision.ROW_INT8


def has_vnni(cpu_information: Path = CPU_INFORMATION) -> bool:
    """Return whether the processor adds up products of 8 bits in 32."""
    try:
        return not _VNNI.isdisjoint(cpu_information.read_text().split())
    except OSError:
        return False


def build(
    precision: Precision,
    model: PreTrainedModel,
    pooling: Pooling,
    *,
    max_tokens: int,
    calibration_texts: Sequence[TokenIds],
    folder: Path,
) -> Graphs:
    """Return the graphs of `model`; `folder` takes intermediate files.

    Raises ExportError when the precision is not for this architecture.
    """
    match precision:
        case Precision.ROW_INT8:
            weights = row_int8_weights.read(model, max_tokens)
            encoder = graph.write(weights, calibration.quantise(weights, calibration_texts))
            served = head.add(encoder, pooling)
        case Precision.NBITS8:
            served = nbits8.quantise(fp32.build(model, pooling, folder))
        case Precision.FP32:
            served = fp32.build(model, pooling, folder)
        case Precision.FP16:
            # Packed attention runs on a GPU alone; up to the packing the graph runs anywhere.
            halved = fp16.halve(fp16.fuse(model, folder))
            measured = ModelProto()
            measured.CopyFrom(halved)
            return Graphs(head.add(fp16.pack(halved), pooling), head.add(measured, pooling))
    onnx.checker.check_model(served)
    return Graphs(served, served)
