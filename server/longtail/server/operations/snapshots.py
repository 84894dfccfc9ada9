"""Snapshots: copies of the store on disk, each with a manifest that tells a damaged one.

A snapshot is a folder, <id>/ in that of all, that holds the database as one file and its manifest.
It is made under another name, flushed and renamed, so that one with its name is whole. One that is
written anew takes the place of the former in two steps, the second of which is made up for.
"""

import errno
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from grpc import StatusCode
from longtail.runtime.errors import FailedPrecondition, NotFound, ServiceError, StorageFull
from longtail.server.process.durable import flush
from longtail.server.store.clock import now
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import Counts
from longtail.server.store.sqlite.check import check_database

logger = logging.getLogger(__name__)

FORMAT = 1
MANIFEST, UNFINISHED = "manifest.json", ".part"
# Whole, and about to take the place of the one without this.
REWRITTEN = ".rewritten"
BLOCK_BYTES = 4 * 2**20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Count = Callable[[int, int], None]


class DamagedSnapshot(ServiceError):
    """A snapshot is not what was written."""

    code = StatusCode.DATA_LOSS
    reason = "SNAPSHOT_DAMAGED"


@dataclass(frozen=True)
class Snapshot:
    """What the manifest says; `sha256` and `size` (bytes) are of the database file."""

    id: str
    sha256: str
    size: int
    revision: int
    model_id: str
    dimension: int
    items: int
    interactions: int
    create_time: int
    format: int = FORMAT


@dataclass(frozen=True)
class SnapshotLimits:
    """How many snapshots there may be, and how many bytes they may take together."""

    count: int
    size: int


