"""Which device to run on, which graphs run there, and why a GPU cannot be used.

ONNX Runtime counts no GPUs, and without the libraries of CUDA it carries on on the CPU; so the
driver and the libraries are asked first, in the order in which one needs the other.
"""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Device(Enum):
    """A kind of device; AUTO takes every GPU when they can be used, and says so when not."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True)
class DeviceChoice:
    """What the operator asks for; `index` is one GPU of CUDA, None every GPU that is visible."""

    device: Device
    index: int | None = None


class DeviceError(Exception):
    """The device that was asked for cannot be used; the message is the reason."""


Load = Callable[[str], Any]

DRIVER = "libcuda.so.1"
_ONE_GPU = re.compile(r"cuda:([0-9]{1,3})")
_NO_DEVICE = 100

# ONNX Runtime multiplies activations of 8 bits on the CPU only, and packed attention on CUDA only.
_RUNS_ON = {
    "fp16": (Device.CUDA,),
    "nbits8": (Device.CPU, Device.CUDA),
    "row-int8": (Device.CPU,),
    "fp32": (Device.CPU, Device.CUDA),
}


def parse_device(text: str) -> DeviceChoice:
    """Read auto, cpu, cuda or cuda:N; raise ValueError that goes on after the text."""
    if match := _ONE_GPU.fullmatch(text):
        return DeviceChoice(Device.CUDA, int(match[1]))
    if text in [device.value for device in Device]:
        return DeviceChoice(Device(text))
    raise ValueError("is none of auto, cpu, cuda and cuda:N, N being 0 for the first GPU")


def check_precision(precision: str, device: Device) -> None:
    """Raise DeviceError when a graph of `precision` does not run on `device`, CPU or CUDA."""
    if device in _RUNS_ON.get(precision, ()):
        return
    fitting = [name for name, places in _RUNS_ON.items() if device in places]
    raise DeviceError(
        f"an encoder in {precision} does not run on {device.value}: "
        f"export it in {', '.join(fitting[:-1])} or {fitting[-1]}"
    )


def count_gpus(load: Load = ctypes.CDLL) -> int:
    """Return how many GPUs the driver shows to this process; raise DeviceError when there is none.

    CUDA_VISIBLE_DEVICES is the driver's own and so is respected.
    """
    try:
        driver = load(DRIVER)
    except OSError as error:
        raise DeviceError(f"there is no NVIDIA driver: {error}") from error
    count = ctypes.c_int()
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code == _NO_DEVICE or (code == 0 and count.value == 0):
        raise DeviceError("the NVIDIA driver shows no GPU")
    if code:
        raise DeviceError(f"the NVIDIA driver does not start: error {code} of CUDA")
    return count.value


def check_libraries(cuda_version: str, load: Load = ctypes.CDLL) -> None:
    """Raise DeviceError with the first library that is missing for CUDA.

    `cuda_version` is that of ONNX Runtime's build, such as "13.0", and empty when it has no CUDA.
    """
    if not cuda_version:
        raise DeviceError("this build of ONNX Runtime has no CUDA: install onnxruntime-gpu")
    major = cuda_version.partition(".")[0]
    for kind, name in (
        (f"CUDA {major}", f"libcudart.so.{major}"),
        (f"CUDA {major}", f"libcublasLt.so.{major}"),
        (f"CUDA {major}", f"libcublas.so.{major}"),
        (f"CUDA {major}", "libcurand.so.10"),
        ("cuDNN 9", "libcudnn.so.9"),
    ):
        try:
            load(name)
        except OSError as error:
            raise DeviceError(f"a library of {kind} is missing: {error}") from error


def chosen_gpus(choice: DeviceChoice, count: int) -> list[int]:
    """Return the numbers of the GPUs that are asked for; raise DeviceError when it is not there."""
    if choice.index is None:
        return list(range(count))
    if choice.index >= count:
        raise DeviceError(f"there is no GPU {choice.index}: the driver shows {count}, from 0 on")
    return [choice.index]
