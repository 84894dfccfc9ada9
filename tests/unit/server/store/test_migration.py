import math
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from longtail.server.store.attribute_names import names_in
from longtail.server.store.clock import now
from longtail.server.store.decay import DecayedSum
from longtail.server.store.decayed_counter import EARLIEST
from longtail.server.store.migration import alembic_config
from longtail.server.store.record_store import RecordStore, check_database
from longtail.server.store.records import (
    Counts,
    EncoderBinding,
    PopularityChange,
    PopularityDecay,
    State,
    TypeCount,
    encode_vector,
)
from longtail.server.store.schema import metadata
from longtail.server.store.sqlite.opening import open_database
from sqlalchemy import create_engine

from tests.unit.server.store_records import VECTOR, opened


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    database = open_database(tmp_path / "longtail.db")
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def make_store(path: Path, schema: str, *statements: str) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, schema)
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_store_of_the_first_schema_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    make_store(
        path,
        "0001",
        "UPDATE sequence SET revision = 3",
        "INSERT INTO encoder VALUES (1, 'tiny@1', 2)",
        "INSERT INTO items VALUES ('a', 1, 0, 'T', 'x', '{\"y\": 1}', 2.5, 0, 7, 8)",
        "INSERT INTO items VALUES ('gone', 2, 1, '', '', '{}', 0, 0, 7, 8)",
        "INSERT INTO interactions VALUES ('e', 'ann', 'a', 'view', 1, 9, '')",
        "INSERT INTO popularity VALUES ('a', 1, 3)",
        f"INSERT INTO vectors VALUES ('a', x'{encode_vector(VECTOR).hex()}')",
    )

    store = RecordStore.open(path)
    encoder = store.encoders.current()
    assert encoder is not None
    assert encoder.binding == EncoderBinding("tiny@1", 2)
    assert store.changes.position().revision == 3
    assert store.changes.vectors(encoder.id, ["a"])["a"].tolist() == VECTOR.tolist()
    content = store.items.get(["a"])["a"].content
    assert (content.title, content.attributes, content.prior) == ("T", {"y": 1}, 2.5)
    assert (content.state, content.available_from, content.penalty) == (State.ACTIVE, None, 0)
    (seen,) = store.interactions.list_page(user_id="ann", item_id="", after=None, limit=9)
    assert (seen.item_id, seen.recommendation_token) == ("a", "")
    assert store.counts() == Counts(items=1, interactions=1, users=1)
    store.close()
    assert check_database(path) == []


def test_interactions_that_were_counted_together_are_counted_by_type(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    ahead = 250_000_000_000_000_000
    make_store(
        path,
        "0002",
        "UPDATE sequence SET revision = 9",
        "INSERT INTO interactions VALUES ('1', 'ann', 'a', 'view', 1, 10, '')",
        "INSERT INTO interactions VALUES ('2', 'bob', 'a', 'view', 1, 30, '')",
        "INSERT INTO interactions VALUES ('3', 'bob', 'a', 'buy', 1, 20, '')",
        f"INSERT INTO interactions VALUES ('4', 'bob', 'b', 'view', 1, {ahead}, '')",
        "INSERT INTO popularity VALUES ('a', 3, 8), ('b', 1, 9), ('forgotten', 0, 7)",
    )
    before = now()
    with opened(path) as it:
        newest = it.store.changes.popularity_decay().newest
        # What is dated ahead counts as of now.
        assert before <= newest <= now()
        assert it.store.changes.popularity_decay().half_life == math.inf
        assert list(it.store.changes.popularity_changes(0, 9)) == [
            PopularityChange(
                "a",
                [
                    TypeCount("buy", 1, DecayedSum(1.0, 20)),
                    TypeCount("view", 2, DecayedSum(2.0, 30)),
                ],
            ),
            PopularityChange("b", [TypeCount("view", 1, DecayedSum(1.0, newest))]),
        ]
        changed = it.store.changes.popularity_changes(8, 9)
        assert [change.item_id for change in changed] == ["b"]
        assert it.store.counts() == Counts(items=0, interactions=4, users=2)
        it.do(lambda tx: it.store.interactions.delete_user(tx, "bob"))
        assert it.popularity() == {"a": 1, "b": 0}
        assert it.store.changes.popularity_decay().newest == 10
    assert check_database(path) == []


def test_a_new_store_and_one_without_interactions_are_alike(tmp_path: Path) -> None:
    make_store(tmp_path / "old.db", "0002")
    decays = []
    for name in ("old.db", "new.db"):
        with opened(tmp_path / name) as it:
            decays.append(it.store.changes.popularity_decay())
    assert decays[0] == decays[1] == PopularityDecay(math.inf, EARLIEST)


def test_the_names_of_attributes_that_there_are_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    nested = '{"y": 1, "n": {"a": [1, null, {"b": 2}], "c": null}}'
    columns = "id, revision, removed, title, text, attributes, prior, vector_given"
    columns = f"INSERT INTO items ({columns}, create_time, update_time) VALUES"
    make_store(
        path,
        "0014",
        "UPDATE sequence SET revision = 3",
        f"{columns} ('a', 1, 0, 'T', 'x', '{nested}', 0, 0, 7, 8)",
        f"{columns} ('b', 2, 0, 'T', 'x', '{{\"y\": \"z\"}}', 0, 0, 7, 8)",
        f"{columns} ('gone', 3, 1, '', '', '{{}}', 0, 0, 7, 8)",
        "UPDATE counts SET items = 2",
    )
    with opened(path) as it:
        with it.store._engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT name, item_count FROM attribute_names")
            assert dict(rows.all()) == {"y": 2, "n": 1, "n.a": 1, "n.a.b": 1}
            assert names_in(it.store.items.get(["a"])["a"].content.attributes) == {
                "y",
                "n",
                "n.a",
                "n.a.b",
            }
        it.remove("a")
        with it.store._engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT name, item_count FROM attribute_names")
            assert dict(rows.all()) == {"y": 1}
