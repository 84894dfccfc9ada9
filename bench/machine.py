"""What the figures were taken on, without which they mean nothing."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

_LIBRARIES = ("onnxruntime-gpu", "tokenizers", "numpy", "grpcio", "protobuf", "hnswlib")


def facts() -> Mapping[str, str]:
    """Describe the machine and the versions of what is measured."""
    info = _cpu_info()
    load, _, _ = os.getloadavg()
    return {
        "processor": info.get("model name", platform.processor() or "unknown"),
        "VNNI": "yes" if {"avx512_vnni", "avx_vnni"} & set(info.get("flags", "").split()) else "no",
        "cores used": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        # The figures are ratios in one run, but a busy machine widens their spread.
        "load before the run": f"{load:.2f}",
        "system": platform.platform(),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def _cpu_info() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    first, _, _ = text.partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
