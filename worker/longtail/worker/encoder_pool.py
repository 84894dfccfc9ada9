"""One queue for several devices: each batch goes to the encoder with the least to do."""

import threading
from collections.abc import Sequence
from typing import Protocol

from longtail.worker.model import Placement
from longtail.worker.vectors import TokenIds, Vectors


class PlacedEncoder(Protocol):
    """What the pool needs of longtail.worker.model.Encoder."""

    placement: Placement

    def encode(self, batch: Sequence[TokenIds]) -> Vectors:
        """Return (len(batch), dimension) unit vectors."""


class EncoderPool:
    """The encoders of a process, called as one. Safe to call from several threads at once.

    `slots_each` is how many batches one encoder takes at once; `slots` is that of all together, and
    who keeps to it finds an encoder that is free.
    """

    def __init__(self, encoders: Sequence[PlacedEncoder], slots_each: int) -> None:
        self.slots = slots_each * len(encoders)
        self.placements: Sequence[Placement] = [encoder.placement for encoder in encoders]
        self._encoders = encoders
        self._running = [0] * len(encoders)
        self._lock = threading.Lock()

    def encode(self, batch: Sequence[TokenIds]) -> Vectors:
        """Return (len(batch), dimension) unit vectors; raise what the encoder raises."""
        with self._lock:
            chosen = self._running.index(min(self._running))
            self._running[chosen] += 1
        try:
            return self._encoders[chosen].encode(batch)
        finally:
            with self._lock:
                self._running[chosen] -= 1
