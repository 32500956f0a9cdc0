"""`optimizer select`, `rate` and `explain`: one call from its choice to its rating, and what is refused on the way."""

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.domain import Usage
from optimizer.engine import Optimizer
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.ledger.schema import open_database

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LABELS = "use_cases: {chat: {metrics: {labels: {good: 1.0, so-so: 0.5}, others: [tone]}}}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def _run(url: str, *arguments: str, config: Path | None = None) -> int:
    return run(cli, list(arguments), App({}, now=lambda: NOW, config=config, database=url))


def _json(capsys: Capture, url: str, *arguments: str) -> dict[str, Any]:
    assert _run(url, *arguments, "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    value: dict[str, Any] = json.loads(out)
    return value


def _calls(url: str) -> list[StoredCall]:
    with closing(open_database(url)) as database:
        return recent_calls(database)


@pytest.fixture
def call_id(url: str, capsys: Capture) -> str:
    return str(_json(capsys, url, "select", "chat", "--context-length", "900")["call_id"])


def test_select_says_who_how_likely_and_how_to_rate(url: str, capsys: Capture) -> None:
    assert _run(url, "select", "code", "--context-length", "6000") == 0
    out, err = capsys.readouterr()
    found = dict(line.split(maxsplit=1) for line in out.splitlines()[:3])
    assert found == {"model": "gpt-4o", "gateway": "portkey", "propensity": "100.0%"}
    assert "0 ratings: staying on gpt-4o" in out
    (call,) = _calls(url)
    assert f"optimizer rate {call.selection.call_id} 0.9 --database {url}" in out
    assert err == ""


def test_every_option_of_select_reaches_the_request(url: str, capsys: Capture) -> None:
    options = (
        "--context-length 7 --objective value:0.05 --needs-tools --needs-json-schema --cost-tier economy "
        "--session-id s --tenant t --max-cost-usd 0.5 --expected-output-tokens 50 --model gpt-5.4-mini"
    )
    _json(capsys, url, "select", "code_generation", *options.split())
    (call,) = _calls(url)
    asked = call.selection.request.model_dump(exclude_defaults=True)
    assert asked == {
        "use_case": "code_generation",
        "context_tokens": 7,
        "objective": "value:0.05",
        "needs_tools": True,
        "needs_json_schema": True,
        "cost_tier": "economy",
        "session_id": "s",
        "tenant": "t",
        "max_cost_usd": 0.5,
        "expected_output_tokens": 50,
        "model": "gpt-5.4-mini",
    }
    assert (call.selection.model_id, call.selection.overridden_by) == ("gpt-5.4-mini", "pin")


def test_required_quality_asks_for_the_cheapest_good_enough(url: str, capsys: Capture) -> None:
    _json(capsys, url, "select", "code", "--required-quality", "0.85")
    (call,) = _calls(url)
    assert (call.selection.decision.objective, call.selection.decision.required_quality) == ("floor:0.85", "0.85")


def test_pin_is_shown_beside_what_was_drawn(url: str, capsys: Capture) -> None:
    assert _run(url, "select", "code", "--model", "gpt-5.4-mini") == 0
    assert "100.0% of gpt-4o; overridden by pin" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--context-length", "99000000"], "gpt-5.4-nano: its window of 400,000 tokens is too short for 99,000,000"),
        (["--context-length", "-1"], "context_length: "),
        (["--model", "gpt-9"], "model: unknown model 'gpt-9'; known: gpt-5.4-nano"),
        (["--required-quality", "nan"], "required_quality: 'nan' is out of range"),
        (["--objective", "cheap"], "objective: 'cheap' is none of quality"),
        (["--max-cost-usd", "nan"], "max_cost_usd: "),
    ],
)
def test_wrong_request_is_one_line_and_leaves_nothing(
    url: str, arguments: list[str], line: str, capsys: Capture
) -> None:
    assert _run(url, "select", "chat", *arguments) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("optimizer: error: ")
    assert line in err
    assert _calls(url) == []


def test_unknown_use_case_is_refused_where_no_default_is_set(url: str, tmp_path: Path, capsys: Capture) -> None:
    config = tmp_path / "o.yaml"
    config.write_text("default_use_case: null")
    assert _run(url, "select", "poetry", config=config) == 1
    assert "use_case: unknown use case 'poetry'; known: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"), [("0.25", 0.25), ("true", 1.0), ("False", 0.0), ("4/5", 0.8), ("1", 1.0), ("so-so", 0.5)]
)
def test_rating_may_be_a_number_a_boolean_stars_or_a_label(
    url: str, call_id: str, text: str, value: float, tmp_path: Path, capsys: Capture
) -> None:
    config = tmp_path / "o.yaml"
    config.write_text(LABELS)
    assert _run(url, "rate", call_id, text, config=config) == 0
    assert capsys.readouterr().out == f"{call_id}: quality by user is {value:g}.\n"
    (call,) = _calls(url)
    assert [rating.value for rating in call.feedback] == [value]


