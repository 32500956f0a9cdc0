"""Another engine reaches the ledger: on SQLite by a copy without the secrets in it, on Postgres by an address."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest

from optimizer.errors import LedgerUnavailable
from optimizer.ledger.api_keys import create_key
from optimizer.ledger.database import Database
from optimizer.ledger.scanning import SECRET, scannable
from optimizer.ledger.schema import open_database
from optimizer.ledger.shared_secrets import shared_secret
from optimizer.ledger.tables import metadata
from tests.ledger.factory import NOON


@pytest.fixture
def sqlite(sqlite_template: Path, tmp_path: Path) -> Database:
    path = tmp_path / "ledger.db"
    path.write_bytes(sqlite_template.read_bytes())
    return open_database(str(path))


def test_a_copy_holds_no_secret(sqlite: Database, tmp_path: Path) -> None:
    made, _ = create_key(sqlite, NOON, label="web shop", scopes=("call",))
    secret = shared_secret(sqlite, "cookies")
    ledger = scannable(sqlite, tmp_path / "copy.db")
    sqlite.close()
    with closing(sqlite3.connect(ledger.address)) as copy:
        names = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {*metadata.tables} - names == {table.name for table in SECRET}
    assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]
    content = (tmp_path / "copy.db").read_bytes()
    assert made.hash.encode() not in content
    assert secret.hex().encode() not in content


def test_a_copy_that_cannot_be_made_is_told(sqlite: Database, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="cannot be copied into"):
        scannable(sqlite, tmp_path / "gone" / "copy.db")
    sqlite.close()


def test_a_servers_address_has_no_password(postgres_ledger: str, tmp_path: Path) -> None:
    database = open_database(postgres_ledger.replace("ledger@", "ledger:pass%40word@") + "&application_name=me")
    ledger = scannable(database, tmp_path / "copy.db")
    database.close()
    assert unquote("pass%40word") == ledger.password
    assert "pass" not in repr(ledger)
    assert "application_name=me" in ledger.address
    assert ledger.schema == "public"
    assert list(tmp_path.iterdir()) == []
