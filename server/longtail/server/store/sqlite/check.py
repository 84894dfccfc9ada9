"""Check a database: that SQLite finds it sound, and that its tables agree with each other."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from longtail.runtime.errors import StoreDamaged
from longtail.server.store.migration import known_schemas
from longtail.server.store.sqlite.failures import UNREADABLE, of_no_use
from longtail.server.store.sqlite.log_check import log_problem
from longtail.server.store.sqlite.opening import COMPANIONS

# Each finds a number that is zero in a sound store.
RULES = {
    "items have no vector of the catalogue's encoder": """
        SELECT count(*) FROM items WHERE NOT removed
        AND (title <> '' OR text <> '' OR vector_given) AND NOT EXISTS (
            SELECT 1 FROM vectors WHERE item_id = items.id AND encoder_id = (
                SELECT id FROM encoders WHERE role = 'current'))""",
    "vectors are not of the dimension of their encoder": """
        SELECT count(*) FROM vectors LEFT JOIN encoders ON encoders.id = vectors.encoder_id
        WHERE encoders.id IS NULL OR length(data) <> 4 * dimension""",
    "vectors are of items that do not exist": """
        SELECT count(*) FROM vectors LEFT JOIN items ON items.id = vectors.item_id
        WHERE items.id IS NULL OR items.removed""",
    "vectors are not of the dimension of their space": """
        SELECT count(*) FROM extra_vectors
        LEFT JOIN vector_spaces ON vector_spaces.id = extra_vectors.space_id
        WHERE vector_spaces.id IS NULL OR length(data) <> 4 * dimension""",
    "vectors in spaces are of items that do not exist": """
        SELECT count(*) FROM extra_vectors LEFT JOIN items ON items.id = extra_vectors.item_id
        WHERE items.id IS NULL OR items.removed""",
    "vector spaces have revisions that were never given out": """
        SELECT count(*) FROM vector_spaces WHERE id > (SELECT revision FROM sequence)""",
    "items have revisions that were never given out": """
        SELECT count(*) FROM items WHERE revision > (SELECT revision FROM sequence)""",
    "interactions have revisions that were never given out": """
        SELECT count(*) FROM interactions WHERE revision > (SELECT revision FROM sequence)""",
    "counts have revisions that were never given out": """
        SELECT count(*) FROM popularity WHERE revision > (SELECT revision FROM sequence)""",
    "counts of impressions have revisions that were never given out": """
        SELECT count(*) FROM exposure WHERE revision > (SELECT revision FROM sequence)""",
    "items have fewer impressions counted than there are": """
        SELECT count(*) FROM (SELECT item_id, count(*) AS kept FROM impressions GROUP BY item_id)
        LEFT JOIN exposure USING (item_id) WHERE kept > ifnull(impressions, 0)""",
    # What was deleted by its age stays counted.
    "items have another count of interactions than there are": """
        SELECT count(*) FROM (
            SELECT item_id FROM (
                SELECT item_id, type, interactions AS events FROM popularity
                UNION ALL SELECT item_id, type, -count(*) FROM interactions GROUP BY item_id, type
            ) GROUP BY item_id, type
            HAVING sum(events) < 0
            OR (sum(events) > 0 AND NOT (SELECT revision FROM expiry)))""",
    "numbers of what there is are wrong": """
        SELECT (items <> (SELECT count(*) FROM items WHERE NOT removed))
            + (interactions <> (SELECT count(*) FROM interactions))
            + (users <> (SELECT count(DISTINCT user_id) FROM interactions)) FROM counts""",
    # The newest part of a sum has the weight 1, and all have it where nothing decays; what was
    # deleted by its age is not counted anew with another half-life.
    "items have a sum of interactions that they cannot have": """
        SELECT count(*) FROM popularity, popularity_decay, expiry
        WHERE mass > interactions * 1.000001 OR mass < 0
        OR (NOT expiry.revision AND (mass < min(interactions, 1) * 0.999999
            OR (half_life = 0 AND mass <> interactions)))""",
}


def check_structure(path: Path) -> None:
    """Raise StoreDamaged when SQLite cannot walk each table and index of the store in `path`.

    It takes 0.4 s for 100,000 items and 300,000 interactions; that the indices hold what the tables
    hold, which `check_database` finds out too, takes five times as long. Nobody may write meanwhile
    but who has opened the store.
    """
    if not path.stat().st_size:
        raise StoreDamaged(f"{path} is empty")
    if problem := log_problem(path.with_name(path.name + COMPANIONS[0])):
        raise StoreDamaged(problem)
    try:
        with closing(_open_read_only(path)) as connection:
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except UNREADABLE as error:
        raise of_no_use(path, error) from error
    if found != "ok":
        raise StoreDamaged(f"{path}: {found}")


def read_beginning(path: Path) -> tuple[str, int]:
    """Return the identity of the store in `path` and its last revision, 0 where all is to come.

    Raises StoreDamaged.
    """
    try:
        with closing(_open_read_only(path)) as connection:
            row = connection.execute("SELECT identity, revision FROM sequence").fetchone()
    except UNREADABLE as error:
        raise of_no_use(path, error) from error
    if row is None:
        raise StoreDamaged(f"{path} has lost its revision")
    return str(row[0]), int(row[1])


def version_of(path: Path) -> str:
    """Return what tells a store from any other, and from itself at another time.

    Raises StoreDamaged.
    """
    identity, revision = read_beginning(path)
    return f"{identity} {revision}"


def check_database(path: Path) -> list[str]:
    """Read the store in the file `path` whole; return what is wrong with it, empty when sound."""
    try:
        with closing(_open_read_only(path)) as connection:
            return list(_problems(connection))
    except UNREADABLE as error:
        return [f"SQLite cannot read it: {error}"]


def _open_read_only(path: Path) -> sqlite3.Connection:
    # Without a log nobody has it open, or it is a copy: it is read without locks.
    immutable = not path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable={int(immutable)}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _problems(connection: sqlite3.Connection) -> Iterator[str]:
    connection.execute("BEGIN")
    found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    if found != ["ok"]:
        yield from (f"integrity check: {problem}" for problem in found)
        # What a damaged file answers says nothing of the store.
        return
    schemas = known_schemas()
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if "alembic_version" not in tables:
        yield "it is not a store"
        return
    versions = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
    # What a newer version only expanded still keeps the rules of this one.
    expanded = "schema_floor" in tables and connection.execute(
        "SELECT oldest FROM schema_floor"
    ).fetchall() in [[(schema,)] for schema in schemas]
    if len(versions) != 1 or (versions[0] not in schemas and not expanded):
        yield f"its schema is {', '.join(versions) or 'unknown'}, not {schemas[0]}"
        return
    if versions[0] in schemas[1:]:
        # It is brought to the newest when it is opened, and the rules are for that.
        return
    for rule, query in RULES.items():
        (count,) = connection.execute(query).fetchone()
        if count:
            yield f"{count} {rule}"
