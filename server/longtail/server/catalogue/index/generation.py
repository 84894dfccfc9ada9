"""Generations of the index on disk: a disposable, checksummed cache of what the store holds.

A generation is a folder with the graph, a table of its rows and a manifest, and a prefix of a file
of vectors beside it. It is complete under another name before it takes its own; the two newest are
kept. One that is damaged, or made for something else, is not used: the index is built anew.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.server.catalogue.index.graph import SPACE, Graph, IndexParameters
from longtail.server.catalogue.index.vector_file import SUFFIX, DamagedFileError, VectorFile
from longtail.server.process.durable import flush
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

FORMAT = 1
KEPT = 2
PREFIX, UNFINISHED = "generation-", "unfinished-"
GRAPH_FILE, ROWS_FILE, MANIFEST_FILE = "graph.hnsw", "rows.npy", "manifest.json"

# What is known of each row of a generation.
ROW = np.dtype([("revision", "<i8"), ("representative", "<i8"), ("removed", "?"), ("key", "<u8")])

# Stands for the vector of a row that has none: zeros in the file of vectors.
NO_VECTOR = -1

RowTable = NDArray[np.void]


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
    parameters: IndexParameters
    built_for: str
    table: RowTable
    vectors: VectorFile
    built: Graph | None = None

    @property
    def newest(self) -> int:
        """The highest revision among the rows, 0 when there is none."""
        return int(self.table["revision"][-1]) if len(self.table) else 0

    def load_graph(self, extra_rows: int = 0) -> Graph:
        """Return the graph, with room for `extra_rows` more. The file was checked before."""
        return Graph.load(
            self.parameters,
            self.folder / GRAPH_FILE,
            len(self.table) + extra_rows,
            int(self.table["removed"].sum()),
        )

    def verify(self) -> None:
        """Raise DamagedFileError when a file is not what was written."""
        _verify(self.folder, _read_manifest(self.folder), GRAPH_FILE)
        self.vectors.verify()


def write_generation(
    folder: Path,
    number: int,
    built_for: str,
    graph: Graph,
    table: RowTable,
    vectors: VectorFile,
) -> Generation:
    """Write a generation into `folder` and bring it to the disk; raise OSError without room.

    Whatever goes wrong, no generation of that number is there afterwards.
    """
    unfinished = folder / f"{UNFINISHED}{number:012d}"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        graph.save(unfinished / GRAPH_FILE)
        with (unfinished / ROWS_FILE).open("wb") as stream:
            np.save(stream, table)
        manifest = {
            **_kind(graph.parameters, built_for),
            "number": number,
            "rows": len(table),
            "vectors": vectors.path.name,
            "vectors_sha256": vectors.sha256,
            GRAPH_FILE: _sha256(unfinished / GRAPH_FILE),
            ROWS_FILE: _sha256(unfinished / ROWS_FILE),
        }
        (unfinished / MANIFEST_FILE).write_text(
            json.dumps({**manifest, "checksum": _checksum(manifest)}, indent=1)
        )
        for path in (unfinished / ROWS_FILE, unfinished / MANIFEST_FILE, unfinished):
            flush(path)
        target = folder / f"{PREFIX}{number:012d}"
        os.rename(unfinished, target)
        flush(folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return Generation(number, target, graph.parameters, built_for, table, vectors, graph)


def latest_generation(
    folder: Path, parameters: IndexParameters, built_for: str, *, revision: int
) -> Generation | None:
    """Return the newest generation in `folder` that is whole and of use; None when there is none.

    Of no use is one of another kind, and one that is ahead of `revision`, as after the store was
    put back to an older state. Each that is passed over is logged with its reason.
    """
    for path in reversed(_generations(folder)):
        try:
            generation = read_generation(path, parameters, built_for)
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


def latest_number(folder: Path) -> int:
    """Return the highest number of a generation that is or was begun in `folder`, 0 for none."""
    names = [path.name for path in folder.glob("*-*") if path.is_dir()]
    numbers = [name.removeprefix(PREFIX).removeprefix(UNFINISHED) for name in names]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def read_generation(path: Path, parameters: IndexParameters, built_for: str) -> Generation:
    """Return the generation in the folder `path`; raise DamagedFileError when it is of no use.

    Only the manifest and the table are checked: see Generation.verify.
    """
    manifest = _read_manifest(path)
    wanted = _kind(parameters, built_for)
    other = {key: manifest.get(key) for key in wanted if manifest.get(key) != wanted[key]}
    if other:
        raise DamagedFileError(f"{path.name} is of another kind: {other}")
    # First, because numpy makes what a file tells it to, and fails in as many ways.
    _verify(path, manifest, ROWS_FILE)
    with (path / ROWS_FILE).open("rb") as stream:
        table = np.load(stream)
    rows = int(str(manifest["rows"]))
    if table.dtype != ROW or table.shape != (rows,):
        raise DamagedFileError(f"{path.name}/{ROWS_FILE} is not what was written")
    vectors = VectorFile(
        path.parent / str(manifest["vectors"]),
        parameters.dimension,
        rows,
        str(manifest["vectors_sha256"]),
    )
    return Generation(int(str(manifest["number"])), path, parameters, built_for, table, vectors)


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


def _kind(parameters: IndexParameters, built_for: str) -> dict[str, object]:
    return {
        "format": FORMAT,
        "space": SPACE,
        "built_for": built_for,
        "dimension": parameters.dimension,
        "links": parameters.links,
        "ef_construction": parameters.ef_construction,
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


def _verify(folder: Path, manifest: dict[str, object], name: str) -> None:
    if _sha256(folder / name) != manifest[name]:
        raise DamagedFileError(f"{folder.name}/{name} is not what was written")


def _checksum(manifest: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise DamagedFileError(f"{file.parent.name}/{file.name} is missing") from None
