"""`python -m bench.capacity.postgresql URL`: what PostgreSQL takes for a request, and for an item.

It runs on this machine, whose kernel says what its process took, and the database is an empty one.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg

CANDIDATES, CALLS, EF = 200, 200, 400
_TABLES = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE vectors (id bigint PRIMARY KEY, vector halfvec({dimension}) NOT NULL);
"""


def main() -> None:
    """Load vectors; print milliseconds of CPU and bytes."""
    parser = argparse.ArgumentParser(prog="python -m bench.capacity.postgresql")
    parser.add_argument("url")
    parser.add_argument("--vectors", type=Path, required=True, help="vectors-items-*.npy of a run")
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    vectors = np.load(options.vectors, mmap_mode="r")[: options.rows]
    draw = np.random.default_rng(1)
    with psycopg.connect(options.url, autocommit=True) as connection:
        connection.execute(_TABLES.format(dimension=vectors.shape[1]))
        with connection.cursor() as cursor, cursor.copy("COPY vectors FROM STDIN") as copy:
            for at, row in enumerate(vectors):
                copy.write_row((at, str(row.astype(float).tolist())))
        connection.execute("CREATE INDEX near ON vectors USING hnsw (vector halfvec_ip_ops)")
        connection.execute("VACUUM ANALYZE")
        connection.execute(f"SET hnsw.ef_search = {EF}")

        def search() -> None:
            near = vectors[int(draw.integers(options.rows))] + draw.normal(
                0, 0.02, vectors.shape[1]
            )
            nearest = "SELECT id FROM vectors ORDER BY vector <#> %s::halfvec LIMIT %s"
            connection.execute(nearest, (str(near.tolist()), CANDIDATES)).fetchall()

        _say(f"search, ef {EF}, {options.rows:,} rows: {_cpu(connection, search):.2f} ms")
        size = connection.execute("SELECT pg_total_relation_size('vectors')").fetchone()
        _say(f"{(size or (0,))[0] / options.rows:,.0f} bytes a row, the graph included")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _cpu(connection: "psycopg.Connection[tuple[object, ...]]", call: Callable[[], None]) -> float:
    """Return the milliseconds of CPU that a call takes of the server's process."""
    for _ in range(CALLS // 4):
        call()
    before = _seconds(connection.info.backend_pid)
    for _ in range(CALLS):
        call()
    return 1000 * (_seconds(connection.info.backend_pid) - before) / CALLS


def _seconds(pid: int) -> float:
    taken = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(taken[11]) + int(taken[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
