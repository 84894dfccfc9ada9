"""What the commands print: tables for people on standard output, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from longtail.client.calls.attributes import whole_numbers
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def console() -> Console:
    """Return a console on the standard output of this moment, without guesses at colouring."""
    return Console(highlight=False)


def message_as_dict(message: Message) -> dict[str, Any]:
    """Return a message as JSON values under the names of the contract, zeros included."""
    values: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    _keep_whole(message, values)
    return values


def print_json(value: object) -> None:
    """Write one JSON document to standard output, as one line."""
    # JSON has a way of its own to write what a terminal cannot.
    whole = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, ensure_ascii=not whole) + "\n")


def complain(message: str) -> None:
    """Write a message to standard error, as one line."""
    one_line = " ".join(message.split())
    sys.stderr.write(f"longtail: {one_line}\n")


def print_message(message: Message) -> None:
    """Write a message as JSON to standard output."""
    print_json(message_as_dict(message))


def table(columns: Sequence[tuple[str, bool]], *blocks: Sequence[Sequence[str]]) -> Table:
    """Return a table of blocks of rows with lines between them.

    A column is (heading, whether it holds numbers).
    """
    result = Table()
    for heading, numeric in columns:
        # Headings too may come from the caller, and look like rich's own markup.
        justify: Literal["left", "right"] = "right" if numeric else "left"
        result.add_column(escape(heading), justify=justify, overflow="fold")
    for rows in blocks:
        result.add_section()
        for row in rows:
            # Titles come from catalogues and may look like rich's own markup.
            result.add_row(*map(escape, row))
    return result


def pairs(rows: Sequence[tuple[str, str]]) -> Table:
    """Return a table of names and values without a frame."""
    result = Table(box=None, show_header=False, pad_edge=False)
    result.add_column(style="dim")
    result.add_column(overflow="fold")
    for name, value in rows:
        result.add_row(name, escape(value))
    return result


def number(value: float) -> str:
    """Return a number for people: six digits, or all that stand before the point."""
    return f"{value:.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:g}"


def milliseconds(duration: Duration) -> str:
    """Return a duration for people."""
    return f"{duration.ToNanoseconds() / 1e6:.2f} ms"


def moment(timestamp: Timestamp) -> str:
    """Return a time for people."""
    return timestamp.ToJsonString()


def _keep_whole(message: Message, values: dict[str, Any]) -> None:
    """Put the whole numbers of every Struct within a message into its `values` as int."""
    if isinstance(message, any_pb2.Any):
        # It is shown as what it holds, which is an error's detail.
        return
    for field, held in message.ListFields():
        shown = values[field.name]
        if isinstance(held, Struct):
            values[field.name] = whole_numbers(shown)
        elif isinstance(shown, dict):
            _keep_whole(held, shown)
        elif isinstance(shown, list) and field.message_type is not None:
            for each, its in zip(held, shown, strict=True):
                _keep_whole(each, its)


def enum_word(name: str, prefix: str) -> str:
    """Return `long tail` of `REASON_LONG_TAIL`."""
    return name.removeprefix(prefix).lower().replace("_", " ")
