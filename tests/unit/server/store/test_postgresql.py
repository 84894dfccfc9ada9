"""The store in a database of PostgreSQL: what differs from a file, on a real server."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from longtail.runtime.errors import FailedPrecondition, Unavailable
from longtail.server.store.decay import decayed
from longtail.server.store.postgresql import connecting
from longtail.server.store.postgresql.opening import open_shared_database
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import ItemContent, NewItem, State
from longtail.server.store.revisions import current_revision
from longtail.server.store.schema import metadata
from longtail.server.store.transaction import Transaction
from sqlalchemy import text

from tests.postgresql import GUARDED, PASSWORD, USER, PostgreSQL
from tests.unit.server.new_stores import shared_store
from tests.unit.server.store_records import VECTOR, Opened, event, new_item

SECRET = "whom-I-love-in-secret"


@pytest.fixture
def store_url(postgresql: PostgreSQL) -> Iterator[str]:
    url = shared_store(postgresql)
    yield url
    postgresql.drop(url)


@contextmanager
def served(url: str) -> Iterator[Opened]:
    with (
        closing(RecordStore.open(url)) as store,
        store.group_commit(lambda: None, max_waiting=1000) as writer,
    ):
        yield Opened(store, writer)


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_the_migrations_make_the_schema_once_however_many_begin(postgresql_url: str) -> None:
    with ThreadPoolExecutor(3) as threads, ExitStack() as stack:
        for database in threads.map(open_shared_database, [postgresql_url] * 3):
            stack.callback(database.close)
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
    # Whatever the order of the database is, that of ids is that of their bytes.
    others = query(
        postgresql_url,
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type IN ('text', 'character varying')"
        " AND collation_name IS DISTINCT FROM 'C'",
    )
    assert others == []


def test_what_is_written_is_read(store_url: str) -> None:
    with served(store_url) as it:
        it.upsert(*map(new_item, ["b", "ä", "B", "a"]))
        assert [item.content.id for item in it.store.items.list_page(after="", limit=9)] == [
            *("B", "a", "b", "ä")
        ]
        assert it.interact(event("1"), event("1"), event("2", user_id="bob")) == (2, 5)
        assert it.popularity() == {"film": 2}
        assert it.remove("a", "nothing") == (frozenset("a"), 6)
        record = it.store.activity.person("ann", 9)
        assert [past.event_id for past in record.history] == ["1"]
        with it.store.activity.opinions() as (revision, parts):
            assert (revision, [opinions.user_ids for opinions in parts]) == (6, [("ann", "bob")])
        counts = it.store.counts()
        assert (counts.items, counts.interactions, counts.users) == (3, 2, 2)


def test_sums_decay_as_in_a_file(store_url: str) -> None:
    with served(store_url) as it:
        for mass, age, half_life in [(3.5, 7, 2.0), (1.0, 0, 1.0), (2.0, 10**15, 1.0), (0.0, 1, 1)]:
            found = query(store_url, f"SELECT decayed({mass}, {age}, {half_life})")
            assert found == [(decayed(mass, age, half_life),)]
        it.interact(*(event(str(n), time=n * 10**12) for n in range(5)))
        it.do(lambda tx: it.store.interactions.set_half_life(tx, 10**12))
        it.interact(event("last", time=5 * 10**12))
        [change] = it.store.changes.popularity_changes(0, it.revision)
        assert change.types[0].total.mass == pytest.approx(sum(0.5**n for n in range(6)))


def test_rows_are_written_by_one_statement_whatever_is_in_them(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the driver makes of it is a statement for each.
    monkeypatch.setattr(psycopg.Cursor, "executemany", None)
    odd = ('"', "\\", "{a,b}", "NULL", "", "%(id)s", "\n", "\N{GRINNING FACE}")
    contents = [
        ItemContent(
            f"item-{number}",
            title,
            title,
            {"it": title} if number % 2 else {},
            prior=number / 3,
            state=State(1 + number % 3),
            available_from=number * 10**number if number % 3 else None,
        )
        for number, title in enumerate(odd)
    ]
    vectors = [None if number % 4 else VECTOR for number in range(len(odd))]
    with served(store_url) as it:
        items = [NewItem(*each, True) for each in zip(contents, vectors, strict=True)]
        for _ in range(2):
            it.upsert(*items)
            held = {
                item.content.id: item.content
                for item in it.store.items.list_page(after="", limit=9)
            }
            assert held == {content.id: content for content in contents}
        events = [
            replace(event(f"{at}", title, title), query=title) for at, title in enumerate(odd)
        ]
        assert it.interact(*events)[0] == len(events)
        assert sorted(it.store.interactions.all(), key=lambda each: each.event_id) == events


def test_what_is_known_is_looked_up_however_little_there_was_at_first(store_url: str) -> None:
    with served(store_url) as it:
        for turn in range(20):
            it.interact(*(event(f"{turn}-{at}", user_id=f"{at}") for at in range(100)))
            it.upsert(*(new_item(f"{turn}-{at}") for at in range(100)))
        it.do(lambda tx: tx.exec_driver_sql("SELECT pg_stat_force_next_flush()"))
    read = (
        "SELECT relname, seq_tup_read FROM pg_stat_user_tables"
        " WHERE relname IN ('interactions', 'items') ORDER BY relname"
    )
    assert query(store_url, read) == [("interactions", 0), ("items", 0)]


def test_a_write_that_fails_undoes_itself_alone(store_url: str) -> None:
    with served(store_url) as it:
        first = it.writer.submit(lambda tx: tx.exec_driver_sql("SELECT pg_sleep(0.1)"))
        bad = it.writer.submit(lambda tx: tx.exec_driver_sql("SELECT 1/0"))
        good = it.writer.submit(
            lambda tx: it.store.items.upsert(tx, [new_item("a")], it.encoder_id)
        )
        first.result(30)
        assert "DivisionByZero" in str(bad.exception(30))
        assert good.result(30) == (1, 1)
        assert it.present() == ["a"]


@pytest.mark.parametrize(
    ("breaks", "write"),
    [
        ("CREATE UNIQUE INDEX one ON interactions (user_id)", None),
        ("ALTER TABLE interactions ADD CHECK (item_id <> 'film')", None),
        ("", "SELECT CAST(CAST(:value AS text) AS bigint)"),
        ("", "SELECT CAST(CAST(:value AS text) AS json)"),
    ],
)
def test_what_fails_is_told_without_what_was_written(
    store_url: str, caplog: pytest.LogCaptureFixture, breaks: str, write: str | None
) -> None:
    with served(store_url) as it:
        if breaks:
            it.do(lambda tx: tx.exec_driver_sql(breaks))
        events = [event(f"{SECRET}-{n}", user_id=SECRET) for n in range(2)]

        def fail(tx: Transaction) -> None:
            if write is None:
                it.store.interactions.write(tx, events)
            else:
                tx.execute(text(write), {"value": SECRET})

        error = it.writer.submit(fail).exception(30)
        assert error is not None
        logging.getLogger("test").error("unexpected failure", exc_info=error)
    for record in caplog.get_records("call"):
        assert SECRET not in logging.Formatter().format(record)


def test_revisions_are_in_the_order_of_commits(store_url: str) -> None:
    with (
        served(store_url) as it,
        served(store_url) as other,
        ThreadPoolExecutor() as pool,
    ):

        def write(writer: Opened, name: str) -> None:
            for number in range(20):
                revision = writer.upsert(new_item(f"{name}-{number}"))
                assert writer.store.changes.position().revision >= revision

        for done in [pool.submit(write, it, "one"), pool.submit(write, other, "two")]:
            done.result(60)
        revisions = [change.revision for change in it.store.changes.current()]
        assert revisions == list(range(1, 41))


def test_a_read_of_several_statements_is_as_of_one_revision(store_url: str) -> None:
    with served(store_url) as it:
        database = it.store._database
        for _ in range(2):
            # What needs no transaction leaves the connection as it was.
            assert it.store.changes.position().revision == it.revision
            with database.engine.connect() as connection:
                before = current_revision(connection)
                it.upsert(new_item("a"))
                assert current_revision(connection) == before
            with database.reading() as read:
                [(before,)] = read("SELECT revision FROM sequence").fetchall()
                it.upsert(new_item("a"))
                assert read("SELECT revision FROM sequence").fetchall() == [(before,)]
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    read("DELETE FROM items")
        with database.writing.begin() as connection:
            level = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
            assert level == "read committed"


def test_however_many_read_none_waits_for_another(store_url: str) -> None:
    with served(store_url) as it, ExitStack() as stack:
        for _ in range(70):
            read = stack.enter_context(it.store._database.reading())
            assert read("SELECT revision FROM sequence").fetchall() == [(0,)]
        it.upsert(new_item("a"))
        assert it.present() == ["a"]


def test_who_gets_no_connection_is_told(postgresql: PostgreSQL, postgresql_url: str) -> None:
    name, role = postgresql_url.rpartition("/")[2], "limited"
    with psycopg.connect(postgresql_url, autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 6")
        administrator.execute(f"ALTER DATABASE {name} OWNER TO {role}")
    url = postgresql_url.replace(f"//{USER}:", f"//{role}:")
    with closing(RecordStore.open(url)) as store, ExitStack() as stack:

        def take_all() -> None:
            for _ in range(7):
                stack.enter_context(store._database.reading())

        with pytest.raises(Unavailable) as caught:
            take_all()
        assert caught.value.retry_seconds is not None
        stack.close()
        assert store.changes.position().revision == 0


async def test_a_write_is_heard_of_by_others(store_url: str) -> None:
    with served(store_url) as it, closing(RecordStore.open(store_url)) as other:
        heard: list[int] = []

        async def listen() -> None:
            async for revision in other.written():
                heard.append(revision)

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(60):
            while len(heard) < 3:
                await asyncio.to_thread(it.upsert, new_item("a"))
        assert heard == sorted(heard)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def test_a_server_that_went_away_comes_back(postgresql: PostgreSQL, store_url: str) -> None:
    with served(store_url) as it, closing(RecordStore.open(store_url)) as other:
        it.upsert(new_item("before"))
        assert it.store.maintains()
        assert not other.maintains()
        postgresql.kill()
        for attempt in (it.store.counts, lambda: it.upsert(new_item("lost"))):
            with pytest.raises(Unavailable) as caught:
                attempt()
            assert caught.value.retry_seconds is not None
        assert not it.store.maintains()
        postgresql.start()
        assert it.present() == ["before"]
        it.upsert(new_item("after"))
        assert it.present() == ["before", "after"]
        assert [it.store.maintains(), other.maintains()] == [True, False]
        it.store._database.close()
        # PostgreSQL gives the lock to others when it sees that the connection has ended.
        deadline = time.monotonic() + 60
        while not other.maintains():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_who_waits_too_long_for_the_lock_is_told(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connecting.SESSION, "lock_timeout", "50ms")
    with served(store_url) as it, psycopg.connect(store_url) as holder:
        holder.execute("SELECT FROM sequence FOR UPDATE")
        with pytest.raises(Unavailable, match="locked"):
            it.upsert(new_item("a"))
        holder.rollback()
        it.upsert(new_item("a"))


def test_a_standby_takes_no_writes(store_url: str) -> None:
    with served(store_url) as it:
        it.do(lambda tx: tx.exec_driver_sql("SET default_transaction_read_only = on"))
        with pytest.raises(Unavailable, match="standby"):
            it.upsert(new_item("a"))
        it.upsert(new_item("a"))
        assert it.present() == ["a"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        ("CREATE TABLE items (id int)", "a table items of somebody else's"),
        ("CREATE TABLE alembic_version (version_num text)", "has no table|unknown"),
    ],
)
def test_a_database_of_somebody_else_is_left_alone(
    postgresql_url: str, make: str, reason: str
) -> None:
    with psycopg.connect(postgresql_url) as connection:
        connection.execute(make.encode())
        if "alembic" in make:
            connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    with pytest.raises(FailedPrecondition, match=reason):
        RecordStore.open(postgresql_url)


@pytest.mark.parametrize(
    "broken",
    [
        lambda url: url.replace("/store_", "/nothing_"),
        lambda url: url.replace("127.0.0.1:", "127.0.0.1:1"),
        lambda url: url.replace("@", "%zz@"),
        lambda url: url.replace(":not", ":a@not"),
        lambda url: url.replace("@", "/a@"),
    ],
)
def test_what_cannot_be_opened_is_told_without_the_password(
    postgresql_url: str, broken: Callable[[str], str]
) -> None:
    with pytest.raises((FailedPrecondition, Unavailable)) as caught:
        RecordStore.open(broken(postgresql_url))
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("longtail:any@{place}/nothing", 'it refuses .*: database "nothing" does not exist'),
        ("nobody-here:any@{place}/{name}", 'it refuses .*: role "nobody-here" does not exist'),
        (
            "guarded:wrong@{place}/{name}",
            'it refuses .*: password authentication failed for user "g',
        ),
        ("guarded@{place}/{name}", "it asks for a password: put it into PGPASSWORD"),
        ("poor:any@{place}/{name}", "permission denied for schema public"),
        ("longtail:any@127.0.0.1:1/{name}", "the database cannot be reached: .*refused"),
    ],
)
def test_what_the_server_has_against_us_is_told_in_a_sentence(
    postgresql_url: str, given: str, reason: str
) -> None:
    users = {GUARDED: "PASSWORD 'right'", "poor": ""}
    place, _, name = postgresql_url.rpartition("@")[2].partition("/")
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        for user, how in users.items():
            connection.execute(f"CREATE ROLE {user} LOGIN {how}".encode())
        try:
            with pytest.raises((FailedPrecondition, Unavailable), match=reason) as caught:
                RecordStore.open(f"postgresql://{given.format(place=place, name=name)}")
        finally:
            for user in users:
                connection.execute(f"DROP ROLE {user}".encode())
    told = str(caught.value)
    assert told.startswith("postgresql://127.0.0.1:")
    assert "\n" not in told
    assert ("FATAL" in told, "wrong" in told) == (False, False)


def test_a_store_on_a_server_is_no_file(store_url: str) -> None:
    with closing(RecordStore.open(store_url)) as store:
        assert PASSWORD not in store.name
        with pytest.raises(FailedPrecondition, match="is no file"):
            _ = store.path
