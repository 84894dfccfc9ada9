"""The encoder as ONNX Runtime runs it, on a device that is checked after loading.

ONNX Runtime falls back to the CPU without an error when a GPU cannot be used; what the session
really has is asked of the session, never of the build.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnxruntime

from worker.artefact import GRAPH, Artefact, ArtefactError
from worker.vectors import TokenIds, Vectors

logger = logging.getLogger(__name__)

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_FATAL_ONLY = 4


class Device(Enum):
    """Where to run: AUTO takes the GPU when it can be used, and says so when it cannot."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class DeviceError(Exception):
    """The device that was asked for cannot be used."""


@dataclass(frozen=True)
class Placement:
    """Where the loaded session runs: `device` is "cpu" or "cuda:0"."""

    device: str
    execution_provider: str


class Encoder:
    """Token ids to unit vectors. Safe to call from several threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        provider = session.get_providers()[0]
        self.placement = Placement("cuda:0" if provider == _CUDA else "cpu", provider)

    def encode(self, batch: Sequence[TokenIds]) -> Vectors:
        """Return (len(batch), dimension) unit vectors; raise ArithmeticError on one that is not."""
        shape = (len(batch), max(map(len, batch)))
        input_ids, attention_mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, ids in enumerate(batch):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        vectors: Vectors = self._session.run(["embedding"], feed)[0]
        lengths = np.linalg.norm(vectors, axis=1)
        # Written so that NaN, which compares false with everything, fails too.
        if not np.all(np.abs(lengths - 1) < 1e-3):
            raise ArithmeticError("the encoder gave a vector that is not of unit length")
        return vectors


def load(artefact: Artefact, device: Device) -> Encoder:
    """Load the graph; raise DeviceError when CUDA was asked for and cannot be used.

    Each call of `encode` runs on the thread that makes it, so several calls in parallel share one
    copy of the weights and use as many cores as there are calls.
    """
    if device is Device.CUDA:
        return Encoder(_session(artefact, _CUDA))
    if device is Device.AUTO:
        # A missing GPU is no error here, and ONNX Runtime would report it as several.
        onnxruntime.set_default_logger_severity(_FATAL_ONLY)
        try:
            return Encoder(_session(artefact, _CUDA))
        except DeviceError as error:
            logger.warning("running on the CPU: %s", error)
    return Encoder(_session(artefact, _CPU))


def _session(artefact: Artefact, provider: str) -> onnxruntime.InferenceSession:
    if provider not in onnxruntime.get_available_providers():
        raise DeviceError(f"this build of ONNX Runtime has no {provider}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Patterns are kept per shape, and batches come in any shape.
    options.enable_mem_pattern = False
    # What goes wrong reaches us as an exception, or as another provider than the one asked for.
    options.log_severity_level = _FATAL_ONLY
    path = artefact.folder / GRAPH
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # the library raises nothing narrower
        if provider == _CUDA:
            raise DeviceError(f"{provider} cannot be used: {error}") from error
        raise ArtefactError(f"{path}: {error}") from error
    if session.get_providers()[0] != provider:
        raise DeviceError(f"{provider} cannot be used: no GPU, or no CUDA libraries that fit")
    dimension = session.get_outputs()[0].shape[-1]
    if dimension != artefact.manifest.dimension:
        raise ArtefactError(f"{path}: gives vectors of {dimension} numbers, not of the manifest's")
    return session
