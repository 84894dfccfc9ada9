"""The bare runtime: the worker's own encoder on tokens that are ready, with nothing around it."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from longtail.worker import artefact as artefacts
from longtail.worker import model
from longtail.worker.artefact import ArtefactError
from longtail.worker.devices import Device, DeviceChoice, DeviceError
from longtail.worker.tokenizer import Role, Tokenizer
from longtail.worker.vectors import TokenIds

from bench.figures import NotRun

_BATCH = 16


class Bare:
    """An artefact, loaded as the worker loads it."""

    def __init__(self, folder: Path) -> None:
        """Load; raise NotRun when `folder` holds no artefact that can be trusted."""
        try:
            artefact = artefacts.load(folder)
            (encoder,) = model.load(artefact, DeviceChoice(Device.CPU))
        except (ArtefactError, DeviceError) as error:
            raise NotRun(str(error)) from error
        self.encoder = encoder
        self.folder, self.manifest = artefact.folder, artefact.manifest
        self.tokenizer = Tokenizer(artefact)

    def batches(self, texts: Sequence[str]) -> list[list[TokenIds]]:
        """Tokenise, and put texts of like length together, the longest first.

        The longest first, so that no thread is left alone with the last and largest of them.
        """
        tokens = self.tokenizer.tokenise(texts, Role.ITEM)
        ordered = sorted((text.ids for text in tokens), key=len, reverse=True)
        return [ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH)]

    def rate(self, batches: Sequence[Sequence[TokenIds]]) -> float:
        """Return texts per second, with as many threads as cores on one session."""
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            # The threads are there before the clock starts.
            list(threads.map(self.encoder.encode, batches[-4:]))
            start = time.perf_counter()
            for _ in threads.map(self.encoder.encode, batches):
                pass
            return sum(map(len, batches)) / (time.perf_counter() - start)

    def seconds(self, text: str) -> float:
        """Return what tokenising and embedding one text takes."""
        start = time.perf_counter()
        (tokens,) = self.tokenizer.tokenise([text], Role.ITEM)
        self.encoder.encode([tokens.ids])
        return time.perf_counter() - start
