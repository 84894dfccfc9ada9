"""What a run gives to all of its sections, and the encoder as it is by itself."""

import os
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from longtail.v1 import embedding_service_pb2 as pb
from longtail.worker import artefact as artefacts
from longtail.worker import model
from longtail.worker.artefact import ArtefactError
from longtail.worker.devices import Device, DeviceChoice, DeviceError
from longtail.worker.tokenizer import Role, Tokenizer
from longtail.worker.vectors import TokenIds
from numpy.typing import NDArray

from bench import texts as texts_of
from bench.figures import NotRun
from bench.load import EMBED, Answers, Generator, closed_loop, requests_of, responses_of
from bench.processes import Service, worker
from bench.texts import Catalogue, Corpora, digest

Matrix = NDArray[np.float32]

# As a server asks for an import's texts; more callers than it has, so that a worker never waits.
TEXTS_PER_CALL, CALLERS = 256, 4
# Texts between two words on how far it is.
_PART = 80 * TEXTS_PER_CALL
_BATCH = 16


def home() -> Path:
    """Return the folder of all state."""
    return Path(os.environ.get("LONGTAIL_HOME") or "var")


class Bare:
    """The worker's own encoder, loaded as it is there, with nothing around it."""

    def __init__(self, folder: Path) -> None:
        """Load; raise NotRun when `folder` holds no artefact that can be trusted."""
        try:
            artefact = artefacts.load(folder)
            (self.encoder,) = model.load(artefact, DeviceChoice(Device.CPU))
        except (ArtefactError, DeviceError) as error:
            raise NotRun(str(error)) from error
        self.folder, self.manifest = artefact.folder, artefact.manifest
        self.tokenizer = Tokenizer(artefact)

    def batches(self, texts: Sequence[str]) -> list[list[TokenIds]]:
        """Tokenise, and put texts of like length together.

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

    def embed(self, text: str, role: Role) -> Matrix:
        """Return the vector (d,) of one text."""
        (tokens,) = self.tokenizer.tokenise([text], role)
        vector: Matrix = self.encoder.encode([tokens.ids])[0]
        return vector

    def seconds(self, text: str) -> float:
        """Return what tokenising and embedding one text takes."""
        start = time.perf_counter()
        self.embed(text, Role.ITEM)
        return time.perf_counter() - start


@dataclass(frozen=True)
class Context:
    """What is measured, how often, and with what.

    `options` are the command's. `other` is a second generator, for what runs beside the first.
    `leaving` ends at the end what sections share.
    """

    options: Namespace
    generator: Generator
    other: Generator
    leaving: ExitStack
    say: Callable[[str], None]

    @property
    def out(self) -> Path:
        """The folder of what is written."""
        out: Path = self.options.out
        return out

    @property
    def seconds(self) -> float:
        """How long a load lasts."""
        return 2.0 if self.options.quick else 6.0

    @cached_property
    def bare(self) -> Bare:
        """The artefact in this process; raises NotRun when it is none."""
        return Bare(self.options.artefact)

    @cached_property
    def corpora(self) -> Corpora:
        """Texts to embed; raises NotRun without the data."""
        return texts_of.read(self.options.data)

    @cached_property
    def catalogue(self) -> Catalogue:
        """All items of the packages; raises NotRun without the data."""
        return texts_of.catalogue(self.options.data)

    def turns(self, title: str, most: int = 1000) -> range:
        """Iterate over the rounds, and say how far it is."""
        rounds = min(self.options.rounds, most)
        self.say(f"{title}: {rounds} rounds")
        return range(rounds)

    def embed(
        self,
        running: Service,
        texts: Sequence[str],
        per_call: int = 1,
        callers: int = 1,
        lane: pb.Lane = pb.LANE_INTERACTIVE,
    ) -> Answers:
        """Send each text to a worker once; raise LoadError when one fails."""
        calls = requests_of(texts, per_call, lane)
        load = (running.address, EMBED, calls, callers, None, True)
        outcome = self.generator.run(closed_loop, *load)
        responses_of(outcome)
        return outcome

    def vectors_of(self, kind: str, texts: Sequence[str], role: pb.Role) -> Matrix:
        """Return the vectors (n, d) of texts, from the file where they were kept.

        A worker embeds them once; the file has the encoder's name and the texts' hash in its own.
        """
        manifest = self.bare.manifest
        name = f"vectors-{kind}-{manifest.model_id.replace('/', '_')}-{digest(texts)}.npy"
        file = self.out / name
        if not file.exists():
            self.say(f"embedding {len(texts):,} texts into {name}")
            parts = []
            with worker(self.options.artefact, self.out) as running:
                for start in range(0, len(texts), _PART):
                    part = texts[start : start + _PART]
                    calls = requests_of(part, TEXTS_PER_CALL, pb.LANE_BULK, role)
                    load = (running.address, EMBED, calls, CALLERS, None, True)
                    parts += responses_of(self.generator.run(closed_loop, *load))
                    self.say(f"embedded {start + len(part):,} of {len(texts):,}")
            found = np.frombuffer(b"".join(part.vectors for part in parts), "<f4")
            unfinished = file.with_suffix(".unfinished")
            with unfinished.open("wb") as stream:
                np.save(stream, found.reshape(len(texts), -1))
            unfinished.rename(file)
        vectors: Matrix = np.asarray(np.load(file, mmap_mode="r"))
        return vectors
