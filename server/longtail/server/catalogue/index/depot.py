"""Generations in object storage, from which a server that joins starts rather than build its own.

There each is a folder in that of what it is of, named by its newest revision and by its kind. Its
manifest comes last, so that one without is not there. Who takes one over copies it to its own disk
first: what is mapped is never on a network.
"""

import logging
import os
import shutil
import threading
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import IO, Any

from longtail.server.catalogue.index.generation import (
    KEPT,
    MANIFEST_FILE,
    PREFIX,
    UNFINISHED,
    Generation,
    Target,
    finished_number,
    latest_number,
    mark_of,
    newest_generation,
)
from longtail.server.catalogue.index.vector_file import SUFFIX
from longtail.server.process.durable import flush

logger = logging.getLogger(__name__)

BLOCK_BYTES = 8 * 2**20
# How folders of encoders and of spaces begin.
OURS = ("encoder-", "space-")


class DepotClosed(Exception):
    """What was under way was broken off, because the process ends."""


class Depot:
    """The generations of one store at `url`, which fsspec knows.

    Raises ImportError where the library of its scheme is missing, ValueError where there is none.
    Its methods raise what that library does.
    """

    def __init__(self, url: str) -> None:
        # Loaded only where there is a depot.
        from fsspec.core import url_to_fs

        # Others write there too.
        self._files, self._root = url_to_fs(url, use_listings_cache=False)
        # By folder: the number here of the newest generation when it was last seen to be there.
        self._kept: dict[str, int] = {}
        self._closed = threading.Event()

    def close(self) -> None:
        """Break off what is under way."""
        self._closed.set()

    def keep(self, targets: Sequence[Target], revision: int) -> None:
        """Have the newest generation of each target there, and nothing that nobody needs any more.

        For one process at a time, of a store that is at `revision`.
        """
        numbers = {target.folder.name: finished_number(target.folder) for target in targets}
        if numbers == self._kept:
            return
        for target in targets:
            self._put(target, revision)
        for folder in self._folders(self._root):
            if folder.name.startswith(OURS) and folder.name not in numbers:
                self._files.rm(str(folder), recursive=True)
        self._kept = numbers

    def fetch(self, target: Target, revision: int) -> bool:
        """Copy the newest generation that is of use at `revision` here; return whether there is.

        It is not verified.
        """
        found = [name for name in self._whole(target) if _revision(name) <= revision]
        if not found:
            return False
        coming = target.folder / f"{UNFINISHED}fetched-{uuid.uuid4().hex}"
        coming.mkdir(parents=True)
        try:
            for path in self._files.ls(f"{self._folder(target)}/{found[-1]}", detail=False):
                file = coming / PurePosixPath(path).name
                with self._files.open(path, "rb") as source, file.open("wb") as copy:
                    self._copy(source, copy)
                flush(file)
            for file in coming.glob(f"*{SUFFIX}"):
                # One that is mapped is not written over.
                file.replace(target.folder / file.name)
            number = latest_number(target.folder) + 1
            os.rename(coming, target.folder / f"{PREFIX}{number:012d}")
        finally:
            shutil.rmtree(coming, ignore_errors=True)
        return True

    def _put(self, target: Target, revision: int) -> None:
        generation = newest_generation(target)
        if generation is None:
            return
        # What is ahead is of a state of the store that was taken back.
        whole = [name for name in self._whole(target) if _revision(name) <= revision]
        if not whole or _revision(whole[-1]) < generation.newest:
            whole.append(f"{generation.newest:020d}-{mark_of(target)}")
            self._upload(generation, f"{self._folder(target)}/{whole[-1]}")
        for folder in self._folders(self._folder(target)):
            if folder.name not in whole[-KEPT:]:
                self._files.rm(str(folder), recursive=True)

    def _upload(self, generation: Generation, place: str) -> None:
        self._files.makedirs(place, exist_ok=True)
        files = [path for path in generation.folder.iterdir() if path.name != MANIFEST_FILE]
        with ExitStack() as held:
            sources = [
                (path, held.enter_context(path.open("rb")))
                for path in (generation.vectors.path, *files, generation.folder / MANIFEST_FILE)
            ]
            # From here on it may be pruned: what is open stays.
            for path, source in sources:
                # Behind the vectors may be those of a later generation.
                left = generation.vectors.size if path == generation.vectors.path else None
                with self._files.open(f"{place}/{path.name}", "wb") as copy:
                    self._copy(source, copy, left)
        logger.info("generation put into the depot rows=%d", len(generation.table))

    def _copy(self, source: IO[bytes], target: IO[bytes], left: int | None = None) -> None:
        while block := source.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left)):
            if self._closed.is_set():
                raise DepotClosed
            target.write(block)
            if left is not None:
                left -= len(block)

    def _whole(self, target: Target) -> list[str]:
        """Return the names of those of the kind that are complete, the newest last."""
        names = sorted(
            folder.name
            for folder in self._folders(self._folder(target))
            if folder.name.endswith(f"-{mark_of(target)}")
        )
        place = self._folder(target)
        return [name for name in names if self._files.exists(f"{place}/{name}/{MANIFEST_FILE}")]

    def _folder(self, target: Target) -> str:
        return f"{self._root}/{target.folder.name}"

    def _folders(self, place: str) -> list[PurePosixPath]:
        try:
            found: list[dict[str, Any]] = self._files.ls(place, detail=True)
        except FileNotFoundError:
            return []
        return [PurePosixPath(each["name"]) for each in found if each["type"] == "directory"]


def _revision(name: str) -> int:
    return int(name.partition("-")[0])
