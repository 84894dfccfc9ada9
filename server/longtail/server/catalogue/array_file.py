"""Named arrays in one file that is mapped: page cache, once for all processes, no private memory.

A page that a process writes to becomes its own, and the file stays as it is. So arrays that seldom
change may be changed in place, and each has room behind it for what is appended.
"""

import json
import mmap
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from longtail.server.catalogue.columns.growing import GrowingArray
from numpy.typing import NDArray

# Of the start of an array, in bytes.
ALIGNMENT = 64
# Room behind an array, in values: a share of it, and some. On the disk it takes nothing.
ROOM_SHARE, ROOM_LEAST = 1 / 8, 512
# The last bytes say where the table of the arrays begins.
_TAIL = struct.Struct("<q")

# An array in parts, one after the other; at least one, which may be empty.
Blocks: TypeAlias = Iterable[NDArray[Any]]
Named: TypeAlias = Iterable[tuple[str, Blocks]]
Arrays: TypeAlias = Mapping[str, GrowingArray[Any]]


def write_arrays(path: Path, arrays: Named) -> None:
    """Write arrays of one dimension, each with a name of its own. Raises OSError without room."""
    table = []
    with path.open("wb") as stream:
        for name, blocks in arrays:
            start = -(-stream.tell() // ALIGNMENT) * ALIGNMENT
            stream.seek(start)
            count, kind = 0, np.dtype(np.uint8)
            for block in blocks:
                stream.write(block.tobytes())
                count, kind = count + len(block), block.dtype
            held = count + int(ROOM_SHARE * count) + ROOM_LEAST
            stream.seek(start + held * kind.itemsize)
            table.append((name, kind.str, start, count, held))
        at = stream.tell()
        stream.write(json.dumps(table).encode())
        stream.write(_TAIL.pack(at))


def read_arrays(path: Path) -> Arrays:
    """Map the arrays of a file that is known to be what was written; by name."""
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    [at] = _TAIL.unpack(mapped[-_TAIL.size :])
    return {
        name: GrowingArray(np.frombuffer(mapped, kind, held, start), count)
        for name, kind, start, count, held in json.loads(mapped[at : -_TAIL.size])
    }


def below(prefix: str, arrays: Named) -> Named:
    """Yield `arrays` under names that begin with a prefix."""
    for name, blocks in arrays:
        yield prefix + name, blocks


def named_below(prefix: str, arrays: Arrays) -> Arrays:
    """Return those of `arrays` whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
