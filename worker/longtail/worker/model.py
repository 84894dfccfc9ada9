"""The encoder as ONNX Runtime runs it, on devices that are checked after loading.

ONNX Runtime falls back to the CPU without an error when a GPU cannot be used; what the session
really has is asked of the session, never of the build.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from longtail.worker.artefact import GRAPH, Artefact, ArtefactError
from longtail.worker.devices import (
    Device,
    DeviceChoice,
    DeviceError,
    check_libraries,
    check_precision,
    chosen_gpus,
    count_gpus,
)
from longtail.worker.vectors import TokenIds, Vectors
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_OUTPUT = "embedding"
_FATAL_ONLY = 4
# What computes shapes, and is given to the CPU on purpose: its results steer what the GPU does.
_SHAPE_ARITHMETIC = {
    *("Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Gather"),
    *("Mul", "Range", "Reshape", "Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where"),
}

Feed = Mapping[str, NDArray[np.int64]]
Run = Callable[[onnxruntime.InferenceSession, Feed], NDArray[Any]]
# (texts, longest text) of a batch to the shape in which it is computed.
Shape = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Placement:
    """Where the loaded session runs: `device` is "cpu" or "cuda:0"."""

    device: str
    execution_provider: str


def exact(texts: int, tokens: int) -> tuple[int, int]:
    """Return the shape as it is."""
    return texts, tokens


def bucketed(max_tokens: int) -> Shape:
    """Return a function to the next larger of few shapes, none of them longer than `max_tokens`."""

    def shape(texts: int, tokens: int) -> tuple[int, int]:
        return _bucket(texts), max(tokens, min(_bucket(tokens), max_tokens))

    return shape


def run(session: onnxruntime.InferenceSession, feed: Feed) -> NDArray[Any]:
    """Run the graph on arrays."""
    vectors: NDArray[Any] = session.run([_OUTPUT], feed)[0]
    return vectors


def run_bound(session: onnxruntime.InferenceSession, feed: Feed) -> NDArray[Any]:
    """Run the graph with its inputs and its output bound, which saves a GPU a copy of each."""
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output(_OUTPUT, "cpu")
    session.run_with_iobinding(binding)
    vectors: NDArray[Any] = binding.copy_outputs_to_cpu()[0]
    return vectors


class Encoder:
    """Token ids to unit vectors, through one session. Safe to call from several threads at once.

    `shape` says in which shape a batch is computed, `run` how the session is run.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, *, shape: Shape = exact, run: Run = run
    ) -> None:
        self._session, self._shape, self._run = session, shape, run
        self.placement = _placement(session)

    def encode(self, batch: Sequence[TokenIds]) -> Vectors:
        """Return (len(batch), dimension) unit vectors; raise ArithmeticError on one that is not."""
        shape = self._shape(len(batch), max(map(len, batch)))
        input_ids, attention_mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, ids in enumerate(batch):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        # A row of padding alone would be divided by its number of tokens, which is zero.
        attention_mask[len(batch) :, 0] = 1
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        computed = self._run(self._session, feed)[: len(batch)]
        vectors: Vectors = computed.astype(np.float32, copy=False)
        squares = np.einsum("ij,ij->i", vectors, vectors)
        # Written so that NaN, which compares false with everything, fails too.
        if not np.all(np.abs(squares - 1) < 2e-3):
            raise ArithmeticError("the encoder gave a vector that is not of unit length")
        return vectors


def load(
    artefact: Artefact,
    choice: DeviceChoice,
    *,
    threads: int = 1,
    gpu_bytes: int | None = None,
) -> list[Encoder]:
    """Load the graph once for each device; raise DeviceError when none that was asked for will do.

    On the CPU, `threads` work on one call of `encode`; calls in parallel share one copy of the
    weights. `gpu_bytes` bounds what ONNX Runtime takes of each GPU's memory.
    """
    if choice.device is not Device.CPU:
        try:
            return [_on_gpu(artefact, gpu, gpu_bytes) for gpu in _fitting_gpus(artefact, choice)]
        except DeviceError as error:
            reason = f"{CUDA} cannot be used: {error}"
            if choice.device is Device.CUDA:
                raise DeviceError(reason) from error
            logger.warning("not running on a GPU: %s", reason)
    check_precision(artefact.manifest.precision, Device.CPU)
    return [_on_cpu(artefact, threads)]


