"""`optimizer config check` names every wrong key, or shows what the configuration leads to."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _check(tmp_path: Path, text: str, *options: str, **environ: str) -> int:
    path = tmp_path / "optimizer.yaml"
    path.write_text(text)
    return run(cli, ["config", "check", str(path), *options], App(environ, now=lambda: NOW))


def test_routes_are_shown_whole(tmp_path: Path, capsys: Capture) -> None:
    """Model ids are never cut, however narrow the default width of a pipe."""
    assert _check(tmp_path, "") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Routes in force on 2026-11-24 12:00 UTC" in out
    for word in ("business_analytics", "analysis", "average:97%", "gemini-3.1-flash-lite", "claude-3-sonnet"):
        assert word in out
    assert "Unknown use cases: go to chat" in out


def test_rules_flags_and_retired_models_are_shown(tmp_path: Path, capsys: Capture) -> None:
    text = """
routing: {rules: [{name: long, condition: context_tokens > 32000, model: gpt-4.1}]}
use_cases: {chat: {candidates: [gpt-4o, gpt-4-turbo]}}
default_use_case: null
"""
    assert _check(tmp_path, text, LLM_COST_OPTIMIZATION="false") == 0
    out = capsys.readouterr().out
    assert "context_tokens > 32000" in out
    assert "chat: no longer served, left out: gpt-4-turbo" in out
    assert "Switched off in the environment: cost_optimization" in out
    assert "Unknown use cases: refused" in out


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("use_cases: {chat: {guard: 3}}\ncash: 1", ["use_cases.chat.guard: must be less than 1", "cash: unknown key"]),
        ("use_cases: {chat: {incumbent: gpt-9}}", ["use_cases.chat.incumbent: no model 'gpt-9' in the catalogue"]),
        ("use_cases: {chat: {", ["line 1: is no YAML"]),
    ],
)
def test_every_problem_is_a_line_with_its_key(tmp_path: Path, capsys: Capture, text: str, lines: list[str]) -> None:
    assert _check(tmp_path, text) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == len(lines)
    for line, expected in zip(err.splitlines(), lines, strict=True):
        assert line.startswith(f"optimizer: error: {tmp_path / 'optimizer.yaml'}: {expected}")


def test_json_says_the_same(tmp_path: Path, capsys: Capture) -> None:
    assert _check(tmp_path, "use_cases: {mine: {model_id: gpt-4o}}", "--json", OPENROUTER_API_KEY="s3cret") == 0
    out = capsys.readouterr().out
    assert "s3cret" not in out
    checked = json.loads(out)
    assert checked["valid"] is True
    assert checked["gateways"] == ["openrouter"]
    (candidate,) = checked["use_cases"]["mine"]["candidates"]
    assert candidate["wire_name"] == "openai/gpt-4o"
    assert candidate["output_usd_per_mtok"] == 10.0


def test_json_of_problems(tmp_path: Path, capsys: Capture) -> None:
    assert _check(tmp_path, "cash: 1", "--json") == 1
    checked = json.loads(capsys.readouterr().out)
    assert (checked["valid"], checked["problems"]) == (False, ["cash: unknown key; did you mean cache?"])


def test_config_option_names_the_file_too(tmp_path: Path, capsys: Capture) -> None:
    assert run(cli, ["config", "check", "--config", str(tmp_path / "none.yaml")], App({})) == 1
    assert "none.yaml: cannot be read: No such file or directory" in capsys.readouterr().err


def test_without_a_file_the_environment_is_checked(capsys: Capture) -> None:
    assert run(cli, ["config", "check"], App({"LLM_ROUTING_ENABLED": "maybe"})) == 1
    assert capsys.readouterr().err.startswith("optimizer: error: environment: LLM_ROUTING_ENABLED: must be true")
