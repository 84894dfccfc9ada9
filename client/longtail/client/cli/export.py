"""`longtail items export`: the whole catalogue as a file that `longtail import items` takes."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from gzip import GzipFile
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Annotated, TextIO, cast

import typer
from longtail.client.calls.call import STREAM_SECONDS
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output
from longtail.client.cli.progress import progress_bar
from longtail.client.importing.columns import OUTPUT_ONLY
from longtail.client.importing.rows import FileError
from longtail.v1.item_pb2 import Item

STANDARD_OUTPUT = Path("-")
# Higher levels take several times as long for a few percent.
GZIP_LEVEL = 6
SHOWN_EVERY = 500


def export_items(
    file: Annotated[
        Path, typer.Argument(help="A .jsonl or .jsonl.gz file, or - for standard output.")
    ],
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = STREAM_SECONDS,
    as_json: options.Json = False,
) -> None:
    """Write every item, one JSON object a line, in the order of the ids.

    A vector that was given with an item is with it, in base64; what the encoder made is not, nor
    when the item was written. So equal catalogues are equal files. The file appears when it is
    complete. `longtail import items` reads it back and changes nothing.
    """
    if as_json and file == STANDARD_OUTPUT:
        raise typer.BadParameter("--json reports on standard output, where the items go")
    with LongtailClient(address, timeout=min(timeout, options.TIMEOUT)) as client:
        # A hint for the bar; the export may meet more or fewer.
        expected = client.catalog_stats().item_count
        count = 0
        with _opened(file) as lines, progress_bar("items") as show:
            for item in client.export_items(timeout=timeout):
                lines.write(_line(item) + "\n")
                count += 1
                if count % SHOWN_EVERY == 0:
                    show(min(count / max(expected, 1), 1.0), count)
            show(1.0, count)
    if as_json:
        output.print_json({"exported": count})
    elif file != STANDARD_OUTPUT:
        output.console().print(f"exported {count:,} items to {file}", markup=False, soft_wrap=True)


def _line(item: Item) -> str:
    values = output.message_as_dict(item)
    for name in OUTPUT_ONLY:
        values.pop(name, None)
    for name in ("vector", "extra_vectors"):
        if not getattr(item, name):
            del values[name]
    if "attributes" in values:
        # A Struct has no order, and so each reading another.
        values["attributes"] = json.loads(json.dumps(values["attributes"], sort_keys=True))
    return json.dumps(values, ensure_ascii=False)


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    if file == STANDARD_OUTPUT:
        # Whatever the terminal's encoding is: JSON is UTF-8.
        text = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        try:
            yield text
        finally:
            text.detach()
        return
    if not file.name.endswith((".jsonl", ".jsonl.gz")):
        raise FileError(f"{file}: the extension must be .jsonl or .jsonl.gz")
    unfinished = file.with_name(f"{file.name}.part")
    try:
        try:
            with _text_file(unfinished, compressed=file.suffix == ".gz") as lines:
                yield lines
            os.replace(unfinished, file)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"{file}: {error.strerror or error}") from error


@contextmanager
def _text_file(path: Path, compressed: bool) -> Iterator[TextIO]:
    with ExitStack() as stack:
        binary: IO[bytes] = stack.enter_context(path.open("wb"))
        if compressed:
            # With neither a name nor the time in it.
            packed = GzipFile("", "wb", GZIP_LEVEL, binary, mtime=0)
            binary = cast(IO[bytes], stack.enter_context(packed))
        yield stack.enter_context(TextIOWrapper(binary, encoding="utf-8", newline=""))