def _fitting_gpus(artefact: Artefact, choice: DeviceChoice) -> list[int]:
    """Return the GPUs to run on; raise DeviceError with what keeps the graph off them.

    Who asks for CUDA is told first what no GPU would change, AUTO what this machine lacks.
    """
    if choice.device is Device.CUDA:
        check_precision(artefact.manifest.precision, Device.CUDA)
    gpus = usable_gpus(choice)
    check_precision(artefact.manifest.precision, Device.CUDA)
    return gpus


def usable_gpus(choice: DeviceChoice) -> list[int]:
    """Return the numbers of the GPUs that are asked for; raise DeviceError with what is missing."""
    gpus = chosen_gpus(choice, count_gpus())
    # Libraries that came as packages are not where the system looks; what is missing even so is
    # said by the check, once, and not in lines of ONNX Runtime's own.
    with contextlib.redirect_stdout(io.StringIO()):
        getattr(onnxruntime, "preload_dlls", lambda: None)()
    check_libraries(getattr(onnxruntime, "cuda_version", ""))
    return gpus


def _on_cpu(artefact: Artefact, threads: int) -> Encoder:
    options = _options()
    options.intra_op_num_threads = threads
    return Encoder(_session(artefact, options, CPU, {}))


def _on_gpu(artefact: Artefact, gpu: int, gpu_bytes: int | None) -> Encoder:
    session = _cuda_session(artefact, gpu, gpu_bytes)
    return Encoder(session, shape=bucketed(artefact.manifest.max_tokens), run=run_bound)


def _cuda_session(
    artefact: Artefact, gpu: int, gpu_bytes: int | None
) -> onnxruntime.InferenceSession:
    options = _options()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = _session(artefact, options, CUDA, _cuda_options(gpu, gpu_bytes))
    if session.get_providers()[0] != CUDA:
        raise DeviceError(f"ONNX Runtime does not run on GPU {gpu}")
    check_assignment(
        (part.ep_name, node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )
    return session


def check_assignment(nodes: Iterable[tuple[str, str]]) -> None:
    """Raise DeviceError when something of (provider, operator) is computed beside the GPU.

    ONNX Runtime's own switch for it, session.disable_cpu_ep_fallback, refuses every graph that
    computes shapes.
    """
    beside = {operator for provider, operator in nodes if provider != CUDA} - _SHAPE_ARITHMETIC
    if beside:
        raise DeviceError(f"it has no kernels for {', '.join(sorted(beside))}")


def _cuda_options(gpu: int, gpu_bytes: int | None) -> dict[str, str]:
    options = {
        "device_id": str(gpu),
        # Doubling would take far more than is asked for.
        "arena_extend_strategy": "kSameAsRequested",
        # Vectors of a CPU and of a GPU are searched together; ten bits of mantissa are too few.
        "use_tf32": "0",
    }
    return options if gpu_bytes is None else {**options, "gpu_mem_limit": str(gpu_bytes)}


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Patterns are kept per shape, and batches come in any shape. The arena is kept: it grows to
    # what the largest batches need and stays there, as the memory does without it.
    options.enable_mem_pattern = False
    # What goes wrong reaches us as an exception, or as another provider than the one asked for.
    options.log_severity_level = _FATAL_ONLY
    return options


def _session(
    artefact: Artefact,
    options: onnxruntime.SessionOptions,
    provider: str,
    provider_options: Mapping[str, str],
) -> onnxruntime.InferenceSession:
    path: Path = artefact.folder / GRAPH
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[(provider, dict(provider_options))], enable_fallback=0
        )
    except Exception as error:  # the library raises nothing narrower
        if provider == CUDA:
            raise DeviceError(f"ONNX Runtime does not start on it: {error}") from error
        raise ArtefactError(f"{path}: {error}") from error
    dimension = session.get_outputs()[0].shape[-1]
    if dimension != artefact.manifest.dimension:
        raise ArtefactError(f"{path}: gives vectors of {dimension} numbers, not of the manifest's")
    return session


def _placement(session: onnxruntime.InferenceSession) -> Placement:
    provider = session.get_providers()[0]
    if provider != CUDA:
        return Placement("cpu", provider)
    return Placement(f"cuda:{session.get_provider_options()[CUDA]['device_id']}", provider)


def _bucket(number: int) -> int:
    """Return the next of 1, 2, 3, 4, 6, 8, 12, ...: powers of two, and halfway between them."""
    power = 1 << (number - 1).bit_length()
    return power * 3 // 4 if number <= power * 3 // 4 else power
