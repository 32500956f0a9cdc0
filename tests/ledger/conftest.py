"""An empty ledger for each test, on both databases."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from optimizer.ledger.database import Database, connect
from optimizer.ledger.schema import open_database, upgrade
from optimizer.ledger.tables import metadata
from optimizer.ledger.writer import Writer
from tests.ledger.factory import rule_of
from tests.ledger.postgres import shared_server

BOTH = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of one test run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def postgres(run_folder: Path) -> Iterator[str]:
    with shared_server(run_folder) as address:
        yield address


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    open_database(str(path)).close()
    return path


@pytest.fixture(scope="session")
def postgres_ledger(postgres: str, worker_id: str) -> str:
    """The address of this process's own ledger, emptied before each test that uses it."""
    url = _new_postgres(postgres, f"ledger_{worker_id}")
    upgrade(url)
    return url


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty ledger, upgraded."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        return f"sqlite:///{shutil.copy(template, tmp_path / 'ledger.db')}"
    url: str = request.getfixturevalue("postgres_ledger")
    _clear(url)
    return url


@pytest.fixture(params=BOTH)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path, worker_id: str) -> Iterator[str]:
    """The address of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bare.db'}"
        return
    address: str = request.getfixturevalue("postgres")
    name = f"bare_{worker_id}"
    yield _new_postgres(address, name)
    _administer(address, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    writer = Writer(database, rule_of, durability="sync")
    yield writer
    writer.close()


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    """Open more databases, closed after the test."""
    databases: list[Database] = []

    def open_one(url: str) -> Database:
        databases.append(open_database(url))
        return databases[-1]

    yield open_one
    for database in databases:
        database.close()


def _new_postgres(address: str, name: str) -> str:
    _administer(address, f"CREATE DATABASE {name}")
    return address.format(name=name)


def _administer(address: str, statement: str) -> None:
    database = connect(address.format(name="postgres"))
    with database.outside_transactions() as connection:
        connection.execute(text(statement))
    database.close()


def _clear(url: str) -> None:
    database = connect(url)
    names = ", ".join(name for name in metadata.tables if name != "evidence_state")
    with database.writing() as connection:
        connection.execute(text(f"TRUNCATE {names}"))
        connection.execute(text("UPDATE evidence_state SET epoch = 1, hours_before_s = 0, days_before_s = 0"))
    database.close()
