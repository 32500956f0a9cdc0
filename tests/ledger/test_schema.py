"""Whose database is it, and of which version: made by migrations from nothing, refused where it is not ours."""

import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Boolean, Connection, MetaData, delete, insert, inspect, text

from optimizer.errors import LedgerNotUpgraded, LedgerTooNew, LedgerUnavailable, MissingExtra, NotALedger
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import recent_calls
from optimizer.ledger.database import Database, connect
from optimizer.ledger.schema import migrations_folder, open_database, upgrade
from optimizer.ledger.sessions import recall_session
from optimizer.ledger.tables import SCHEMA_REVISION, VERSION_TABLE, metadata
from optimizer.ledger.writer import Writer
from tests.ledger.factory import make_attempt, make_rating, rule_of

STORED = Path(__file__).parent / "stored"


def run(url: str, *statements: str) -> None:
    database = connect(url)
    with database.writing() as connection:
        for statement in statements:
            connection.execute(text(statement))
    database.close()


def tables_of(url: str) -> set[str]:
    database = connect(url)
    with database.reading() as connection:
        names = set(inspect(connection).get_table_names())
    database.close()
    return names


def same_as_the_code(database: Database) -> bool:
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        for table in metadata.tables.values():
            assert set(inspector.get_pk_constraint(table.name)["constrained_columns"]) == set(
                table.primary_key.c.keys()
            )
            # Rows go in as tuples, so the order of columns counts too.
            nullable = [(column["name"], column["nullable"]) for column in inspector.get_columns(table.name)]
            assert nullable == [(column.name, column.nullable) for column in table.c]
    return True


def restore(revision: str, url: str) -> None:
    """Make the ledger that an older version of the code left behind, as it was dumped then."""
    dumped = sqlite3.connect(":memory:" if url.startswith("postgresql") else url.removeprefix("sqlite:///"))
    dumped.executescript((STORED / f"{revision}.sql").read_text())
    if url.startswith("postgresql"):
        database = connect(url)
        with database.writing() as connection:
            migrate(connection, revision)
            copy(dumped, connection)
        database.close()
    dumped.close()


def migrate(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def copy(dumped: sqlite3.Connection, connection: Connection) -> None:
    """Copy every row, where the empty tables are made already."""
    there = MetaData()
    there.reflect(connection)
    dumped.row_factory = sqlite3.Row
    for table in there.sorted_tables:
        connection.execute(delete(table))
        flags = {column.name for column in table.c if isinstance(column.type, Boolean)}
        for row in dumped.execute(f"SELECT * FROM {table.name}"):  # noqa: S608
            values = {name: bool(row[name]) if name in flags else row[name] for name in row.keys()}  # noqa: SIM118
            connection.execute(insert(table), values)


def test_migrations_from_nothing_make_the_tables_that_the_code_names(bare_url: str) -> None:
    assert upgrade(bare_url) == (None, SCHEMA_REVISION)
    assert upgrade(bare_url) == (SCHEMA_REVISION, SCHEMA_REVISION)
    database = open_database(bare_url)
    assert same_as_the_code(database)
    database.close()


def test_a_stored_ledger_of_an_older_version_is_upgraded_and_keeps_what_it_holds(bare_url: str) -> None:
    restore("0001", bare_url)
    assert upgrade(bare_url) == ("0001", SCHEMA_REVISION)
    database = open_database(bare_url)
    stored = {call.selection.call_id: call for call in recent_calls(database)}
    assert stored["a"].attempts == (make_attempt("a", failed=True), make_attempt("a", number=1))
    assert stored["b"].feedback == (make_rating("b", 0.5, rater="judge:x"),)
    assert recall_session(database, "chat", "s") == "small"
    assert verify(database, rule_of) == []
    assert same_as_the_code(database)
    database.close()


def test_the_newest_migration_is_the_one_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]


