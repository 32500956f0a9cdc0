"""`optimizer savings` shows the report's own numbers, and in words how each was found."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.domain import Usage
from optimizer.engine import Optimizer

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=1000, output_tokens=200)
SETTINGS = """
use_cases:
  code: {candidates: [gpt-4o, gpt-oss-120b], baseline: gpt-4o, objective: "average:90%", holdout: 0.3, exploration: 0.3}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger whose holdout of three in ten has run for a while; its settings lie beside it."""
    path = tmp_path_factory.mktemp("savings") / "ledger.db"
    path.with_name("o.yaml").write_text(SETTINGS)
    with _opened(path) as opt:
        for number in range(260):
            selection = opt.select_optimal_model("code", 1000, session_id=f"s{number // 2}" if number > 200 else None)
            opt.record(selection, usage=USAGE)
            opt.rate(selection.call_id, 0.9)
            if number % 25 == 0:
                opt.refresh(flush=True)
    return path


def _opened(path: Path, **environ: str) -> Optimizer:
    config = path.with_name("o.yaml")
    return Optimizer.open(config, database=str(path), environ=environ, background=False, clock=lambda: NOW)


def _run(path: Path, verb: str, *arguments: str) -> int:
    options = ["--config", str(path.with_name("o.yaml"))]
    return run(cli, [verb, *arguments, *options], App({}, now=lambda: NOW, database=str(path)))


def test_holdout_is_read_as_an_experiment_with_its_method_in_words(path: Path, capsys: Capture) -> None:
    assert _run(path, "savings") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "experiment: mean cost of the held-out calls, which the incumbent served by lot" in out
    assert "Saved against the baseline" in out


def test_savings_and_report_say_the_same(path: Path, capsys: Capture) -> None:
    found = {}
    for verb in ("savings", "report"):
        assert _run(path, verb, "--json") == 0
        found[verb] = json.loads(capsys.readouterr().out)
    assert found["savings"]["saving"] == found["report"]["saving"]
    assert found["savings"]["saving"]["kind"].startswith("experiment")
    assert [u["saving"] for u in found["savings"]["use_cases"]] == [u["saving"] for u in found["report"]["use_cases"]]


def test_later_turns_of_held_out_sessions_are_held_out_too(path: Path, capsys: Capture) -> None:
    """A saving is only of calls that were optimised: what the incumbent served by lot saved nothing."""
    assert _run(path, "savings", "--json") == 0
    saving = json.loads(capsys.readouterr().out)["saving"]
    assert saving["n_calls"] == 260
    assert saving["low_usd"] == saving["saved_usd"] == saving["high_usd"]  # the held-out ones cost all the same
    with _opened(path) as opt:
        served = [opt.call(i).selection for i in _ids(opt)]
    cheap = sum(selection.model_id == "gpt-oss-120b" for selection in served)
    full = 0.0045 - saving["paid_usd"] / 260
    assert saving["saved_usd"] == pytest.approx(260 * full, rel=0.02)
    assert cheap > 0


def _ids(opt: Optimizer) -> list[str]:
    from optimizer.ledger.calls import recent_calls

    return [call.selection.call_id for call in recent_calls(opt.database, limit=1000)]


def test_observe_mode_says_what_would_have_been_saved(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "ledger.db"
    path.with_name("o.yaml").write_text(
        "use_cases: {code: {candidates: [gpt-4o, gpt-oss-120b], objective: 'value:0.001'}}"
    )
    with _opened(path, LLM_COST_OPTIMIZATION="false") as opt:
        for _ in range(12):
            opt.record(opt.select_optimal_model("code", 1000), usage=USAGE)
    assert _run(path, "savings") == 0
    out = capsys.readouterr().out
    assert "observe mode: It would have saved $" in out
    assert " ± $" in out


def test_empty_period_says_so_and_a_wrong_one_is_refused(path: Path, capsys: Capture) -> None:
    assert _run(path, "savings", "--until", "2026-01-01") == 0
    assert "No call in this period" in capsys.readouterr().out
    assert _run(path, "savings", "--since", "1h", "--until", "2h") == 2
    assert "--since must be earlier than --until" in capsys.readouterr().err


def test_help_ends_with_an_example(capsys: Capture) -> None:
    assert run(cli, ["savings", "--help"], App({})) == 0
    assert "optimizer savings --since 30d" in capsys.readouterr().out
