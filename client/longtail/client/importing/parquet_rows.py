"""Reads rows of Parquet."""

from contextlib import ExitStack
from typing import Any

from longtail.client.importing.content import Content
from longtail.client.importing.rows import FileError, Row, Rows, Source, distinct, naming

BATCH = 1_024


def parquet(content: Content) -> Source:
    """Return the rows of a Parquet file; FileError when it is none."""
    # Takes a tenth of a second, which the other formats need not pay.
    from pyarrow import ArrowException
    from pyarrow import parquet as arrow

    def opened() -> Any:  # noqa: ANN401 (pyarrow has no types)
        raw = content.seekable
        if raw is None:
            raise FileError("a Parquet file is compressed in itself: give it as it is")
        raw.seek(0)
        try:
            return arrow.ParquetFile(raw)
        except (ArrowException, OSError) as error:
            raise FileError(f"not a Parquet file: {error}") from error

    with opened() as file:
        names, total = file.schema_arrow.names, file.metadata.num_rows
    columns = distinct(names)
    named = [at for at, name in enumerate(columns) if name]
    done = 0

    def rows() -> Rows:
        nonlocal done
        done = 0
        with ExitStack() as stack:
            batches = stack.enter_context(opened()).iter_batches(batch_size=BATCH)
            while True:
                try:
                    batch = next(batches, None)
                    values = []
                    if batch is not None:
                        values = plain(batch.rename_columns(columns).select(named)).to_pylist()
                # Arrow's own, and Python's for numbers and texts that are none.
                except (ArrowException, ArithmeticError, ValueError, OSError) as error:
                    raise FileError(f"damaged Parquet file after row {done}: {error}") from error
                if batch is None:
                    return
                for row in values:
                    done += 1
                    yield Row(done, row)

    return Source(
        tuple(columns[at] for at in named),
        rows,
        lambda: done / total if total else 1.0,
        typed=True,
        remarks=tuple(naming(names, columns)),
    )


def plain(batch: Any) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return a batch of types that Python knows: nanoseconds are cut off, half floats are floats.

    They may be anywhere in lists and structs.
    """
    for at, each in enumerate(batch.schema):
        known = _known(each.type)
        if known != each.type:
            column = batch.column(at).cast(known, safe=False)
            batch = batch.set_column(at, each.with_type(known), column)
    return batch


def _known(kind: Any) -> Any:  # noqa: ANN401 (pyarrow has no types)
    import pyarrow
    from pyarrow import types

    if types.is_timestamp(kind) and kind.unit == "ns":
        return pyarrow.timestamp("us", kind.tz)
    if types.is_duration(kind) and kind.unit == "ns":
        return pyarrow.duration("us")
    if types.is_time64(kind) and kind.unit == "ns":
        return pyarrow.time64("us")
    if types.is_float16(kind):
        return pyarrow.float32()
    if types.is_list(kind) or types.is_large_list(kind):
        return pyarrow.list_(kind.value_field.with_type(_known(kind.value_type)))
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return pyarrow.struct([each.with_type(_known(each.type)) for each in fields])
    return kind
