"""The vectors of the catalogue and of queries: embedded once by a real worker, then kept."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from longtail.server.store.records import FLOAT32, EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb
from longtail.worker import artefact as artefacts
from longtail.worker.artefact import ArtefactError
from numpy.typing import NDArray

from bench.closed_loop import grpc_calls
from bench.figures import NotRun
from bench.generator import checked, requests_of
from bench.index.catalogue import digest
from bench.processes import worker

Matrix = NDArray[np.float32]

# As a server asks for an import's texts; more callers than it has, so that a worker never waits.
TEXTS_PER_CALL, CALLERS = 256, 4
# Texts between two words on how far it is.
_PART = 80 * TEXTS_PER_CALL


def binding_of(artefact: Path) -> EncoderBinding:
    """Return the encoder that an artefact is; raise NotRun when it is none."""
    try:
        manifest = artefacts.load(artefact).manifest
    except ArtefactError as error:
        raise NotRun(str(error)) from error
    return EncoderBinding(manifest.model_id, manifest.dimension)


def embedded(
    kind: str,
    texts: Sequence[str],
    role: pb.Role,
    artefact: Path,
    out: Path,
    say: Callable[[str], None],
) -> Matrix:
    """Return the vectors (n, d) of texts, from the file in `out` where they were kept.

    Its name has the encoder's and the hash of the texts in it.
    """
    binding = binding_of(artefact)
    model = binding.model_id.replace("/", "_")
    file = out / f"vectors-{kind}-{model}-{digest(texts)}.npy"
    if not file.exists():
        say(f"embedding {len(texts):,} texts into {file.name}")
        with worker(artefact, out) as running:
            vectors = np.concatenate(list(_embed(running.address, texts, role, say)))
        unfinished = file.with_suffix(".unfinished")
        with unfinished.open("wb") as stream:
            np.save(stream, vectors)
        unfinished.rename(file)
    found: Matrix = np.load(file, mmap_mode="r")
    if found.shape != (len(texts), binding.dimension):
        raise NotRun(f"{file} is not what was written: remove it")
    return found


def _embed(
    address: str, texts: Sequence[str], role: pb.Role, say: Callable[[str], None]
) -> Iterator[Matrix]:
    for start in range(0, len(texts), _PART):
        requests = requests_of(texts[start : start + _PART], TEXTS_PER_CALL, pb.LANE_BULK, role)
        for _, answer in sorted(checked(grpc_calls(address, requests, CALLERS)).answers):
            response = pb.EmbedResponse.FromString(answer)
            yield np.frombuffer(response.vectors, FLOAT32).reshape(-1, response.dimension)
        say(f"embedded {min(start + _PART, len(texts)):,} of {len(texts):,}")
