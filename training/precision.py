"""The precision that a device computes well in."""

from pathlib import Path

import torch


def device_precision(wanted: str) -> str:
    """Return the precision to compute in: `wanted`, or what the device does well for "auto"."""
    if wanted != "auto":
        return {"fp32": "no"}.get(wanted, wanted)
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    # A CPU without instructions for it computes bf16 slower than fp32.
    flags = Path("/proc/cpuinfo")
    known = flags.read_text() if flags.exists() else ""
    return "bf16" if "avx512_bf16" in known or "amx_bf16" in known else "no"
