"""`optimizer evaluate` sets a dry run beside what happened, and says what it leaves out or refuses."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.engine import Optimizer

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NEW = "use_cases: {mine: {candidates: [gpt-4o, gpt-oss-120b], objective: 'value:0.0001', exploration: 0.2}}"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of four hundred calls of one use case; beside it the settings of another policy."""
    path = tmp_path_factory.mktemp("evaluate") / "ledger.db"
    config = path.with_name("old.yaml")
    config.write_text(
        "use_cases: {mine: {candidates: [gpt-4o, gpt-oss-120b], objective: 'average:0.5', exploration: 0.8}}"
    )
    path.with_name("new.yaml").write_text(NEW)
    now = [NOW]
    with Optimizer.open(config, database=str(path), environ={}, background=False, clock=lambda: now[0]) as opt:
        for number in range(400):
            now[0] = NOW + timedelta(seconds=15 * number)
            selection = opt.select_optimal_model("mine", 1000)
            opt.record(
                selection, usage={"prompt_tokens": 1000, "completion_tokens": 100 + number % 5}, latency_ms=500.0
            )
            opt.rate(selection.call_id, 0.9 if selection.model_id == "gpt-4o" else 0.7)
            if number % 50 == 0:
                opt.refresh(flush=True)
    return path


def _run(path: Path, *arguments: str, config: str = "new.yaml") -> int:
    app = App({}, now=lambda: NOW + timedelta(hours=3), database=str(path))
    return run(cli, ["evaluate", *arguments, "--config", str(path.with_name(config))], app)


def test_new_configuration_is_set_beside_what_happened(path: Path, capsys: Capture) -> None:
    assert _run(path) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = [line for line in out.splitlines() if line.startswith(" mine")]
    assert [line.split()[1] for line in rows] == ["what", "configured"]
    assert "gpt-oss-120b" in rows[1]


def test_json_has_every_figure_with_its_limits(path: Path, capsys: Capture) -> None:
    assert _run(path, "--policy", "fixed:gpt-4o", "--policy", "random", "--policy", "average:90%", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["policy"] for row in found["policies"]] == ["fixed:gpt-4o", "random", "average:90%"]
    fixed = found["policies"][0]
    cost = fixed["figures"]["cost_usd"]
    assert cost["value"] == pytest.approx(0.0035, rel=0.02)
    assert cost["low"] <= cost["value"] <= cost["high"]
    assert fixed["total_usd"]["value"] == pytest.approx(cost["value"] * fixed["n_calls"])
    assert fixed["ess"] > 100
    assert found["happened"][0]["share"].keys() == {"gpt-4o", "gpt-oss-120b"}


def test_refusal_is_said_in_words(path: Path, capsys: Capture) -> None:
    assert _run(path, "--policy", "fixed:claude-opus-5") == 0
    out = capsys.readouterr().out
    assert "refused" in out
    assert "mine, fixed:claude-opus-5: no cost, quality, latency: the log is worth 0 calls of this policy" in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--policy", "best"), 2, "'best' is none of logged, incumbent, random, configured, fixed:<model>"),
        (("--since", "1h", "--until", "2h"), 2, "--since must be earlier than --until"),
        (("--use-case", "nowhere"), 1, "nowhere"),
    ],
)
def test_wrong_questions_are_refused(path: Path, arguments, code: int, says: str, capsys: Capture) -> None:
    assert _run(path, *arguments) == code
    assert says in capsys.readouterr().err


def test_period_without_calls_says_so(path: Path, capsys: Capture) -> None:
    assert _run(path, "--since", "2026-01-01", "--until", "2026-02-01") == 0
    assert "nothing can be said of another policy" in capsys.readouterr().out


def test_help_ends_with_an_example(capsys: Capture) -> None:
    assert run(cli, ["evaluate", "--help"], App({})) == 0
    assert "optimizer evaluate --policy average:95%" in capsys.readouterr().out