def test_rating_is_taken_back(url: str, call_id: str, capsys: Capture) -> None:
    assert _json(capsys, url, "rate", call_id, "0.5", "--rater", "ann") == {
        "call_id": call_id,
        "metric": "quality",
        "rater": "ann",
        "value": 0.5,
        "withdrawn": False,
    }
    assert _json(capsys, url, "rate", call_id, "--withdraw", "--rater", "ann")["withdrawn"] is True
    assert [call.feedback for call in _calls(url)] == [()]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nan"], "value: a rating is a number in [0, 1]"),
        (["1.5"], "value: a rating is a number in [0, 1]"),
        (["6/5"], "value: a rating is a number in [0, 1]"),
        (["4/0"], "'4/0' is no number in [0, 1], true, false, stars such as 4/5"),
        (["great"], "'great' is no number in [0, 1], true, false, stars such as 4/5"),
        (["1", "--metric", "tone"], "metric: unknown metric 'tone'; this use case has: quality"),
        (["1", "--rater", ""], "rater: a name of 1 to 200 characters"),
    ],
)
def test_wrong_rating_is_one_line_and_changes_nothing(
    url: str, call_id: str, arguments: list[str], line: str, capsys: Capture
) -> None:
    assert _run(url, "rate", call_id, *arguments) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert line in err
    assert [call.feedback for call in _calls(url)] == [()]


@pytest.mark.parametrize("verb", [["rate", "nobody", "1"], ["explain", "nobody"]])
def test_unknown_call_is_refused(url: str, call_id: str, verb: list[str], capsys: Capture) -> None:
    assert _run(url, *verb) == 1
    assert capsys.readouterr().err.startswith("optimizer: error: call_id: no call nobody in the ledger")


@pytest.mark.parametrize("arguments", [["x"], ["x", "1", "--withdraw"], []])
def test_rating_without_a_value_or_with_two_wishes_is_wrong_usage(
    url: str, arguments: list[str], capsys: Capture
) -> None:
    assert _run(url, "rate", *arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_explain_tells_what_came_of_the_call(url: str, call_id: str, capsys: Capture) -> None:
    with Optimizer.open(database=url, environ={}, background=False) as opt:
        opt.record(call_id, error="timeout", latency_ms=9000.0)
        usage = Usage(input_tokens=900, output_tokens=120)
        opt.record(call_id, usage=usage, latency_ms=640.0, attempt=1, model="gpt-4o-mini")
        opt.rate(call_id, 0.75, rater="ann")
    assert _run(url, "explain", call_id) == 0
    out = capsys.readouterr().out
    for words in ("gpt-5.4-nano", "failed: timeout", "gpt-4o-mini", "900 / 120", "priced", "ann", "0.75"):
        assert words in out
    assert "It cost $0.000207, and 1 attempts of unknown cost." in out  # 900·$0.15/M + 120·$0.60/M
    found = _json(capsys, url, "explain", call_id)
    assert (found["known_cost_usd"], found["n_unknown_costs"]) == (0.000207, 1)
    assert [a["cost_usd"] for a in found["attempts"]] == [None, 0.000207]
    assert [(r["rater"], r["value"]) for r in found["ratings"]] == [("ann", 0.75)]


def test_explain_says_who_stood_in_and_lists_every_attempt(url: str, call_id: str, capsys: Capture) -> None:
    with Optimizer.open(database=url, environ={}, background=False) as opt:
        opt.record(call_id, error="rate_limit", status=429, latency_ms=12.0, cost_usd=0.0)
        opt.record(
            call_id, usage=Usage(input_tokens=900, output_tokens=120), attempt=1, model="gpt-4o-mini", status=200
        )
    assert _run(url, "explain", call_id) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "gpt-4o-mini through portkey served this chat call; gpt-5.4-nano through portkey was chosen. "
        "The one chosen failed, and this one stood in.\n"
    )
    rows = [line.split() for line in out.splitlines()]
    assert [
        "1",
        "gpt-5.4-nano",
        "portkey",
        "failed:",
        "rate_limit",
        "429",
        "12",
        "unknown",
        "$0.00",
        "reported",
    ] in rows
    assert ["2", "gpt-4o-mini", "portkey", "served", "200", "unknown", "900", "/", "120", "$0.000207", "priced"] in rows
    assert _json(capsys, url, "explain", call_id)["overridden_by"] == "failover"


def test_explain_says_that_nobody_served(url: str, call_id: str, capsys: Capture) -> None:
    with Optimizer.open(database=url, environ={}, background=False) as opt:
        opt.record(call_id, error="timeout")
    assert _run(url, "explain", call_id) == 0
    assert "Nobody served it. It cost unknown, and 1 attempts of unknown cost." in capsys.readouterr().out
    assert _json(capsys, url, "explain", call_id)["overridden_by"] is None


def test_explain_says_that_nothing_is_known_yet(url: str, call_id: str, capsys: Capture) -> None:
    assert _run(url, "explain", call_id) == 0
    out = capsys.readouterr().out
    assert "Nothing is recorded of what came of it." in out
    assert "Nobody has rated it." in out


def test_one_call_in_real_processes(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": "sqlite:///mine.db"}

    def optimizer(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "optimizer", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    chosen = optimizer("select", "chat", "--json")
    assert (chosen.returncode, chosen.stderr) == (0, "")
    call_id = json.loads(chosen.stdout)["call_id"]
    assert optimizer("rate", call_id, "5/5").returncode == 0
    explained = optimizer("explain", call_id, "--json")
    assert json.loads(explained.stdout)["ratings"][0]["value"] == 1.0
    refused = optimizer("rate", call_id, "2")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
