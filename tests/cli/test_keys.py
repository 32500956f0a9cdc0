"""`optimizer keys`: a key is printed once, listed without it, and ended at once or after an overlap."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.ledger.api_keys import hash_of, read_keys
from optimizer.ledger.schema import open_database

Capture = pytest.CaptureFixture[str]
Keys = Callable[..., Any]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def keys(path: Path, capsys: Capture) -> Keys:
    """Run a verb with --json and return what it prints."""

    def keys(*arguments: str, at: datetime = NOW) -> Any:
        assert run(cli, ["keys", *arguments, "--json"], App({}, now=lambda: at, database=str(path))) == 0
        return json.loads(capsys.readouterr().out)

    return keys


def _run(path: Path, *arguments: str) -> int:
    return run(cli, ["keys", *arguments], App({}, now=lambda: NOW, database=str(path)))


def test_a_key_alone_goes_to_stdout_so_that_it_can_be_piped(path: Path, capsys: Capture) -> None:
    assert _run(path, "create", "--label", "web shop", "--tenant", "acme", "--expires", "90d") == 0
    out, err = capsys.readouterr()
    with closing(open_database(str(path))) as database:
        (made,) = read_keys(database)
    assert hash_of(out.strip()) == made.hash
    assert err.startswith(f"Key {made.key_id} (web shop): call, feedback for tenant acme, until 2027-02-22 12:00 UTC.")


def test_a_key_has_what_was_asked_for(keys: Keys) -> None:
    asked = ("--scope", "read", "--scope", "admin", "--expires", "2027-01-01", "--requests-per-minute", "600")
    made = keys("create", "--label", "x", *asked)
    assert (made["scopes"], made["requests_per_minute"], made["tenant"]) == (["read", "admin"], 600, None)
    assert made["expires_at"] == "2027-01-01T00:00:00+00:00"
    assert made["key"].startswith(f"oo_{made['id']}_")


def test_keys_are_listed_with_their_state_and_without_themselves(keys: Keys) -> None:
    made = [keys("create", "--label", str(i), "--expires", "1d") for i in range(3)]
    keys("revoke", made[0]["id"])
    listed = {key["id"]: key for key in keys("list", at=NOW + timedelta(hours=1))["keys"]}
    assert [listed[key["id"]]["state"] for key in made] == ["revoked", "usable", "usable"]
    assert keys("list", at=NOW + timedelta(days=1))["keys"][1]["state"] in ("expired", "revoked")
    assert not any(key["key"].rpartition("_")[2] in json.dumps(listed) for key in made)


def test_the_table_tells_people_the_same(path: Path, keys: Keys, capsys: Capture) -> None:
    assert _run(path, "create", "--label", "web shop", "--requests-per-minute", "1200") == 0
    capsys.readouterr()
    assert _run(path, "list") == 0
    out = capsys.readouterr().out
    assert "web shop" in out
    assert "1,200" in out
    assert "usable" in out
    assert "never" in out


def test_rotation_prints_a_new_key_and_ends_the_old_one_later(keys: Keys) -> None:
    old = keys("create", "--label", "x")
    new = keys("rotate", old["id"], "--overlap", "2h")
    assert new["instead_of"] == old["id"]
    assert new["key"] != old["key"]
    ends = {key["id"]: key["expires_at"] for key in keys("list")["keys"]}
    assert ends == {old["id"]: "2026-11-24T14:00:00+00:00", new["id"]: None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "--label", "x", "--scope", "write"), "'write' is not one of"),
        (("create", "--label", "x", "--expires", "soon"), "'soon' is neither a time from now such as 90d"),
        (("create", "--label", "x", "--expires", "2020-01-01"), "expires_at: a time to come"),
        (("create",), "Missing option '--label'"),
        (("rotate", "abc", "--overlap", "long"), "must be a number with a unit"),
        (("revoke", "abc"), "does not exist"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    path: Path, capsys: Capture, arguments: tuple[str, ...], message: str
) -> None:
    assert _run(path, *arguments) != 0
    assert message in capsys.readouterr().err


def test_without_any_key_the_list_says_what_that_means(path: Path, capsys: Capture) -> None:
    open_database(str(path)).close()
    assert _run(path, "list") == 0
    assert "open to all who reach it" in capsys.readouterr().out
