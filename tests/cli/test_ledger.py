"""`optimizer verify`, `rebuild` and `db upgrade`, and databases that cannot be used: one line, and nothing changed."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.engine import Optimizer
from optimizer.ledger.tables import SCHEMA_REVISION

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a ledger with one rated call."""
    path = tmp_path / "ledger.db"
    with Optimizer.open(database=str(path), environ={}, background=False, clock=lambda: NOW) as opt:
        selection = opt.select_optimal_model("chat", 900)
        opt.record(selection, latency_ms=600.0, cost_usd=0.0002)
        opt.rate(selection.call_id, 0.9)
    return path


def _run(path: Path, *arguments: str) -> int:
    return run(cli, list(arguments), App({}, now=lambda: NOW, database=str(path)))


def _execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_ledger_in_order_is_said_to_be(path: Path, capsys: Capture) -> None:
    assert _run(path, "verify") == 0
    assert capsys.readouterr().out == f"{path}: evidence follows from 1 calls, to the last unit.\n"
    assert _run(path, "verify", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"database": str(path), "n_calls": 1, "ok": True, "differences": []}


def test_differences_are_shown_and_rebuilding_mends_them(path: Path, capsys: Capture) -> None:
    _execute(path, "UPDATE evidence SET total = total + 1 WHERE measure = 'quality:quality'")
    assert _run(path, "verify") == 1
    out, err = capsys.readouterr()
    assert "quality:quality" in out
    assert "1 9001 81000000" in out
    assert err == f"optimizer: error: {path}: 1 rows of evidence differ from the ledger; run `optimizer rebuild`\n"
    assert _run(path, "verify", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [(d["stored"]["total"], d["expected"]["total"]) for d in found["differences"]] == [(9001, 9000)]
    assert _run(path, "rebuild") == 0
    assert "rows of evidence recomputed from 1 calls" in capsys.readouterr().out
    assert _run(path, "verify") == 0


def test_change_of_the_quality_metric_calls_for_rebuilding(path: Path, tmp_path: Path, capsys: Capture) -> None:
    """A gate that a rating failed makes the call's quality 0, once the configuration says that it is a gate."""
    with Optimizer.open(database=str(path), environ={}, background=False, clock=lambda: NOW) as opt:
        selection = opt.select_optimal_model("chat", 900)
        opt.record(selection, latency_ms=600.0)
        opt.rate(selection.call_id, 0.2)
    config = tmp_path / "o.yaml"
    config.write_text("use_cases: {chat: {metrics: {quality: taste, gates: [quality]}}}")
    app = App({}, now=lambda: NOW, database=str(path), config=config)
    assert run(cli, ["verify"], app) == 1
    assert run(cli, ["rebuild", "--json"], app) == 0
    assert run(cli, ["verify"], app) == 0


def test_upgrade_makes_a_schema_and_then_has_nothing_to_do(tmp_path: Path, capsys: Capture) -> None:
    new = tmp_path / "new.db"
    assert _run(new, "db", "upgrade") == 0
    assert capsys.readouterr().out == f"{new}: brought from empty to revision {SCHEMA_REVISION}.\n"
    assert _run(new, "db", "upgrade", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "database": str(new),
        "revision_before": SCHEMA_REVISION,
        "revision": SCHEMA_REVISION,
        "changed": False,
    }


@pytest.mark.parametrize("bare_url", ["postgres"], indirect=True)
def test_postgres_is_upgraded_before_its_first_use(bare_url: str, capsys: Capture) -> None:
    app = App({"DATABASE_URL": bare_url})
    for verb in (["verify"], ["select", "chat"]):
        assert run(cli, verb, app) == 1
        assert "is empty or of an older version: run `optimizer db upgrade`" in capsys.readouterr().err
    assert run(cli, ["db", "upgrade"], app) == 0
    assert "brought from empty to revision" in capsys.readouterr().out
    for verb in (["select", "chat"], ["verify"], ["report"]):
        assert run(cli, verb, app) == 0


READING = [["verify"], ["rebuild"], ["explain", "x"], ["rate", "x", "1"]]


@pytest.mark.parametrize("verb", READING)
def test_ledger_that_is_not_there_is_not_made(tmp_path: Path, verb: list[str], capsys: Capture) -> None:
    assert _run(tmp_path / "none.db", *verb) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "none.db does not exist; make a call first" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [*READING, ["select", "chat"], ["db", "upgrade"]])
@pytest.mark.parametrize("trouble", ["newer", "foreign", "no database"])
def test_database_that_is_not_ours_is_one_line_and_stays(
    path: Path, verb: list[str], trouble: str, capsys: Capture
) -> None:
    expected = {"newer": "newer than this program's", "foreign": "holds other tables (recipes)"}
    if trouble == "newer":
        _execute(path, "UPDATE ledger_version SET version_num = '9999'")
    else:
        path.unlink()
        for beside in path.parent.glob("ledger.db-*"):
            beside.unlink()
        if trouble == "foreign":
            _execute(path, "CREATE TABLE recipes (name TEXT)")
        else:
            path.write_text("not a database, but a letter of some length to somebody who waits for one")
    before = path.read_bytes()
    assert _run(path, *verb) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert expected.get(trouble, "is not a SQLite database") in err
    assert path.read_bytes() == before


def test_locked_database_is_one_line(path: Path, capsys: Capture) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert _run(path, "rebuild") == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "locked by another process for more than 5 s; end what holds it, or try again" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_database_is_one_line(path: Path, capsys: Capture) -> None:
    path.chmod(0o444)
    assert _run(path, "select", "chat") == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "read-only; make it writable" in err


def test_read_only_database_can_be_verified(path: Path, capsys: Capture) -> None:
    address = f"sqlite:///file:{path}?mode=ro&uri=true"
    assert run(cli, ["verify"], App({}, database=address)) == 0
    assert run(cli, ["select", "chat"], App({}, database=address)) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "is read-only; make it writable for this user, or use another database" in err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("use_cases: {chat: {", "is no YAML"),
        ("use_cases: {chat: {guard: 3}}", "use_cases.chat.guard"),
        (None, "cannot"),
    ],
)
@pytest.mark.parametrize("verb", [["select", "chat"], ["verify"], ["rate", "x", "1"], ["rebuild"]])
def test_wrong_configuration_is_one_line_and_changes_nothing(
    path: Path, tmp_path: Path, verb: list[str], text: str | None, line: str, capsys: Capture
) -> None:
    config = tmp_path / "o.yaml"
    if text is not None:
        config.write_text(text)
    before = path.read_bytes()
    assert run(cli, verb, App({}, database=str(path), config=config)) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert line in err
    assert path.read_bytes() == before


def test_wrong_address_does_not_show_its_password(capsys: Capture) -> None:
    assert run(cli, ["verify"], App({}, database="mysql://me:hunter2@host/name")) == 1
    err = capsys.readouterr().err
    assert "the database's address must be" in err
    assert "hunter2" not in err
