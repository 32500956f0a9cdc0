"""Turn what a database driver raises into errors of our tree that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from optimizer.errors import LedgerError, LedgerNotUpgraded, LedgerUnavailable, NotALedger


@contextmanager
def translated(where: str, timeout_s: float) -> Iterator[None]:
    """Raise what goes wrong inside as a `LedgerError` that names the database; other errors pass."""
    try:
        yield
    except DBAPIError as error:
        raise _from_driver(error, where, timeout_s) from error
    except PoolTimeout as error:
        raise LedgerUnavailable(f"{where}: all connections are in use") from error
    except SQLAlchemyError as error:
        raise LedgerError(f"{where}: {type(error).__name__}") from error


def _from_driver(error: DBAPIError, where: str, timeout_s: float) -> LedgerError:
    # Messages of the driver are not repeated where they may hold values of a row.
    sqlite = getattr(error.orig, "sqlite_errorname", None)
    if sqlite is not None:
        return _from_sqlite(sqlite, str(error.orig), where, timeout_s)
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return _from_postgres(sqlstate, where, timeout_s)
    if error.statement is None or isinstance(error, OperationalError) or error.connection_invalidated:
        # Raised by the client library while it connects or waits; its first line has no secrets in it.
        reason = str(error.orig).strip().partition("\n")[0]
        return LedgerUnavailable(f"{where} cannot be reached: {reason}")
    if isinstance(error, InterfaceError):
        return LedgerUnavailable(f"{where} cannot be reached")
    return LedgerError(f"{where} refuses a value ({type(error.orig).__name__})")


def _locked(where: str, timeout_s: float) -> LedgerError:
    return LedgerUnavailable(
        f"{where} was locked by another process for more than {timeout_s:g} s; end what holds it, or try again"
    )


def _read_only(where: str) -> LedgerError:
    return LedgerUnavailable(f"{where} is read-only; make it writable for this user, or use another database")


def _from_sqlite(name: str, message: str, where: str, timeout_s: float) -> LedgerError:
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return _locked(where, timeout_s)
    if name.startswith("SQLITE_READONLY"):
        return _read_only(where)
    if name.startswith("SQLITE_CANTOPEN"):
        return LedgerUnavailable(f"{where} cannot be opened; does its folder exist, and may this user write there?")
    if name == "SQLITE_NOTADB":
        return NotALedger(f"{where} is not a SQLite database; give the path of a ledger, or of a new file")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PERM", "SQLITE_AUTH")):
        return LedgerUnavailable(f"{where}: {message}")
    if message.startswith(("no such table", "no such column")):
        return _not_upgraded(where)
    return LedgerError(f"{where} refuses a row ({name})")


_LOCKED = ("55P03", "57014", "40P01", "40001")  # lock not available, cancelled, deadlock, serialization
_NO_TABLE = ("42P01", "42703", "3F000")


def _from_postgres(sqlstate: str, where: str, timeout_s: float) -> LedgerError:
    if sqlstate in _LOCKED:
        return _locked(where, timeout_s)
    if sqlstate == "25006":
        return _read_only(where)
    if sqlstate in _NO_TABLE:
        return _not_upgraded(where)
    if sqlstate == "42501":
        return LedgerUnavailable(f"{where}: this user lacks the right to use the ledger's tables")
    if sqlstate.startswith(("08", "28", "3D", "53", "57", "58", "XX", "25")):
        return LedgerUnavailable(f"{where} cannot be used now (SQLSTATE {sqlstate})")
    return LedgerError(f"{where} refuses a row (SQLSTATE {sqlstate})")


def _not_upgraded(where: str) -> LedgerError:
    return LedgerNotUpgraded(f"{where} lacks the ledger's tables: run `optimizer db upgrade`")
