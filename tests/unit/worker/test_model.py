"""Graphs as the worker runs them: shapes, devices, and what it does about the ones that fail."""

import dataclasses
import logging
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from longtail.worker import model
from longtail.worker.artefact import GRAPH, Artefact, ArtefactError, Prompts
from longtail.worker.artefact import load as load_artefact
from longtail.worker.devices import Device, DeviceChoice, DeviceError
from longtail.worker.model import CPU, CUDA, Encoder, Feed, Placement, bucketed, check_assignment
from longtail.worker.vectors import TokenIds, Vectors
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.unit.worker.conftest import MakeArtefact

ON_CPU, ON_CUDA, AUTO = (DeviceChoice(d) for d in (Device.CPU, Device.CUDA, Device.AUTO))
BATCH: list[TokenIds] = [[2, 4, 3], [2, 3], [2, 7, 8, 9, 10, 3], [2, 9, 3]]
VOCABULARY, DIMENSION = 16, 4


def mean_graph(dimension: int = DIMENSION, *, unit: bool = True) -> bytes:
    """Return a graph with the inputs and the output of an encoder: the mean of rows of a table."""
    table = np.random.default_rng(1).normal(size=(VOCABULARY, dimension)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
        helper.make_node("Mul", ["rows", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceL2", ["sum", "middle"], ["length"], keepdims=1),
        helper.make_node("Div", ["sum", "length"], ["embedding"]),
    ]
    if not unit:
        nodes[-1] = helper.make_node("Identity", ["sum"], ["embedding"])
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["texts", dimension])
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([-1], np.int64), "last"),
        numpy_helper.from_array(np.array([1], np.int64), "middle"),
    ]
    graph = helper.make_graph(nodes, "mean", inputs, [output], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made)
    content: bytes = made.SerializeToString()
    return content


def session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=[CPU])


@pytest.fixture
def small(make_artefact: MakeArtefact) -> Artefact:
    """Return an artefact whose graph can be run."""
    made = make_artefact(Prompts(query="", item=""))
    (made.folder / GRAPH).write_bytes(mean_graph())
    return made


def in_precision(artefact: Artefact, precision: str) -> Artefact:
    manifest = dataclasses.replace(artefact.manifest, precision=precision)
    return dataclasses.replace(artefact, manifest=manifest)


def alone(encoder: Encoder, batch: list[TokenIds]) -> Vectors:
    return np.concatenate([encoder.encode([ids]) for ids in batch])


def no_gpu() -> str:
    """Return why no GPU can be used here, nothing when one can."""
    try:
        model.usable_gpus(ON_CUDA)
    except DeviceError as error:
        return str(error)
    return ""


@pytest.fixture
def gpu() -> None:
    if reason := no_gpu():
        pytest.skip(f"no usable GPU: {reason}")


def test_a_text_has_its_vector_alone_and_in_a_batch(small: Artefact) -> None:
    (encoder,) = model.load(small, ON_CPU)
    together = encoder.encode(BATCH)
    assert together.shape == (4, DIMENSION)
    np.testing.assert_allclose(together, alone(encoder, BATCH), atol=1e-6)


def test_several_threads_give_the_same_vectors(small: Artefact) -> None:
    (one,), (two,) = model.load(small, ON_CPU), model.load(small, ON_CPU, threads=2)
    np.testing.assert_allclose(one.encode(BATCH), two.encode(BATCH), atol=1e-6)


def test_padding_to_few_shapes_changes_no_vector() -> None:
    seen = []

    def watched(session: onnxruntime.InferenceSession, feed: Feed) -> NDArray[np.float32]:
        seen.append(feed["input_ids"].shape)
        vectors: NDArray[np.float32] = model.run_bound(session, feed)
        return vectors

    ran = session(mean_graph())
    encoder = Encoder(ran, shape=bucketed(64), run=watched)
    batch = [*BATCH, [2, 11, 3]]
    np.testing.assert_allclose(encoder.encode(batch), Encoder(ran).encode(batch), atol=1e-6)
    assert seen == [(6, 6)]


