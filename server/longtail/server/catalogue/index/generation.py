"""Generations of the index on disk: a disposable, checksummed cache of what the store holds.

A generation is a folder with a table of its rows, what else is known of them, a manifest and the
graph, or its name in an engine, and a prefix of a file of vectors beside it. It is complete under
another name before it takes its own; the two newest are kept. One that is damaged, or made for
something else, is not used: the index is built anew.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from longtail.server.catalogue.index.graph import SPACE, Graph, IndexParameters, Matrix, Rows
from longtail.server.catalogue.index.vector_file import SUFFIX, DamagedFileError, VectorFile
from longtail.server.process.durable import flush, sha256_of
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

FORMAT = 2
KEPT = 2
PREFIX, UNFINISHED = "generation-", "unfinished-"
ROWS_FILE, MANIFEST_FILE = "rows.npy", "manifest.json"
# The manifest's key for the names of what is beside the graph.
KEPT_FILES = "kept"

# What is known of each row of a generation.
ROW = np.dtype([("revision", "<i8"), ("representative", "<i8"), ("removed", "?"), ("key", "<u8")])

# Stands for the vector of a row that has none: zeros in the file of vectors.
NO_VECTOR = -1

RowTable = NDArray[np.void]


class Draft(Protocol):
    """A graph that is being built, by one thread."""

    @property
    def built(self) -> Graph | None:
        """The graph itself where it is in memory already, once it is finished."""

    def add(self, rows: Rows, revisions: Rows, vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) as new `rows` (n,), which are those versions of items (n,)."""

    def remove(self, row: int) -> bool:
        """Make a row unfindable; return False where it is left to whoever searches."""

    def finish(self, folder: Path, waiting: Callable[[], None]) -> Mapping[str, str]:
        """Keep the graph, in `folder` or elsewhere; return what the manifest is to say of it.

        It can be searched then. `waiting` is called now and then; what it raises ends the work.
        Raises OSError without room, and EngineError.
        """


class Graphs(Protocol):
    """Where graphs are kept: in memory and files, or in an engine."""

    @property
    def kind(self) -> str | None:
        """What tells an engine's generations from others; None where they are files."""

    def can_extend(self, generation: "Generation") -> bool:
        """Say whether rows can be added to its graph; if not, the next one is built anew."""

    def draft(
        self, target: "Target", number: int, previous: "Generation | None", fresh: int
    ) -> Draft:
        """Begin the graph of generation `number`: that of `previous` and `fresh` rows more."""

    def open(self, generation: "Generation") -> Graph:
        """Return the graph of a generation that was verified or written."""

    def verify(self, generation: "Generation") -> None:
        """Raise DamagedFileError when its graph is known not to be what was written."""

    def prune(self, folder: Path) -> None:
        """Drop what no generation in the folders in `folder` needs."""


@dataclass(frozen=True)
class Target:
    """Where generations go, what they are built for, and where their graphs are kept."""

    folder: Path
    built_for: str
    parameters: IndexParameters
    graphs: Graphs


# Writes what else is known of the rows of a generation, which are those versions (n,), into its
# folder, and returns the names of the files.
Keep = Callable[[Path, Rows], Sequence[str]]


@dataclass(frozen=True)
class Generation:
    """The index as of some revision.

    `table` (n,) says for each row which revision of an item it is; which row stands for its vector
    in the graph, itself or an earlier one with the same vector, NO_VECTOR for one that has none;
    whether it was removed from the graph; and a hash of its vector. `built` is the graph where it
    has just been built: it is in memory already.
    """

    number: int
    folder: Path
    target: Target
    manifest: Mapping[str, object]
    table: RowTable
    vectors: VectorFile
    built: Graph | None = None

    @property
    def parameters(self) -> IndexParameters:
        """What the index was built with."""
        return self.target.parameters

    @property
    def newest(self) -> int:
        """The highest revision among the rows, 0 when there is none."""
        return int(self.table["revision"].max(initial=0))

    @property
    def kept(self) -> Sequence[str]:
        """The names of the files of its rows that it has beside the graph."""
        names = self.manifest[KEPT_FILES]
        return [str(name) for name in names] if isinstance(names, list) else []

    def graph(self) -> Graph:
        """Return the graph. What there is of it was checked before."""
        return self.built or self.target.graphs.open(self)

    def verify(self) -> None:
        """Raise DamagedFileError when a file is not what was written."""
        for name in self.kept:
            self.verify_file(name)
        self.target.graphs.verify(self)
        self.vectors.verify()

    def verify_file(self, name: str) -> None:
        """Raise DamagedFileError when one of its files is not what was written."""
        _verify(self.folder, self.manifest, name)