class Snapshots:
    """The snapshots under one folder. One thread makes them at a time, any number read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, store: RecordStore, count: Count) -> Snapshot:
        """Copy the store; `count` gets (done, total) in bytes, copied and read back.

        Raises StorageFull when there is no room; nothing is left of the attempt.
        """
        self.remove_unfinished()
        number = max((_number(path) for path in self._finished()), default=0) + 1
        unfinished = self._folder / f"{number:06d}{UNFINISHED}"
        try:
            with _room():
                unfinished.mkdir(parents=True)
                copy = unfinished / DATABASE
                store.backup(copy, lambda done, total: count(done, 2 * total))
                snapshot = _describe(copy, number, count)
                (unfinished / MANIFEST).write_bytes(_manifest(snapshot))
                flush(unfinished / MANIFEST)
                flush(unfinished)
                unfinished.rename(self._folder / snapshot.id)
                flush(self._folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        logger.info("snapshot made id=%s bytes=%d", snapshot.id, snapshot.size)
        return snapshot

    def rewrite(self, snapshot_id: str, change: Callable[[Path], object]) -> None:
        """Have `change` done to a copy of a snapshot's database, which then takes its place.

        Raises NotFound, DamagedSnapshot and StorageFull; the snapshot is as it was then.
        """
        path = self.path(snapshot_id)
        snapshot = _read_manifest(path)
        unfinished = self._folder / f"{snapshot_id}{UNFINISHED}"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            with _room():
                unfinished.mkdir()
                copy = unfinished / DATABASE
                shutil.copyfile(path / DATABASE, copy)
                # What is damaged must not be given a checksum that agrees.
                if _digest(copy, _uncounted)[1] != snapshot.sha256:
                    raise DamagedSnapshot(f"{DATABASE} is not what was written")
                change(copy)
                flush(copy)
                size, digest = _digest(copy, _uncounted)
                counts = _counts(copy)
                written = replace(
                    snapshot, size=size, sha256=digest, interactions=counts.interactions
                )
                (unfinished / MANIFEST).write_bytes(_manifest(written))
                flush(unfinished / MANIFEST)
                flush(unfinished)
                # It may have been deleted meanwhile.
                self.path(snapshot_id)
                unfinished.rename(self._folder / f"{snapshot_id}{REWRITTEN}")
                flush(self._folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        self._replace(snapshot_id)
        logger.info("snapshot written anew id=%s bytes=%d", snapshot.id, written.size)

    def check_room(self, limits: SnapshotLimits, store: RecordStore, waiting: int) -> None:
        """Raise FailedPrecondition when there is no room for one more beside those that wait."""
        held = self.ids()
        if len(held) + waiting >= limits.count:
            raise FailedPrecondition(
                f"there are {len(held)} snapshots and {waiting} to be made, of {limits.count} at "
                "most (LONGTAIL_SNAPSHOTS): delete one first"
            )
        taken = sum(_size(self._folder / name / DATABASE) for name in held)
        coming = (1 + waiting) * store.size()
        if taken + coming > limits.size:
            raise FailedPrecondition(
                f"snapshots take {taken:,} bytes, and with {coming:,} more they would take over "
                f"{limits.size:,} (LONGTAIL_SNAPSHOTS_GB): delete one first"
            )

    def delete(self, snapshot_id: str) -> int:
        """Delete a snapshot, also a damaged one; return the bytes it took. Raises NotFound."""
        path = self.path(snapshot_id)
        size = _size(path / DATABASE)
        # Under a name that is swept up if what follows does not come to its end.
        gone = path.with_name(f"{snapshot_id}.deleted{UNFINISHED}")
        path.rename(gone)
        flush(self._folder)
        shutil.rmtree(gone)
        logger.info("snapshot deleted id=%s bytes=%d", snapshot_id, size)
        return size

    def ids(self) -> list[str]:
        """Return the names of the snapshots, damaged ones too, in the order of their making."""
        return [path.name for path in sorted(self._finished(), key=_number)]

    def all(self) -> list[Snapshot]:
        """Return the snapshots whose manifests can be read, the latest first."""
        found = []
        for path in sorted(self._finished(), key=_number, reverse=True):
            try:
                found.append(_read_manifest(path))
            except DamagedSnapshot as error:
                logger.error("snapshot damaged id=%s error=%s", path.name, error)
        return found

    def path(self, snapshot_id: str) -> Path:
        """Return the folder of a snapshot. Raises NotFound."""
        if snapshot_id not in {path.name for path in self._finished()}:
            raise NotFound("snapshot", snapshot_id)
        return self._folder / snapshot_id

    def verify(self, snapshot_id: str, count: Count) -> Snapshot:
        """Read a snapshot whole and return its manifest; `count` gets (done, total) in bytes.

        Raises NotFound, and DamagedSnapshot with what is wrong.
        """
        path = self.path(snapshot_id)
        snapshot = _read_manifest(path)
        try:
            size, digest = _digest(path / DATABASE, count)
        except OSError as error:
            raise DamagedSnapshot(f"{DATABASE} cannot be read: {error.strerror}") from error
        if (size, digest) != (snapshot.size, snapshot.sha256):
            raise DamagedSnapshot(f"{DATABASE} is not what was written: its checksum differs")
        if problems := check_database(path / DATABASE):
            raise DamagedSnapshot("; ".join(problems))
        return snapshot

    def remove_unfinished(self) -> None:
        """Remove what a crash left half-made, and have what was written anew take its place."""
        for path in self._folder.glob(f"*{REWRITTEN}"):
            self._replace(path.name.removesuffix(REWRITTEN))
        for path in self._folder.glob(f"*{UNFINISHED}"):
            logger.warning("half-made snapshot removed path=%s", path)
            shutil.rmtree(path, ignore_errors=True)

    def _replace(self, snapshot_id: str) -> None:
        former = self._folder / snapshot_id
        if former.exists():
            gone = self._folder / f"{snapshot_id}{UNFINISHED}"
            former.rename(gone)
            shutil.rmtree(gone)
        (self._folder / f"{snapshot_id}{REWRITTEN}").rename(former)
        flush(self._folder)

    def _finished(self) -> list[Path]:
        found = self._folder.glob("[0-9]*-*")
        return [
            path
            for path in found
            if path.name.split("-")[0].isdecimal() and path.is_dir() and not path.suffix
        ]


def _describe(copy: Path, number: int, count: Count) -> Snapshot:
    store = RecordStore.open(copy)
    try:
        counts, revision = store.counts(), store.changes.position().revision
        encoder = store.encoders.current()
    finally:
        store.close()
    size, digest = _digest(copy, lambda done, total: count(total + done, 2 * total))
    moment = now()
    # The number comes first: the clock may be set back.
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment // 1_000_000))
    return Snapshot(
        id=f"{number:06d}-{stamp}-{revision}",
        sha256=digest,
        size=size,
        revision=revision,
        model_id="" if encoder is None else encoder.binding.model_id,
        dimension=0 if encoder is None else encoder.binding.dimension,
        items=counts.items,
        interactions=counts.interactions,
        create_time=moment,
    )


def _manifest(snapshot: Snapshot) -> bytes:
    values = asdict(snapshot)
    checksum = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return json.dumps({"snapshot": values, "checksum": checksum}, sort_keys=True).encode()


def _read_manifest(path: Path) -> Snapshot:
    try:
        written = (path / MANIFEST).read_bytes()
        snapshot = Snapshot(**json.loads(written)["snapshot"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedSnapshot(f"{MANIFEST} cannot be read: {error}") from error
    # Compared as bytes, so that no flipped one is passed over.
    if written != _manifest(snapshot) or snapshot.id != path.name:
        raise DamagedSnapshot(f"{MANIFEST} is not what was written: its checksum differs")
    if snapshot.format != FORMAT:
        raise DamagedSnapshot(f"{MANIFEST} has the format {snapshot.format}, not {FORMAT}")
    return snapshot


def _digest(path: Path, count: Count) -> tuple[int, str]:
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            count(done, total)
    return done, digest.hexdigest()


def _counts(copy: Path) -> Counts:
    with closing(RecordStore.open(copy)) as store:
        return store.counts()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _uncounted(_done: int, _total: int) -> None:
    return None


def _number(path: Path) -> int:
    return int(path.name.split("-")[0])


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise StorageFull("the disk is full: no snapshot was made") from error
