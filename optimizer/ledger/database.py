"""Open the ledger's database, SQLite or Postgres, and lend transactions on it; no error of a driver escapes.

What is read or written is left to the other modules of this package; what schema it has, to `schema.py`.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, false, make_url, text, update
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from optimizer.errors import LedgerUnavailable, MissingExtra
from optimizer.ledger.failures import translated
from optimizer.ledger.tables import evidence_state

TIMEOUT_S = 5.0  # how long to wait for another process's lock, or for a server to answer
_BEGIN = "ledger_begin"
_SYNCHRONOUS = "ledger_synchronous"


class Database:
    """One open database; `close` returns its connections.

    Attributes
    ----------
    where : str
        The database's name for messages, without user or password.
    """

    def __init__(self, engine: Engine, where: str, timeout_s: float) -> None:
        self.engine = engine
        self.where = where
        self.timeout_s = timeout_s
        if self.is_sqlite:
            self._reader: Engine = engine.execution_options(**{_BEGIN: "BEGIN"})
            self._writer: Engine = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE", _SYNCHRONOUS: "FULL"})
            self._quick: Engine = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE", _SYNCHRONOUS: "NORMAL"})
        else:
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._writer = self._quick = engine

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite, else Postgres."""
        return self.engine.dialect.name == "sqlite"

    @property
    def exists(self) -> bool:
        """Whether there is anything to open; of a server, nobody knows before asking it."""
        return not self.is_sqlite or self.where.startswith("file:") or Path(self.where).exists()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection that sees one snapshot of the database throughout."""
        with translated(self.where, self.timeout_s), self._reader.begin() as connection:
            self._wait_not_too_long(connection)
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Lend a connection in a write transaction: committed on leaving, undone whole on any error.

        What is committed survives the end of the process; that of the machine too, where it is `durable`, for which
        the disk is waited for. A later durable commit makes sure of those before it.

        On SQLite there is one such transaction at a time, from its first moment: a transaction that reads first and
        asks for the write lock later fails at once, whatever the timeout, if another has written in between.
        """
        engine = self._writer if durable else self._quick
        with translated(self.where, self.timeout_s), engine.begin() as connection:
            self._wait_not_too_long(connection)
            if not (durable or self.is_sqlite):
                connection.execute(text("SET LOCAL synchronous_commit = off"))
            yield connection

    def _wait_not_too_long(self, connection: Connection) -> None:
        """Have locks waited for as on SQLite; each time, for a pool in between may hand the session to others."""
        if not self.is_sqlite:
            connection.execute(text(f"SET LOCAL lock_timeout = '{int(self.timeout_s * 1000)}ms'"))

    @contextmanager
    def outside_transactions(self) -> Iterator[Connection]:
        """Lend a connection for statements that refuse to run inside a transaction."""
        autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT", **{_BEGIN: None})
        with translated(self.where, self.timeout_s), autocommit.connect() as connection:
            yield connection

    def check_writable(self) -> None:
        """Raise `LedgerUnavailable` unless the database can be written to now."""
        with self.writing() as connection:
            # Changes nothing, and is refused where a change would be; taking the write lock alone is not.
            connection.execute(update(evidence_state).values(id=0).where(false()))

    def close(self) -> None:
        """Close all idle connections."""
        self.engine.dispose()


@contextmanager
def no_garbage() -> Iterator[None]:
    """Keep the collector still while very many rows are read: they are no garbage, and it would walk all of them.

    That took a third of the time. What goes meanwhile goes by its count of references, as almost everything does.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def in_batches(connection: Connection, query: Select[Any], size: int) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield the rows of a query in lists, however many they are; for reading in bulk.

    On SQLite they are the driver's own tuples, where making a row object of each would take half as long again, so
    booleans are 0 and 1.
    """
    if connection.dialect.name == "sqlite":
        cursor = connection.execute(query).cursor
        while cursor is not None and (rows := cursor.fetchmany(size)):
            yield rows
    else:
        yield from connection.execution_options(yield_per=size).execute(query).partitions(size)


def connect(url: str, *, timeout_s: float = TIMEOUT_S) -> Database:
    """Return the database at `url` without looking at its schema; `schema.open_database` is what most callers want.

    Parameters
    ----------
    url : str
        `sqlite:///path`, a path, or `postgresql://user:password@host/name`.

    Raises
    ------
    LedgerUnavailable
        If the URL is none of these.
    MissingExtra
        If it is Postgres, and its driver is not installed.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, timeout_s)
    return _postgres(parsed, timeout_s)


def _parse(url: str) -> URL:
    if "://" not in url:
        return URL.create("sqlite", database=str(Path(url).expanduser()))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The text is not repeated: what looks like no URL may still hold a password.
        raise LedgerUnavailable(_USAGE) from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        if "@" in (parsed.database or ""):  # a password with a slash that is not written %2F; part of it would be shown
            raise LedgerUnavailable(f"{_USAGE}, its special characters written as %2F and the like")
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return parsed.set(drivername="sqlite+pysqlite")
    raise LedgerUnavailable(f"{parsed.drivername}: {_USAGE}")


_USAGE = "the database's address must be sqlite:///path, a path, or postgresql://user:password@host/name"


def _sqlite(url: URL, timeout_s: float) -> Database:
    if url.database in (None, "", ":memory:"):
        raise LedgerUnavailable("a database in memory cannot be shared between threads; give the path of a file")
    engine = create_engine(url, connect_args={"timeout": timeout_s}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection has no common type
        # The driver would begin transactions late, at the first write; we begin them ourselves.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        # 16 MB each of cache and of log before it is copied into the file: a tenth less time per call in batches.
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        # In WAL, NORMAL already survives the death of the process; FULL survives that of the machine. It costs one
        # fsync per group of facts, in the writer's thread.
        synchronous = options.get(_SYNCHRONOUS)
        if synchronous is not None:
            connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
        statement = options.get(_BEGIN, "BEGIN")
        if statement is not None:
            connection.exec_driver_sql(statement)

    return Database(engine, url.database or "", timeout_s)


def _postgres(url: URL, timeout_s: float) -> Database:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise MissingExtra("a Postgres database", "postgres") from None
    waiting = {"connect_timeout": max(2, round(timeout_s)), "tcp_user_timeout": round(2_000 * timeout_s)}
    waiting = {name: value for name, value in waiting.items() if name not in url.query}
    try:
        engine = create_engine(
            url,
            connect_args=waiting,
            hide_parameters=True,
            pool_pre_ping=True,
            paramstyle="format",  # rows as tuples, as on SQLite
        )
    except (SQLAlchemyError, TypeError, ValueError):
        raise LedgerUnavailable(_USAGE) from None
    port = f":{url.port}" if url.port else ""
    return Database(engine, f"postgresql://{url.host or 'localhost'}{port}/{url.database or ''}", timeout_s)