def write_generation(
    target: Target,
    number: int,
    draft: Draft,
    table: RowTable,
    vectors: VectorFile,
    waiting: Callable[[], None],
    keep: Keep,
) -> Generation:
    """Write a generation and bring it to the disk; raise OSError without room.

    Whatever goes wrong, no generation of that number is there afterwards. `waiting`: see Draft.
    """
    unfinished = target.folder / f"{UNFINISHED}{number:012d}"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        graph = draft.finish(unfinished, waiting)
        with (unfinished / ROWS_FILE).open("wb") as stream:
            np.save(stream, table)
        kept = keep(unfinished, table["revision"])
        files = (ROWS_FILE, *kept)
        manifest = {
            **_kind(target),
            "number": number,
            "rows": len(table),
            "vectors": vectors.path.name,
            "vectors_sha256": vectors.sha256,
            **graph,
            KEPT_FILES: list(kept),
            **{name: sha256_of(unfinished / name) for name in files},
        }
        (unfinished / MANIFEST_FILE).write_text(
            json.dumps({**manifest, "checksum": _checksum(manifest)}, indent=1)
        )
        for path in (
            *(unfinished / name for name in files),
            unfinished / MANIFEST_FILE,
            unfinished,
        ):
            flush(path)
        path = target.folder / f"{PREFIX}{number:012d}"
        os.rename(unfinished, path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    # Others may have mapped it by now, so it stays: what a loss of power takes back is built anew.
    with suppress(OSError):
        flush(target.folder)
    return Generation(number, path, target, manifest, table, vectors, draft.built)


def latest_generation(target: Target, *, revision: int) -> Generation | None:
    """Return the newest generation of `target` that is whole and of use; None when there is none.

    Of no use is one of another kind, and one that is ahead of `revision`, as after the store was
    put back to an older state. Each that is passed over is logged with its reason.
    """
    for path in reversed(_generations(target.folder)):
        try:
            generation = read_generation(path, target)
            if generation.newest > revision:
                raise DamagedFileError(
                    f"{path.name} is at revision {generation.newest}, ahead of {revision}"
                )
            generation.verify()
        except (DamagedFileError, OSError) as error:
            logger.warning("generation not used reason=%s", error)
            continue
        return generation
    return None


def newest_generation(target: Target) -> Generation | None:
    """Return the newest generation of `target`, not verified; None when there is none of use."""
    try:
        return read_generation(_generations(target.folder)[-1], target)
    except (IndexError, DamagedFileError, OSError):
        return None


def mark_of(target: Target) -> str:
    """Return in short what generations of `target` have to be built for to be of use."""
    return _checksum(_kind(target))[:16]


def finished_number(folder: Path) -> int:
    """Return the highest number of a generation that is complete in `folder`, 0 for none."""
    return max((int(path.name.removeprefix(PREFIX)) for path in _generations(folder)), default=0)


def indexed_rows(folder: Path, identity: str) -> int:
    """Return the most rows of a generation for the store `identity`, of any encoder in `folder`."""
    rows = 0
    for path in folder.glob(f"*/{PREFIX}*"):
        try:
            manifest = _read_manifest(path)
        except DamagedFileError:
            continue
        if str(manifest["built_for"]).endswith(f" {identity}"):
            rows = max(rows, int(str(manifest["rows"])))
    return rows


def said_of_graphs(folder: Path, key: str) -> set[str]:
    """Return what the manifests of all generations in the folders in `folder` say under `key`."""
    said = set()
    for path in folder.glob(f"*/{PREFIX}*"):
        with suppress(DamagedFileError):
            said.add(str(_read_manifest(path).get(key)))
    return said


def latest_number(folder: Path) -> int:
    """Return the highest number of a generation that is or was begun in `folder`, 0 for none."""
    names = [path.name for path in folder.glob("*-*") if path.is_dir()]
    numbers = [name.removeprefix(PREFIX).removeprefix(UNFINISHED) for name in names]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def read_generation(path: Path, target: Target) -> Generation:
    """Return the generation in the folder `path`; raise DamagedFileError when it is of no use.

    Only the manifest and the table are checked: see Generation.verify.
    """
    manifest = _read_manifest(path)
    wanted = _kind(target)
    other = {key: manifest.get(key) for key in wanted if manifest.get(key) != wanted[key]}
    if other:
        raise DamagedFileError(f"{path.name} is of another kind: {other}")
    # First, because numpy makes what a file tells it to, and fails in as many ways.
    _verify(path, manifest, ROWS_FILE)
    table = np.load(path / ROWS_FILE, mmap_mode="r")
    rows = int(str(manifest["rows"]))
    if table.dtype != ROW or table.shape != (rows,):
        raise DamagedFileError(f"{path.name}/{ROWS_FILE} is not what was written")
    vectors = VectorFile(
        path.parent / str(manifest["vectors"]),
        target.parameters.dimension,
        rows,
        str(manifest["vectors_sha256"]),
    )
    return Generation(int(str(manifest["number"])), path, target, manifest, table, vectors)


def prune(folder: Path) -> None:
    """Remove what is unfinished, all but the newest generations, and vectors of no generation."""
    paths = _generations(folder)
    for path in [*folder.glob(f"{UNFINISHED}*"), *paths[:-KEPT]]:
        shutil.rmtree(path, ignore_errors=True)
    used = set(_vector_names(paths[-KEPT:]))
    for path in folder.glob(f"*{SUFFIX}"):
        if path.name not in used:
            path.unlink(missing_ok=True)


def _generations(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(f"{PREFIX}*")
        if path.name.removeprefix(PREFIX).isdecimal() and path.is_dir()
    )


def _vector_names(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        try:
            yield str(_read_manifest(path)["vectors"])
        except DamagedFileError:
            continue


def _kind(target: Target) -> dict[str, object]:
    return {
        "format": FORMAT,
        "space": SPACE,
        "engine": target.graphs.kind,
        "built_for": target.built_for,
        "dimension": target.parameters.dimension,
        "links": target.parameters.links,
        "ef_construction": target.parameters.ef_construction,
    }


def _read_manifest(folder: Path) -> dict[str, object]:
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
        checksum = manifest.pop("checksum")
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFileError(f"{folder.name}/{MANIFEST_FILE} cannot be read: {error!r}") from None
    if checksum != _checksum(manifest):
        raise DamagedFileError(f"{folder.name}/{MANIFEST_FILE} is not what was written")
    return dict(manifest)


def _verify(folder: Path, manifest: Mapping[str, object], name: str) -> None:
    try:
        digest = sha256_of(folder / name)
    except FileNotFoundError:
        raise DamagedFileError(f"{folder.name}/{name} is missing") from None
    if digest != manifest[name]:
        raise DamagedFileError(f"{folder.name}/{name} is not what was written")


def _checksum(manifest: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
