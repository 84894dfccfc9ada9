"""What is said of a device before ONNX Runtime is asked for it."""

import ctypes
from collections.abc import Callable
from typing import Any

import pytest
from longtail.worker.devices import (
    DRIVER,
    Device,
    DeviceChoice,
    DeviceError,
    check_libraries,
    check_precision,
    chosen_gpus,
    count_gpus,
    parse_device,
)


class FakeDriver:
    """The two functions of libcuda that are called, with what they are to return."""

    def __init__(self, *, gpus: int = 0, start: int = 0, counting: int = 0) -> None:
        self._gpus, self._start, self._counting = gpus, start, counting

    def cuInit(self, flags: int) -> int:  # noqa: N802  # the driver's own name
        assert flags == 0
        return self._start

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802, ANN401  # as above; a reference
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self._gpus
        return self._counting


def machine(driver: FakeDriver | None, *libraries: str) -> Callable[[str], object]:
    """Return a loader that finds the driver, when there is one, and `libraries`."""

    def load(name: str) -> object:
        if name == DRIVER and driver is not None:
            return driver
        if name in libraries:
            return object()
        raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    return load


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("auto", DeviceChoice(Device.AUTO)),
        ("cpu", DeviceChoice(Device.CPU)),
        ("cuda", DeviceChoice(Device.CUDA)),
        ("cuda:0", DeviceChoice(Device.CUDA, 0)),
        ("cuda:12", DeviceChoice(Device.CUDA, 12)),
    ],
)
def test_a_device_is_read(text: str, choice: DeviceChoice) -> None:
    assert parse_device(text) == choice


@pytest.mark.parametrize(
    "text", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda:1,2", "cpu:0", "cuda:1\n"]
)
def test_any_other_device_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is none of auto, cpu, cuda and cuda:N"):
        parse_device(text)


@pytest.mark.parametrize(
    ("precision", "runs_on"),
    [
        ("row-int8", {Device.CPU}),
        ("nbits8", {Device.CPU, Device.CUDA}),
        ("fp32", {Device.CPU, Device.CUDA}),
        ("fp16", {Device.CUDA}),
        ("no such precision", set()),
    ],
)
def test_a_precision_runs_where_it_has_kernels(precision: str, runs_on: set[Device]) -> None:
    for device in (Device.CPU, Device.CUDA):
        if device in runs_on:
            check_precision(precision, device)
        else:
            with pytest.raises(DeviceError, match=f"{precision} does not run on {device.value}"):
                check_precision(precision, device)


def test_who_has_the_wrong_precision_is_told_the_right_ones() -> None:
    with pytest.raises(DeviceError, match="export it in fp16, nbits8 or fp32"):
        check_precision("row-int8", Device.CUDA)
    with pytest.raises(DeviceError, match="export it in nbits8, row-int8 or fp32"):
        check_precision("fp16", Device.CPU)


def test_the_driver_counts_the_gpus() -> None:
    assert count_gpus(machine(FakeDriver(gpus=3))) == 3


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (None, "there is no NVIDIA driver: libcuda.so.1: cannot open shared object file"),
        (FakeDriver(start=100), "shows no GPU"),
        (FakeDriver(gpus=0), "shows no GPU"),
        (FakeDriver(start=803), "does not start: error 803 of CUDA"),
        (FakeDriver(gpus=1, counting=3), "does not start: error 3 of CUDA"),
    ],
)
def test_a_driver_that_is_of_no_use_is_the_reason(driver: FakeDriver | None, reason: str) -> None:
    with pytest.raises(DeviceError, match=reason):
        count_gpus(machine(driver))


LIBRARIES = (
    "libcudart.so.13",
    "libcublasLt.so.13",
    "libcublas.so.13",
    "libcurand.so.10",
    "libcudnn.so.9",
)


@pytest.mark.parametrize("found", range(len(LIBRARIES)))
def test_the_first_library_that_is_missing_is_the_reason(found: int) -> None:
    load = machine(None, *LIBRARIES[:found])
    kind = "cuDNN 9" if LIBRARIES[found] == "libcudnn.so.9" else "CUDA 13"
    with pytest.raises(DeviceError, match=f"a library of {kind} is missing: {LIBRARIES[found]}"):
        check_libraries("13.0", load)


def test_libraries_are_those_of_the_builds_version() -> None:
    check_libraries("13.0", machine(None, *LIBRARIES))
    with pytest.raises(DeviceError, match=r"libcudart\.so\.12"):
        check_libraries("12.8", machine(None, *LIBRARIES))


def test_a_build_without_cuda_is_the_reason() -> None:
    with pytest.raises(DeviceError, match="this build of ONNX Runtime has no CUDA"):
        check_libraries("", machine(None, *LIBRARIES))


def test_every_gpu_or_the_one_asked_for_is_taken() -> None:
    assert chosen_gpus(DeviceChoice(Device.AUTO), 2) == [0, 1]
    assert chosen_gpus(DeviceChoice(Device.CUDA), 2) == [0, 1]
    assert chosen_gpus(DeviceChoice(Device.CUDA, 1), 2) == [1]
    with pytest.raises(DeviceError, match="there is no GPU 2: the driver shows 2"):
        chosen_gpus(DeviceChoice(Device.CUDA, 2), 2)
