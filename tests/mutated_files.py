"""Files that something happened to, and what an import reads of them."""

import bz2
import csv
import gzip
import io
import json
import random
from contextlib import suppress
from pathlib import Path

import pyarrow
from longtail.client.importing.rows import FileError
from pyarrow import parquet

from tests.unit.client.importing.reading import interactions_in, items_in

PIECES = [b'"', b"\0", b"\n", b"\r", b",", b"|", b"::", b"[", b"{", b"}", b"NaN", b"\xef\xbb\xbf"]


def rows() -> list[dict[str, str]]:
    titles = ["Bear", "Käse", "两个", 'a "quoted" b', "x;y", "two\nlines"]
    return [
        {
            "item_id": str(at),
            "user_id": f"u{at % 5}",
            "title": titles[at % len(titles)],
            "year": str(1900 + at),
            "price": ["3.50", "", "x"][at % 3],
            "timestamp": str(1_609_459_200 + at),
        }
        for at in range(60)
    ]


def in_csv(delimiter: str) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, rows()[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows())
    return file.getvalue().encode()


def in_parquet() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows()), file)
    return file.getvalue()


def sound() -> list[bytes]:
    text = in_csv(",")
    return [
        text,
        in_csv(";"),
        in_csv("\t"),
        "".join(json.dumps(row) + "\n" for row in rows()).encode(),
        json.dumps(rows()).encode(),
        in_parquet(),
        gzip.compress(text),
        bz2.compress(text),
        # As Python writes rows, and laid out freely.
        "".join(f"{row}\n" for row in rows()).encode(),
        "".join(json.dumps(row, indent=1) for row in rows()).encode(),
        b"sep=,\n" + text.replace(b"Bear", b'""Bear""'),
        # In tabs, with quotes that are letters.
        in_csv("\t").replace(b'"', b"").replace(b"Bear", b'"Bear" and "'),
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()).encode("utf-16"),
        text.decode().encode("utf-16"),
        text.decode().encode("gb18030"),
    ]


def mutated(content: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 4)):
        at, other = (draw.randint(0, len(content)) for _ in range(2))
        cut, put = draw.choice(
            [
                (len(content), b""),
                (draw.randint(1, 40), b""),
                (0, draw.choice(PIECES)),
                (0, draw.randbytes(draw.randint(1, 8))),
                (0, content[other : other + 200]),
            ]
        )
        content = content[:at] + put + content[at + cut :]
    return content


def read_mutated(folder: Path, files: int) -> int:
    """Return how many of `files` mutated ones were read; assert that each row was accounted for."""
    draw, whole = random.Random(7), sound()
    path, read = folder / "file", 0
    for _ in range(files):
        content = mutated(draw.choice(whole), draw)
        path.write_bytes(content)
        for messages_in in (items_in, interactions_in):
            with suppress(FileError):
                messages, report = messages_in(path)
                counted = len(messages) + report.duplicates + report.dropped_count
                assert report.rows_read == counted, content
                read += 1
    return read
