"""The text vectors of a catalogue, computed by the encoder as it serves, and each of them once.

A vector depends on the encoder and the text alone, so it is kept under a hash of both: an edited
text, or another encoder, is encoded anew, and everything else is read. The file only grows; it may
be deleted at any time.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from longtail.server.encoder.passages import Read, read_whole
from longtail.server.write.encoding import text_to_encode
from longtail.worker import artefact as artefacts
from longtail.worker import loading
from longtail.worker.artefact import Artefact
from longtail.worker.settings import WorkerSettings
from longtail.worker.tokenizer import Role, Tokenizer
from longtail.worker.vectors import Vectors
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Keys = NDArray[np.uint8]
# (texts done, texts to do), of those that had to be encoded.
Progress = Callable[[int, int], None]
Encode = Callable[[Sequence[str]], Vectors]

_KEY_BYTES = hashlib.sha256().digest_size


def item_vectors(
    titles: Sequence[str], texts: Sequence[str], settings: WorkerSettings, progress: Progress
) -> Vectors:
    """Return (I, d) float32 unit vectors of I items, as the server would have them encoded.

    `settings` name the encoder, the device and the folder of state, in which the vectors are kept
    under `cache/evaluation`. Raises ArtefactError and DeviceError.
    """
    whole = [text_to_encode(title, text) for title, text in zip(titles, texts, strict=True)]
    return _vectors(whole, Role.ITEM, settings, progress)


def query_vectors(texts: Sequence[str], settings: WorkerSettings, progress: Progress) -> Vectors:
    """Return (Q, d) float32 unit vectors of Q queries, kept as those of items are.

    Raises ArtefactError and DeviceError.
    """
    return _vectors(texts, Role.QUERY, settings, progress)


def encoder_id(settings: WorkerSettings) -> str:
    """Return the id of the encoder that `settings` name. Raises ArtefactError."""
    return artefacts.load(settings.artefact).manifest.model_id


def cached(
    texts: Sequence[str], *, model_id: str, dimension: int, file: Path, encode: Encode
) -> Vectors:
    """Return the (len(texts), dimension) vectors, taking from `file` those that it holds.

    `encode` is called at most once, with the distinct texts that are new; then `file` is replaced
    by one that holds them too.
    """
    keys = [_key(model_id, text) for text in texts]
    known_keys, known = _read(file, dimension)
    rows = {key.tobytes(): row for row, key in enumerate(known_keys)}
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in rows}
    if new:
        rows |= {key: row for row, key in enumerate(new, start=len(known))}
        new_keys = np.frombuffer(b"".join(new), np.uint8).reshape(-1, _KEY_BYTES)
        known = np.concatenate([known, encode(list(new.values()))])
        _write(file, np.concatenate([known_keys, new_keys]), known)
    return known[[rows[key] for key in keys]]


def batches(lengths: Sequence[int], padded_tokens: int) -> list[list[int]]:
    """Put texts of like length together, the longest first; return their positions.

    A batch computes at most `padded_tokens`, unless one text alone has more. The longest first, so
    that no thread is left alone with the last and largest of them.
    """
    order = sorted(range(len(lengths)), key=lambda text: -lengths[text])
    parts, start = [], 0
    while start < len(order):
        size = max(1, padded_tokens // lengths[order[start]])
        parts.append(order[start : start + size])
        start += size
    return parts


def _vectors(
    texts: Sequence[str], role: Role, settings: WorkerSettings, progress: Progress
) -> Vectors:
    artefact = artefacts.load(settings.artefact)
    name = artefact.manifest.model_id
    # A query may be encoded with another prompt in front.
    of_role = "" if role is Role.ITEM else f"-{role.value}"
    return cached(
        texts,
        model_id=name,
        dimension=artefact.manifest.dimension,
        file=Path(settings.home, "cache", "evaluation", f"{name.replace('/', '_')}{of_role}.npz"),
        encode=lambda new: _encode(artefact, settings, new, role, progress),
    )


def _encode(
    artefact: Artefact,
    settings: WorkerSettings,
    texts: Sequence[str],
    role: Role,
    progress: Progress,
) -> Vectors:
    tokenizer, encoders = Tokenizer(artefact), loading.load(artefact, settings)
    threads = ThreadPoolExecutor(encoders.slots, thread_name_prefix="inference")

    done = wanted = 0

    async def read(texts: Sequence[str]) -> list[Read]:
        nonlocal done, wanted
        wanted += len(texts)
        tokens = tokenizer.tokenise(texts, role)
        lengths = [len(each.ids) for each in tokens]
        parts = batches(lengths, loading.batch_tokens(settings, encoders))
        found: dict[int, Read] = {}
        computed = threads.map(
            lambda part: encoders.encode([tokens[row].ids for row in part]), parts
        )
        for part, vectors in zip(parts, computed, strict=True):
            for row, vector in zip(part, vectors, strict=True):
                found[row] = Read(vector, tokens[row].truncated)
            done += len(part)
            progress(done, wanted)
        return [found[row] for row in range(len(texts))]

    try:
        # Long ones in passages, as the server has them.
        whole = asyncio.run(read_whole(texts, read))
        return np.array(whole, np.float32).reshape(-1, artefact.manifest.dimension)
    finally:
        # Whoever interrupts this does not wait for the batches that are left.
        threads.shutdown(cancel_futures=True)


def _key(model_id: str, text: str) -> bytes:
    # A model id has no NUL, so the two cannot run together.
    return hashlib.sha256(f"{model_id}\0{text}".encode()).digest()


def _read(file: Path, dimension: int) -> tuple[Keys, Vectors]:
    """Return the keys (n, 32) and the vectors (n, dimension), none when the file is of no use."""
    nothing = np.empty((0, _KEY_BYTES), np.uint8), np.empty((0, dimension), np.float32)
    if not file.exists():
        return nothing
    try:
        # Opened here, because the library leaves open what it cannot read.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            keys, vectors = content["keys"], content["vectors"]
    except Exception as error:  # damage shows itself as any of a dozen kinds
        logger.warning("the vectors are computed anew: %s: %s", file, error)
        return nothing
    fits = keys.shape == (len(vectors), _KEY_BYTES) and vectors.shape == (len(keys), dimension)
    if not fits or (keys.dtype, vectors.dtype) != (np.uint8, np.float32):
        logger.warning("the vectors are computed anew: %s holds something else", file)
        return nothing
    return keys, vectors


def _write(file: Path, keys: Keys, vectors: Vectors) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Another run may do the same; either file is whole, and the later one stays.
    unfinished = file.with_name(f".{file.stem}.{os.getpid()}.npz")
    try:
        np.savez(unfinished, keys=keys, vectors=vectors)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
