"""What tests of several folders need: an empty ledger, on SQLite and on a real Postgres server started once a run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from optimizer.ledger.database import connect
from optimizer.ledger.schema import open_database, upgrade
from optimizer.ledger.tables import metadata
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
        connection.execute(
            text("UPDATE evidence_state SET epoch = 1, hours_before_s = 0, days_before_s = 0, kept_from_s = 0")
        )
    database.close()
