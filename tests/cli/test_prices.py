"""`optimizer prices` shows what is in force on a date, what is unknown, and what is known to change."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _prices(capsys: Capture, *options: str) -> dict[str, Any]:
    assert run(cli, ["prices", "--json", *options], App({}, now=lambda: NOW)) == 0
    return {line["model"]: line for line in json.loads(capsys.readouterr().out)["prices"]}


def test_every_model_is_shown(capsys: Capture) -> None:
    prices = _prices(capsys)
    assert len(prices) == 63
    assert prices["gpt-4o"]["input_usd_per_mtok"] == 2.5


def test_price_of_a_date_is_the_one_in_force_then(capsys: Capture) -> None:
    before = _prices(capsys, "--at", "2026-12-31", "--model", "gemini-3.8-flash")["gemini-3.8-flash"]
    after = _prices(capsys, "--at", "2027-01-01", "--model", "gemini-3.8-flash")["gemini-3.8-flash"]
    assert (before["input_usd_per_mtok"], after["input_usd_per_mtok"]) == (0.75, 1.5)
    assert before["next_change"] == {"on": "2027-01-01", "input_usd_per_mtok": 1.5, "output_usd_per_mtok": 7.5}
    assert (before["condition"], after["condition"], after["next_change"]) == ("introductory", None, None)


@pytest.mark.parametrize(
    ("at", "hours"), [("2026-11-23T02:00", "peak"), ("2026-11-22T22:00-05:00", "peak"), ("2026-11-23", "off-peak")]
)
def test_time_of_day_may_be_given(at: str, hours: str, capsys: Capture) -> None:
    assert _prices(capsys, "--at", at)["deepseek-v4-pro"]["condition"] == hours


def test_table_says_unknown_and_since_when_a_model_is_gone(capsys: Capture) -> None:
    models = ("gpt-6-sol", "claude-3-opus", "o3", "gemini-3.8-flash")
    options = [part for model in models for part in ("--model", model)]
    assert run(cli, ["prices", *options], App({}, now=lambda: NOW)) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["gpt-6-sol"].rstrip().endswith("unknown")
    assert "retired since 2026-01-05" in lines["claude-3-opus"]
    assert "deprecated until 2026-12-10" in lines["o3"]
    assert "2027-01-01: 1.5 / 7.5" in lines["gemini-3.8-flash"]


def test_unknown_model_is_refused(capsys: Capture) -> None:
    assert run(cli, ["prices", "--model", "gpt-9"], App({})) == 1
    assert capsys.readouterr().err.startswith("optimizer: error: model: unknown model 'gpt-9'; known: gpt-4o")


@pytest.mark.parametrize("at", ["tomorrow", "2026-13-01", "", "0001-01-01T00:00+14:00"])
def test_what_is_no_date_is_wrong_usage(at: str, capsys: Capture) -> None:
    assert run(cli, ["prices", "--at", at], App({})) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "no date such as 2027-01-01" in err
