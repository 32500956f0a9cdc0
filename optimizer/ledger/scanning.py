"""How another engine, such as DuckDB, reads what is in the ledger's database: itself on Postgres, a copy on SQLite."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from optimizer.errors import LedgerUnavailable
from optimizer.ledger.database import Database
from optimizer.ledger.tables import api_keys, shared_secrets

SECRET = (api_keys, shared_secrets)  # in no copy


@dataclass(frozen=True, slots=True)
class Scannable:
    """Where a ledger's tables stand, for an engine of its own.

    Attributes
    ----------
    address : str
        A SQLite file's path, or what libpq connects by, without the password.
    password : str or None
        What the address leaves out, since engines show addresses.
    schema : str
        The schema of the ledger's tables; empty on SQLite.
    """

    is_sqlite: bool
    address: str
    password: str | None = field(default=None, repr=False)
    schema: str = ""


def scannable(database: Database, copy: Path) -> Scannable:
    """Return how another engine reaches the ledger: on SQLite a copy of it as it is now, written over `copy`.

    A second engine brings a second SQLite library, and two of them must never open one file in one process: each
    would undo the other's locks, and whoever closes first takes the write-ahead log away from the other.
    """
    if not database.is_sqlite:
        return _server(database)
    with database.reading() as connection:
        _copy(connection.connection.driver_connection, copy, database.where)
    return Scannable(is_sqlite=True, address=str(copy))


def _copy(source: Any, copy: Path, where: str) -> None:  # noqa: ANN401 - the driver's connection has no common type
    copy.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(copy)) as target:
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target)  # in one step, so of one moment; writers go on meanwhile
            target.execute("PRAGMA journal_mode = DELETE")  # a file of its own, without a log beside it
            target.execute("PRAGMA secure_delete = ON")
            for table in SECRET:
                target.execute(f"DROP TABLE {table.name}")
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{where} cannot be copied into {copy.parent}: {error}") from None


def _server(database: Database) -> Scannable:
    from psycopg.conninfo import make_conninfo
    from psycopg.pq import Conninfo

    with database.reading() as connection:
        schema = connection.scalar(text("SELECT current_schema()"))
    _, parameters = database.engine.dialect.create_connect_args(database.engine.url)
    options = {option.keyword.decode() for option in Conninfo.get_defaults()} - {"password"}
    address = make_conninfo(**{name: value for name, value in parameters.items() if name in options})
    return Scannable(is_sqlite=False, address=address, password=parameters.get("password"), schema=schema or "public")