def test_shapes_are_few_no_smaller_and_within_the_limit() -> None:
    shape = bucketed(250)
    shapes = {shape(texts, tokens) for texts in range(1, 257) for tokens in range(1, 251)}
    assert all(tokens <= 250 for _, tokens in shapes)
    assert len(shapes) == 16 * 16
    for texts, tokens in [(1, 1), (5, 33), (200, 250), (7, 129)]:
        larger = shape(texts, tokens)
        assert texts <= larger[0] <= texts * 1.5
        assert tokens <= larger[1] <= tokens * 1.5


def test_a_vector_that_is_not_of_unit_length_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="unit length"):
        Encoder(session(mean_graph(unit=False))).encode(BATCH)


def test_a_vector_that_is_not_a_number_is_refused() -> None:
    def spoil(session: onnxruntime.InferenceSession, feed: Feed) -> NDArray[np.float32]:
        return np.full((len(feed["input_ids"]), DIMENSION), np.nan, np.float32)

    with pytest.raises(ArithmeticError, match="unit length"):
        Encoder(session(mean_graph()), run=spoil).encode(BATCH)


def test_half_precision_comes_out_as_float32() -> None:
    def halved(session: onnxruntime.InferenceSession, feed: Feed) -> NDArray[np.float16]:
        return model.run(session, feed).astype(np.float16)

    assert Encoder(session(mean_graph()), run=halved).encode(BATCH).dtype == np.float32


def test_the_placement_is_what_the_session_has(small: Artefact) -> None:
    (encoder,) = model.load(small, ON_CPU)
    assert encoder.placement == Placement("cpu", CPU)


def test_a_graph_that_is_none_is_a_fault_of_the_artefact(small: Artefact) -> None:
    (small.folder / GRAPH).write_bytes(b"a graph")
    with pytest.raises(ArtefactError, match=GRAPH):
        model.load(small, ON_CPU)


def test_a_graph_of_another_dimension_is_a_fault_of_the_artefact(small: Artefact) -> None:
    (small.folder / GRAPH).write_bytes(mean_graph(DIMENSION + 1))
    with pytest.raises(ArtefactError, match="vectors of 5 numbers"):
        model.load(small, ON_CPU)


def test_int8_activations_are_refused_on_cuda_whether_there_is_a_gpu_or_not(
    small: Artefact,
) -> None:
    with pytest.raises(DeviceError, match="row-int8 does not run on cuda: export it in fp16"):
        model.load(in_precision(small, "row-int8"), ON_CUDA)


def test_auto_says_why_int8_activations_stay_off_a_gpu_that_is_there(
    small: Artefact, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "usable_gpus", lambda choice: [0])
    with caplog.at_level(logging.WARNING, logger=model.__name__):
        (encoder,) = model.load(in_precision(small, "row-int8"), AUTO)
    assert encoder.placement.device == "cpu"
    assert "row-int8 does not run on cuda" in caplog.text


def test_packed_fp16_is_refused_on_the_cpu(small: Artefact) -> None:
    with pytest.raises(DeviceError, match="fp16 does not run on cpu: export it in nbits8"):
        model.load(in_precision(small, "fp16"), ON_CPU)


def test_cuda_without_a_gpu_fails_with_the_reason(small: Artefact) -> None:
    if not (reason := no_gpu()):
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError) as caught:
        model.load(small, ON_CUDA)
    assert str(caught.value) == f"{CUDA} cannot be used: {reason}"