def test_sqlite_is_upgraded_on_first_use_and_postgres_by_command(
    bare_url: str, opened: Callable[..., Database]
) -> None:
    if bare_url.startswith("postgresql"):
        with pytest.raises(LedgerNotUpgraded, match="optimizer db upgrade"):
            open_database(bare_url)
        upgrade(bare_url)
    database = opened(bare_url)
    with database.reading() as connection:
        assert connection.scalar(text("SELECT epoch FROM evidence_state")) == 1


def test_several_first_users_at_once_make_one_schema(bare_url: str) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def use() -> None:
        barrier.wait()
        try:
            upgrade(bare_url)
            open_database(bare_url).close()
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_newer_database_is_refused_and_left_as_it_is(url: str) -> None:
    run(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    try:
        for act in (open_database, upgrade):
            with pytest.raises(LedgerTooNew, match="9999"):
                act(url)
    finally:
        run(url, f"UPDATE {VERSION_TABLE} SET version_num = '{SCHEMA_REVISION}'")  # noqa: S608


def test_other_peoples_tables_are_refused_and_left_alone(bare_url: str) -> None:
    run(bare_url, "CREATE TABLE calls (id INTEGER)")
    for act in (open_database, upgrade):
        with pytest.raises(NotALedger, match="calls"):
            act(bare_url)
    assert tables_of(bare_url) == {"calls"}


def test_a_shared_postgres_may_have_tables_of_other_names(bare_url: str) -> None:
    run(bare_url, "CREATE TABLE invoices (id INTEGER)")
    if bare_url.startswith("sqlite"):
        with pytest.raises(NotALedger, match="invoices"):
            open_database(bare_url)
        with sqlite3.connect(bare_url.removeprefix("sqlite:///")) as raw:
            assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        raw.close()
    else:
        upgrade(bare_url)
        open_database(bare_url).close()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and long enough to have a header of their own. " * 20)
    with pytest.raises(NotALedger, match=r"notes\.txt"):
        open_database(str(path))
    assert path.read_text().startswith("These are notes")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://somebody:hunter2@localhost/ledger",
        "postgresql://somebody:hunter2@localhost:port/ledger",
        "postgresql://somebody:hunter2@127.0.0.1:1/ledger",
        "postgresql://somebody:hunter2@127.0.0.1:1/ledger?no_such_option=1",
        "postgresql://somebody:12/hunter2@localhost/ledger",
        "://hunter2",
        "sqlite://",
        "sqlite:///:memory:",
        "/no/such/folder/ledger.db",
    ],
)
def test_a_wrong_address_is_a_clear_error_without_its_password(url: str) -> None:
    for act in (open_database, upgrade):
        with pytest.raises(LedgerUnavailable) as caught:
            act(url)
        assert "hunter2" not in str(caught.value)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"\[postgres\]"):
        connect("postgresql://localhost/ledger")


def test_a_path_with_a_scheme_or_without_is_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "some folder" / "ledger.db"
    path.parent.mkdir()
    open_database(str(path)).close()
    open_database(f"sqlite:///{path}").close()
    assert [p.name for p in path.parent.iterdir()] == ["ledger.db"]


def test_a_read_only_ledger_can_be_read_but_not_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    keeper = open_database(str(path))
    database = open_database(f"sqlite:///file:{path}?mode=ro&uri=true")
    with database.reading() as connection:
        assert connection.scalar(text("SELECT epoch FROM evidence_state")) == 1
    with pytest.raises(LedgerUnavailable, match="read-only"):
        Writer(database, rule_of)
    database.close()
    keeper.close()


def test_an_older_read_only_ledger_is_not_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(LedgerUnavailable, match="read-only"):
        open_database(f"sqlite:///file:{path}?mode=ro&uri=true")


def test_missing_tables_are_named_as_such(bare_url: str, opened: Callable[..., Database]) -> None:
    upgrade(bare_url)
    run(bare_url, "DROP TABLE attempts")
    database = opened(bare_url)
    with database.writing() as connection:
        connection.execute(text("INSERT INTO decisions VALUES ('d', '{}')"))
    with pytest.raises(LedgerNotUpgraded, match="optimizer db upgrade"), database.reading() as connection:
        connection.execute(text("SELECT * FROM attempts"))
