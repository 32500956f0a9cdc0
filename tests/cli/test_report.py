"""`optimizer report` reads well at a hundred columns, takes its period in words, and makes no ledger."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.decision.drift import Alarm
from optimizer.domain import Attempt, Usage
from optimizer.engine import Optimizer
from optimizer.ledger.alarms import raise_alarms
from optimizer.ledger.health import BreakerState
from optimizer.router.judging import judge_selection
from optimizer.settings.built_in import USE_CASES

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
YESTERDAY = datetime(2026, 11, 23, 11, tzinfo=UTC)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of a few calls of every use case, most of them of yesterday."""
    path = tmp_path_factory.mktemp("report") / "ledger.db"
    for at, n_calls in ((YESTERDAY, 4), (NOW, 1)):
        with Optimizer.open(database=str(path), environ={}, background=False, clock=lambda at=at: at) as opt:
            for use_case in USE_CASES:
                for number in range(n_calls):
                    selection = opt.select_optimal_model(use_case, 1000)
                    usage = Usage(input_tokens=1000, output_tokens=100 + 10 * number)
                    opt.record(selection, usage=usage, latency_ms=900.0 + number)
                    opt.rate(selection.call_id, 0.8)
    return path


def _run(path: Path, *arguments: str, **environ: str) -> int:
    return run(cli, ["report", *arguments], App(environ, now=lambda: NOW, database=str(path)))


def test_report_reads_well_at_a_hundred_columns(path: Path, capsys: Capture) -> None:
    assert _run(path) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("35 of 35 calls are rated.\n")
    tables = [line for line in out.splitlines() if line.startswith(" ") and "optimizer " not in line]
    assert max(len(line.rstrip()) for line in tables) <= 100
    for words in (
        *USE_CASES,
        "97% of claude-sonnet-5: 0.776",
        "Saved by priced counterfactual: ",
        "Retired baselines, which nobody could call today, at their last known price: ",
        "Where to look next:",
    ):
        assert words in out


@pytest.mark.parametrize(
    ("arguments", "n_calls"),
    [
        (["--since", "24h"], 7),
        (["--since", "2d"], 35),
        (["--since", "2026-11-24"], 7),
        (["--until", "2026-11-23T12:00"], 28),
        (["--since", "2026-11-23T11:30", "--until", "1h"], 0),
        (["--use-case", "quick"], 5),
    ],
)
def test_period_is_a_date_or_a_time_ago(path: Path, arguments: list[str], n_calls: int, capsys: Capture) -> None:
    assert _run(path, *arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["totals"]["n_calls"] == n_calls


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--since", "yesterday"], 2, "'yesterday' is neither a time ago such as 24h nor a date"),
        (["--since", "1h", "--until", "2h"], 2, "--since must be earlier than --until"),
        (["--use-case", "poetry"], 1, "use_case: unknown use case 'poetry'; known: "),
    ],
)
def test_wrong_period_or_use_case_is_one_line(
    path: Path, arguments: list[str], code: int, line: str, capsys: Capture
) -> None:
    assert _run(path, *arguments) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert line in err


def test_observe_mode_is_labelled_as_an_expectation(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "ledger.db"
    off = {"LLM_COST_OPTIMIZATION": "false"}
    with Optimizer.open(database=str(path), environ=off, background=False, clock=lambda: NOW) as opt:
        opt.record(opt.select_optimal_model("chat", 1000, objective="value:0.001"), latency_ms=400.0)
    assert _run(path, **off) == 0
    out = capsys.readouterr().out
    assert "0 ratings of 1 calls.\nNothing can be learned: no rating source for chat; " in out
    assert "chat: 0 ratings: staying on gpt-5.4-nano" in out
    assert "chat, observe mode: what the optimizer's own choice would have been" in out
    assert "at expected cost: an expectation, not a measurement." in out
    assert "unknown" in out


def test_ledger_that_is_not_there_is_not_made(tmp_path: Path, capsys: Capture) -> None:
    assert _run(tmp_path / "none.db") == 1
    assert "none.db does not exist; make a call first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_judging_and_breakers_have_lines_of_their_own(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "ledger.db"
    with Optimizer.open(database=str(path), environ={}, background=False, clock=lambda: NOW) as opt:
        judged = opt.select_optimal_model("chat", 1000)
        opt.record(judged, usage=Usage(input_tokens=1000, output_tokens=100))
        selection = judge_selection(opt.catalog.candidate("gpt-4o", "portkey", NOW), judged, 1000, NOW)
        opt.keep(selection, Attempt(selection.call_id, "gpt-4o", "portkey", NOW, cost_nano_usd=4_500_000))
        past, later = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)
        opt.tell(BreakerState("portkey", "gpt-4o", "open", "rate_limit", 1, past, later))
        opt.tell(BreakerState("openrouter", "*", "open", "auth", 3, past, past))
    assert _run(path) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "of which judging 1 $0.00450 0" in lines
    assert "Judging cost $0.00450, which is not taken off the saving." in lines
    assert "portkey gpt-4o open 2026-11-24 11:59:00 rate_limit, 1 in a row 2026-11-24 12:01:00" in lines
    assert "auth, 3 in a row" in out
    assert "2026-11-24 11:59:00; the next call tries it" in out


def test_drift_is_told_with_what_it_means(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "ledger.db"
    with Optimizer.open(database=str(path), environ={}, background=False, clock=lambda: NOW) as opt:
        opt.record(opt.select_optimal_model("chat", 1000), usage=Usage(input_tokens=1000, output_tokens=100))
        raise_alarms(opt.database, [Alarm(int(YESTERDAY.timestamp()), "gpt-4o", "quality", "decline")], NOW)
    assert _run(path) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Drift: gpt-4o answers worse than before, since 2026-11-23 11:00 UTC; what it showed before" in out
    assert _run(path, "--json") == 0
    (alarm,) = json.loads(capsys.readouterr().out)["alarms"]
    assert (alarm["model_id"], alarm["since"]) == ("gpt-4o", "2026-11-23T11:00:00+00:00")
