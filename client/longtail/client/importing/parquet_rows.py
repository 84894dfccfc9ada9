"""Reads rows of Parquet."""

from contextlib import ExitStack
from typing import Any

from longtail.client.importing.content import Content
from longtail.client.importing.rows import FileError, Row, Rows, Source

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
        columns, total = tuple(file.schema_arrow.names), file.metadata.num_rows
    done = 0

    def rows() -> Rows:
        nonlocal done
        done = 0
        with ExitStack() as stack:
            batches = stack.enter_context(opened()).iter_batches(batch_size=BATCH)
            while True:
                try:
                    batch = next(batches, None)
                    values = [] if batch is None else plain(batch).to_pylist()
                # Arrow's own, and Python's for numbers and texts that are none.
                except (ArrowException, ArithmeticError, ValueError, OSError) as error:
                    raise FileError(f"damaged Parquet file after row {done}: {error}") from error
                if batch is None:
                    return
                for row in values:
                    done += 1
                    yield Row(done, row)

    return Source(columns, rows, lambda: done / total if total else 1.0, typed=True)


def plain(batch: Any) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return a batch without nanoseconds, of which Python knows nothing: they are cut off."""
    import pyarrow

    for at, each in enumerate(batch.schema):
        if pyarrow.types.is_timestamp(each.type) and each.type.unit == "ns":
            short = pyarrow.timestamp("us", each.type.tz)
            column = batch.column(at).cast(short, safe=False)
            batch = batch.set_column(at, each.with_type(short), column)
    return batch
