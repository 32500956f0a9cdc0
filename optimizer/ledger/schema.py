"""Whose database is this, and of which version? Bring an empty or older one up to date; refuse the rest."""

import time
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, column, inspect, select, table, text

from optimizer.errors import LedgerNotUpgraded, LedgerTooNew, LedgerUnavailable, NotALedger
from optimizer.ledger.database import TIMEOUT_S, Database, connect
from optimizer.ledger.tables import SCHEMA_REVISION, VERSION_TABLE, metadata

_ADVISORY_KEY = 0x6F7263_68_01  # any number that other programs are unlikely to take
_PAUSE_S = 0.01
_one_at_a_time = Lock()  # alembic keeps its context in a global


def open_database(url: str, *, timeout_s: float = TIMEOUT_S, create: bool = True) -> Database:
    """Return the ledger at `url`, ready to use; an empty or older SQLite file is brought up to date first.

    Parameters
    ----------
    create : bool
        Whether to make a SQLite file that is not there; else it is `LedgerUnavailable`.

    Raises
    ------
    NotALedger
        If the file or database holds something else.
    LedgerTooNew
        If it was made by a newer version of the package.
    LedgerNotUpgraded
        If it is a Postgres database that `optimizer db upgrade` was not run on.
    LedgerUnavailable
        If it cannot be reached, opened or locked, or the address is wrong.
    """
    database = connect(url, timeout_s=timeout_s)
    if not create and not database.exists:
        raise LedgerUnavailable(
            f"{database.where} does not exist; make a call first, or name the ledger by --database or DATABASE_URL"
        )
    try:
        with database.reading() as connection:
            current = stored_revision(connection, database.where) == SCHEMA_REVISION
        if not current and not database.is_sqlite:
            raise LedgerNotUpgraded(f"{database.where} is empty or of an older version: run `optimizer db upgrade`")
        if not current:
            _migrate(database)
        _use_wal(database)
    except BaseException:
        database.close()
        raise
    return database


def upgrade(url: str, *, timeout_s: float = TIMEOUT_S) -> tuple[str | None, str]:
    """Bring the database at `url` up to date and return its revision before (None: empty) and after.

    Several processes may do so at the same time: one works, the others wait and find nothing left to do.
    """
    database = connect(url, timeout_s=timeout_s)
    try:
        return _migrate(database), SCHEMA_REVISION
    finally:
        database.close()


def stored_revision(connection: Connection, where: str) -> str | None:
    """Return the revision of the ledger that the connection sees; None where there is none yet.

    Raises
    ------
    NotALedger
        If a SQLite file has any other table, or a Postgres schema one with a name that the ledger needs.
    LedgerTooNew
        If the revision is newer than this code.
    """
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in names:
        others = sorted(names if connection.dialect.name == "sqlite" else names & set(metadata.tables))
        if others:
            listed = ", ".join(others[:5])
            raise NotALedger(f"{where} holds other tables ({listed}); give the ledger a database of its own")
        return None
    revision = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    if revision is not None and str(revision) > SCHEMA_REVISION:
        raise LedgerTooNew(
            f"{where} is at revision {revision}, newer than this program's {SCHEMA_REVISION}: update the program"
        )
    return None if revision is None else str(revision)


def migrations_folder() -> Path:
    """Return the revisions' folder: inside an installed package, at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _migrate(database: Database) -> str | None:
    with _one_at_a_time, database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
        before = stored_revision(connection, database.where)
        if before != SCHEMA_REVISION:
            _run_revisions(connection)
        return before


def _run_revisions(connection: Connection) -> None:
    # Imported here: a tenth of a second that only a database in need of an upgrade has to pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _use_wal(database: Database) -> None:
    """Let readers and the writer of a SQLite file work side by side; it stays so, and a read-only file stays as it is.

    SQLite does not wait for locks in this statement, so two first users at once are told apart by trying again.
    """
    if not database.is_sqlite:
        return
    tries = round(database.timeout_s / _PAUSE_S)
    for left in reversed(range(tries)):
        try:
            with database.outside_transactions() as connection:
                if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            return
        except LedgerUnavailable as error:
            if "read-only" in str(error):
                return
            if left == 0:
                raise
            time.sleep(_PAUSE_S)