def test_a_session_that_fell_back_to_the_cpu_is_not_taken_for_a_gpu(
    small: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not no_gpu():
        pytest.skip("this machine has a GPU")
    monkeypatch.setattr(model, "usable_gpus", lambda choice: [0])
    with pytest.raises(DeviceError, match="ONNX Runtime does not run on GPU 0"):
        model.load(small, ON_CUDA)


def test_auto_without_a_gpu_runs_on_the_cpu_and_says_why(
    small: Artefact, caplog: pytest.LogCaptureFixture
) -> None:
    if not (reason := no_gpu()):
        pytest.skip("this machine has a GPU")
    with caplog.at_level(logging.WARNING, logger=model.__name__):
        (encoder,) = model.load(small, AUTO)
    assert encoder.placement.device == "cpu"
    assert reason in caplog.text


def test_nothing_is_printed_while_a_gpu_is_looked_for(
    small: Artefact, capfd: pytest.CaptureFixture[str]
) -> None:
    model.load(small, AUTO)
    assert capfd.readouterr() == ("", "")


def test_what_computes_vectors_may_not_stay_beside_the_gpu() -> None:
    check_assignment([(CUDA, "MatMul"), (CPU, "Shape"), (CPU, "Gather")])
    with pytest.raises(DeviceError, match="no kernels for MatMulInteger, Softmax"):
        check_assignment([(CUDA, "MatMul"), (CPU, "Softmax"), (CPU, "MatMulInteger")])


@pytest.mark.model
def test_the_default_encoder_gives_the_same_vectors_in_the_gpus_shapes(artefact: Path) -> None:
    loaded = load_artefact(artefact)
    (encoder,) = model.load(loaded, ON_CPU)
    ran = onnxruntime.InferenceSession(str(artefact / GRAPH), providers=[CPU])
    bound = Encoder(ran, shape=bucketed(loaded.manifest.max_tokens), run=model.run_bound)
    rng = np.random.default_rng(3)
    batch = [rng.integers(1000, 20_000, length).tolist() for length in (5, 9, 33, 20, 2)]
    assert np.sum(encoder.encode(batch) * bound.encode(batch), axis=1).min() > 1 - 1e-6


@pytest.mark.model
def test_memory_does_not_grow_with_the_number_of_shapes(artefact: Path) -> None:
    (encoder,) = model.load(load_artefact(artefact), ON_CPU)
    rng = np.random.default_rng(5)

    def random_batch(texts: int, longest: int) -> list[TokenIds]:
        lengths = [longest, *rng.integers(1, longest + 1, texts - 1)]
        return [rng.integers(1000, 20_000, length).tolist() for length in lengths]

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    for texts, longest in [(1, 64), (4, 16), (32, 2)]:
        encoder.encode(random_batch(texts, longest))
    before = resident()
    for _ in range(150):
        longest = int(rng.integers(1, 65))
        encoder.encode(random_batch(int(rng.integers(1, 64 // longest + 1)), longest))
    assert resident() - before < 50 * 2**20


@pytest.mark.model
@pytest.mark.usefixtures("gpu")
def test_every_gpu_gives_the_vectors_of_the_cpu(artefact: Path) -> None:
    loaded = load_artefact(artefact)
    gpus = model.load(loaded, ON_CUDA)
    assert [encoder.placement for encoder in gpus] == [
        Placement(f"cuda:{number}", CUDA) for number in model.usable_gpus(ON_CUDA)
    ]
    (cpu,) = model.load(loaded, ON_CPU)
    for encoder in gpus:
        cosines = np.sum(encoder.encode(BATCH) * cpu.encode(BATCH), axis=1)
        assert cosines.min() > 0.999


@pytest.mark.model
@pytest.mark.usefixtures("gpu")
def test_one_gpu_is_the_one_asked_for_and_auto_takes_all(artefact: Path) -> None:
    loaded = load_artefact(artefact)
    (one,) = model.load(loaded, DeviceChoice(Device.CUDA, 0), gpu_bytes=2**31)
    assert one.placement == Placement("cuda:0", CUDA)
    assert len(model.load(loaded, AUTO)) == len(model.usable_gpus(ON_CUDA))
