"""The bytes that a name leads to, unpacked: a file, standard input or a URL.

They are read more than once, as a column has one type over the whole file: what can be read once
only is copied to a temporary file first.
"""

import bz2
import gzip
import lzma
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

import zstandard
from longtail.client.importing.rows import FileError

STANDARD_INPUT = "-"
PARQUET = b"PAR1"
# The bit that an archive sets for such a file.
ENCRYPTED = 1
# Files of an archive that are named.
NAMED = 5
_GZIP, _ZSTANDARD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_BZIP2, _XZ = b"BZh", b"\xfd7zXZ\x00"
_PACKINGS = (_GZIP, _ZSTANDARD, _ZIP, _BZIP2, _XZ)
# What a Mac puts into archives beside the files.
_HIDDEN = ("__MACOSX/", ".")
_DAMAGED = (
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zstandard.ZstdError,
    # What zipfile says of a method that damage asks for.
    NotImplementedError,
)


class Content:
    """The unpacked bytes of a file, that can be opened again and again."""

    def __init__(self, raw: BinaryIO, size: int, packing: bytes) -> None:
        self._raw = raw
        self._size = size
        self._packing = packing

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the bytes at their beginning; only one opening is read at a time.

        FileError when they are damaged, or fail to be read.
        """
        self._raw.seek(0)
        with ExitStack() as stack, _file_errors():
            yield self._unpacked(stack)

    def fraction_read(self) -> float:
        """Return how much has been read since it was opened, 0 to 1."""
        # The position in the file itself, packed or not, is what the size can be compared with.
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0

    @property
    def seekable(self) -> BinaryIO | None:
        """The bytes where they are packed in nothing, for who reads them in an order of its own."""
        return None if self._packing else self._raw

    def _unpacked(self, stack: ExitStack) -> BinaryIO:
        if self._packing == _GZIP:
            return cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=self._raw)))
        if self._packing == _ZSTANDARD:
            reader = zstandard.ZstdDecompressor().stream_reader(
                self._raw, read_across_frames=True, closefd=False
            )
            return cast(BinaryIO, stack.enter_context(reader))
        if self._packing == _BZIP2:
            return cast(BinaryIO, stack.enter_context(bz2.BZ2File(self._raw)))
        if self._packing == _XZ:
            return cast(BinaryIO, stack.enter_context(lzma.LZMAFile(self._raw)))
        if self._packing == _ZIP:
            return _only_file(stack.enter_context(zipfile.ZipFile(self._raw)), stack)
        return self._raw


def _only_file(archive: zipfile.ZipFile, stack: ExitStack) -> BinaryIO:
    names = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.filename == "[Content_Types].xml" for info in names):
        raise FileError("a spreadsheet: save it as CSV")
    names = [info for info in names if not info.filename.startswith(_HIDDEN)]
    if len(names) != 1:
        held = ", ".join(info.filename for info in names[:NAMED]) + ", ..." * (len(names) > NAMED)
        raise FileError(f"the archive holds {len(names)} files, not one: {held or 'none'}")
    if names[0].flag_bits & ENCRYPTED:
        raise FileError("the archive is encrypted")
    return cast(BinaryIO, stack.enter_context(archive.open(names[0])))


@contextmanager
def content_of(name: str) -> Iterator[Content]:
    """Open what `name` says: a path, a URL that fsspec knows, or "-" for standard input.

    FileError when it cannot be read.
    """
    with ExitStack() as stack:
        # What is done with the content may fail for reasons of its own.
        with _file_errors():
            content = _content(name, stack)
        yield content


def _content(name: str, stack: ExitStack) -> Content:
    raw = _raw(name, stack)
    if not raw.seekable():
        copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (it is one)
        shutil.copyfileobj(raw, copy)
        raw = cast(BinaryIO, copy)
    size = raw.seek(0, 2)
    raw.seek(0)
    begins = raw.read(max(map(len, _PACKINGS)))
    packing = next((each for each in _PACKINGS if begins.startswith(each)), b"")
    return Content(raw, size, packing)


def _raw(name: str, stack: ExitStack) -> BinaryIO:
    if name == STANDARD_INPUT:
        return sys.stdin.buffer
    if "://" not in name:
        return stack.enter_context(Path(name).open("rb"))
    try:
        import fsspec
    except ImportError:
        raise FileError("a URL needs the package fsspec, which is not installed") from None
    try:
        opened: IO[bytes] = stack.enter_context(fsspec.open(name, "rb"))
    except (ValueError, ImportError) as error:
        raise FileError(str(error)) from error
    return cast(BinaryIO, opened)


@contextmanager
def _file_errors() -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise FileError(f"damaged: {error}") from error
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
