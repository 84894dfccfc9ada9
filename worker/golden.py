"""Proof before service: the artefact's golden texts must give their vectors on this device.

They take the way that every caller's texts take, queue included.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from worker.artefact import Golden
from worker.embedder import Result
from worker.tokenizer import Role

logger = logging.getLogger(__name__)

# Devices round differently; a wrong graph, tokenizer or prompt is much farther off.
MIN_COSINE = 0.999
_SECONDS = 60.0

Embed = Callable[[Sequence[str], Role, float], Awaitable[Result]]


class GoldenError(Exception):
    """The device does not give the vectors that the artefact promises."""


async def check(golden: Sequence[Golden], embed: Embed) -> None:
    """Raise GoldenError when a golden text has another vector here than at the export."""
    lowest = 1.0
    for expected in golden:
        result = await embed([expected.text], Role(expected.role), time.monotonic() + _SECONDS)
        cosine = float(result.vectors[0] @ expected.vector)
        # Written so that NaN, which compares false with everything, fails too.
        if not cosine >= MIN_COSINE:
            raise GoldenError(
                f"the vector of the golden {expected.role} {expected.text[:40]!r} has cosine "
                f"{cosine:.4f} to the exported one, at least {MIN_COSINE} is needed"
            )
        lowest = min(lowest, cosine)
    logger.info("golden texts=%d lowest_cosine=%.6f", len(golden), lowest)
