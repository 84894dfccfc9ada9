from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from server.store.database import alembic_config, open_database
from server.store.record_store import RecordStore, check_database
from server.store.records import EncoderBinding, State, encode_vector
from server.store.schema import metadata
from tests.unit.server.store_records import VECTOR


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "longtail.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_store_of_the_first_schema_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "longtail.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (
            "UPDATE sequence SET revision = 3",
            "INSERT INTO encoder VALUES (1, 'tiny@1', 2)",
            "INSERT INTO items VALUES ('a', 1, 0, 'T', 'x', '{\"y\": 1}', 2.5, 0, 7, 8)",
            "INSERT INTO items VALUES ('gone', 2, 1, '', '', '{}', 0, 0, 7, 8)",
            "INSERT INTO interactions VALUES ('e', 'ann', 'a', 'view', 1, 9, '')",
            "INSERT INTO popularity VALUES ('a', 1, 3)",
        ):
            connection.exec_driver_sql(statement)
        vector = ("a", encode_vector(VECTOR))
        connection.exec_driver_sql("INSERT INTO vectors VALUES (?, ?)", vector)
    engine.dispose()

    store = RecordStore.open(path)
    encoder = store.encoders.current()
    assert encoder is not None
    assert encoder.binding == EncoderBinding("tiny@1", 2)
    assert store.changes.position().revision == 3
    assert store.changes.vectors(encoder.id, ["a"])["a"].tolist() == VECTOR.tolist()
    content = store.items.get(["a"])["a"].content
    assert (content.title, content.attributes, content.prior) == ("T", {"y": 1}, 2.5)
    assert (content.state, content.available_from) == (State.ACTIVE, None)
    (seen,) = store.interactions.list_page(user_id="ann", item_id="", after=None, limit=9)
    assert seen.item_id == "a"
    store.close()
    assert check_database(path) == []
