"""`optimizer budgets` shows every limit in its present window, and says how to set one where there is none."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from optimizer.cli import budgets
from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.decision.limits import Wanted
from optimizer.ledger.limits import spending_limits
from optimizer.ledger.purse import Purse
from optimizer.ledger.schema import open_database
from optimizer.settings import load_settings

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONFIG = """
timezone: America/New_York
routing:
  cost_limits: {hourly_usd: 1, monthly_usd: 100}
  tenant_limits: {"*": {daily_usd: 0.5}}
use_cases:
  chat: {cost_limits: {daily_usd: 0.25}}
"""


@pytest.fixture
def app(tmp_path: Path) -> App:
    """A ledger where acme spent 20 cents on chats and has 5 reserved."""
    config, path = tmp_path / "o.yaml", tmp_path / "ledger.db"
    config.write_text(CONFIG)
    database = open_database(str(path))
    purse = Purse(database, spending_limits(load_settings(config, {})), clock=lambda: NOW)
    purse.charge("chat", "acme", 200_000_000).result()
    purse.reserve(Wanted(50_000_000, 1, "chat", "acme")).result()
    purse.close()
    database.close()
    return App({}, now=lambda: NOW, database=str(path), config=config)


def test_every_limit_is_shown_as_it_stands(app: App, capsys: Capture) -> None:
    assert run(cli, ["budgets"], app) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "Spending limits at 2026-11-24 07:00 (America/New_York)"
    rows = [line.split("  ") for line in lines if "2026" in line]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        ["everything", "hour", "$1.00", "$0.200", "$0.0500", "$0.750", "2026-11-24 08:00"],
        ["everything", "month", "$100.00", "$0.200", "$0.0500", "$99.75", "2026-12-01 00:00"],
        ["use case chat", "day", "$0.250", "$0.200", "$0.0500", "$0.00", "2026-11-25 00:00"],
        ["tenant *", "day", "$0.500", "$0.00", "$0.00", "$0.500", "2026-11-25 00:00"],
        ["tenant acme", "day", "$0.500", "$0.200", "$0.0500", "$0.250", "2026-11-25 00:00"],
    ]
    assert lines[-1].startswith("tenant * is each tenant without limits of its own")


def test_json_has_the_same_in_dollars(app: App, capsys: Capture) -> None:
    assert run(cli, ["budgets", "--json"], app) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["at"], found["timezone"], len(found["limits"])) == (NOW.isoformat(), "America/New_York", 5)
    assert found["limits"][2] == {
        "limit": "use case chat",
        "window": "day",
        "starts_at": "2026-11-24T00:00:00-05:00",
        "opens_at": "2026-11-25T00:00:00-05:00",
        "limit_usd": 0.25,
        "spent_usd": 0.2,
        "reserved_usd": 0.05,
        "left_usd": 0.0,
    }


def test_without_a_limit_it_says_how_to_set_one_and_needs_no_ledger(tmp_path: Path, capsys: Capture) -> None:
    app = App({}, now=lambda: NOW, database=str(tmp_path / "none.db"))
    assert run(cli, ["budgets"], app) == 0
    assert capsys.readouterr().out.startswith("No spending limit is set, so nothing is ever refused for its cost.")
    assert run(cli, ["budgets", "--json"], app) == 0
    assert json.loads(capsys.readouterr().out)["limits"] == []
    assert list(tmp_path.iterdir()) == []


def test_the_limits_it_suggests_can_be_set(tmp_path: Path) -> None:
    text = "".join(line + "\n" for line in budgets._NONE_SET.splitlines() if line.startswith("  "))
    assert set(yaml.safe_load(text)) == {"timezone", "routing", "use_cases"}
    config = tmp_path / "o.yaml"
    config.write_text(text)
    assert len(spending_limits(load_settings(config, {})).amounts) == 4


def test_a_ledger_that_is_not_there_is_not_made(app: App, tmp_path: Path, capsys: Capture) -> None:
    app.database = str(tmp_path / "none.db")
    assert run(cli, ["budgets"], app) == 1
    assert "none.db does not exist; make a call first" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
