"""`optimizer ask` makes real calls over a socket, tells what they took, and ends cleanly whatever ends it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.ledger.schema import open_database
from optimizer.simulation.fake_gateway import FakeServer, Script, Trouble, running_gateway
from optimizer.simulation.fake_gateway.script import ModelScript

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
SCRIPT = Script(default=ModelScript(answer="Hello, friend", output_tokens=8))
NANO = "gpt-5.4-nano"  # the incumbent of chat


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running_gateway(SCRIPT) as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def _environ(fake: FakeServer) -> dict[str, str]:
    return {"PORTKEY_API_KEY": "pk-1", "PORTKEY_BASE_URL": fake.portkey_url}


def _ask(fake: FakeServer, path: Path, *arguments: str) -> int:
    return run(cli, ["ask", *arguments], App(_environ(fake), database=str(path)))


def _calls(path: Path) -> list[StoredCall]:
    with closing(open_database(str(path))) as database:
        return recent_calls(database)


def _json(capsys: Capture) -> Any:
    return json.loads(capsys.readouterr().out)


def test_answer_is_on_stdout_and_what_it_took_on_stderr(fake: FakeServer, path: Path, capsys: Capture) -> None:
    assert _ask(fake, path, "Say hello.", "--use-case", "chat") == 0
    out, err = capsys.readouterr()
    (call,) = _calls(path)
    assert (out, err.count("\n")) == ("Hello, friend\n", 1)
    assert err.startswith(f"{NANO} through portkey · ")
    assert f"call {call.selection.call_id} · optimizer rate {call.selection.call_id} 0.9 --database {path} · " in err
    assert f"optimizer explain {call.selection.call_id} --database {path}\n" in err
    assert " out tokens · $0.0000" in err


def test_answer_comes_in_pieces(fake: FakeServer, path: Path) -> None:
    assert _ask(fake, path, "Say hello.") == 0
    assert fake.requests[-1].body["stream"] is True


def test_every_option_reaches_the_gateway_or_the_choice(fake: FakeServer, path: Path, capsys: Capture) -> None:
    options = "--system Briefly. --required-quality 0.5 --max-tokens 50 --session-id s --use-case quick --json"
    assert _ask(fake, path, "Hi", *options.split()) == 0
    (call,) = _calls(path)
    sent = fake.requests[-1].body
    assert [message["content"] for message in sent["messages"]] == ["Briefly.", "Hi"]
    assert 50 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    request = call.selection.request
    assert (request.session_id, request.required_quality, call.selection.use_case) == ("s", "0.5", "quick_responses")
    assert call.selection.decision.objective == "floor:0.5"
    assert _json(capsys)["use_case"] == "quick_responses"


def test_json_is_the_whole_result(fake: FakeServer, path: Path, capsys: Capture) -> None:
    assert _ask(fake, path, "Say hello.", "--json", "--objective", "quality") == 0
    found = _json(capsys)
    (call,) = _calls(path)
    assert (found["content"], found["model"], found["gateway"]) == ("Hello, friend", call.selection.model_id, "portkey")
    assert (found["call_id"], found["cost_usd"]) == (call.selection.call_id, call.known_cost_usd)
    assert [attempt["model_id"] for attempt in found["attempts"]] == [found["model"]]


def test_prompt_is_read_from_stdin(
    fake: FakeServer, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "prompt.txt").write_text("From a file.")
    with (tmp_path / "prompt.txt").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert _ask(fake, path, "-") == 0
    assert fake.requests[-1].body["messages"][0]["content"] == "From a file."


@pytest.mark.parametrize("wrong", [[" "], ["Hi", "--max-tokens", "0"], ["Hi", "--objective", "cheap"]])
def test_wrong_question_is_one_line_and_nobody_is_asked(
    fake: FakeServer, path: Path, wrong: list[str], capsys: Capture
) -> None:
    assert _ask(fake, path, *wrong) in (1, 2)
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), len(fake.requests)) == ("", 1, 0)


def test_without_a_key_it_says_how_to_get_one_and_makes_no_ledger(path: Path, capsys: Capture) -> None:
    assert run(cli, ["ask", "Hi"], App({}, database=str(path))) == 1
    err = capsys.readouterr().err
    assert "set PORTKEY_API_KEY (portkey.ai) or OPENROUTER_API_KEY (openrouter.ai)" in err
    assert "`optimizer ask --fake` shows it without a key" in err
    assert not path.exists()


def test_fake_says_that_it_is_one_and_throws_its_ledger_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(cli, ["ask", "Hi", "--fake"], App({})) == 0
    out, err = capsys.readouterr()
    assert err.startswith("A fake gateway on this machine answers: no model is asked, and nothing is paid.\n")
    assert err.endswith("its ledger is thrown away\n")
    assert out.strip()
    assert list(tmp_path.iterdir()) == []


def test_fake_keeps_its_call_in_a_ledger_that_is_named(path: Path) -> None:
    assert run(cli, ["ask", "Hi", "--fake"], App({}, database=str(path))) == 0
    assert [call.served is not None for call in _calls(path)] == [True]


def test_fake_asks_nobody_else_whatever_the_configuration_says(fake: FakeServer, tmp_path: Path) -> None:
    config = tmp_path / "o.yaml"
    config.write_text(
        f"portkey_config: {{api_key: real, base_url: '{fake.portkey_url}', custom_host: '{fake.portkey_url}'}}\n"
        f"direct_config: {{openai: {{base_url: '{fake.portkey_url}', api_key: real}}}}\n"
        "use_cases: {mine: {model_id: gpt-4o, provider: direct}}\n"
    )
    assert run(cli, ["ask", "Hi", "--fake", "--use-case", "mine"], App({}, config=config)) == 0
    assert len(fake.requests) == 0


def test_models_answer_side_by_side_and_a_failed_one_shows_why(fake: FakeServer, path: Path, capsys: Capture) -> None:
    """A model that is no candidate of the use case is asked too; one that nobody knows is not."""
    fake.play(SCRIPT.model_copy(update={"models": {NANO: ModelScript(troubles=(Trouble(fault="forbidden"),))}}))
    assert _ask(fake, path, "Say hello.", "--models", f"gpt-4o, {NANO},gpt-9,gpt-4o") == 0
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert out.split()[:3] == ["gpt-4o", NANO, "gpt-9"]
    assert "Hello, friend" in rows["answer"]
    assert "failed: call" in rows["answer"]
    assert "unknown model 'gpt-9'" in rows["answer"]
    assert sorted(err.splitlines()) == ["gpt-4o: answered", f"{NANO}: failed", "gpt-9: failed"]
    assert {call.selection.overridden_by for call in _calls(path)} == {"pin"}


def test_comparison_in_json_has_reply_or_error_of_each(fake: FakeServer, path: Path, capsys: Capture) -> None:
    assert _ask(fake, path, "Say hello.", "--models", "gpt-4o,gpt-9", "--json") == 0
    good, bad = _json(capsys)["answers"]
    assert (good["model"], good["reply"]["content"], good["error"]) == ("gpt-4o", "Hello, friend", None)
    assert (bad["model"], bad["reply"]) == ("gpt-9", None)
    assert bad["error"].startswith("model: unknown model 'gpt-9'")


def test_comparison_in_which_nobody_answers_fails(fake: FakeServer, path: Path) -> None:
    assert _ask(fake, path, "Say hello.", "--models", "gpt-8,gpt-9") == 1


def test_stream_that_breaks_is_told_on_a_line_of_its_own(fake: FakeServer, path: Path, capsys: Capture) -> None:
    fake.play(SCRIPT.model_copy(update={"troubles": (Trouble(fault="cut"),)}))
    assert _ask(fake, path, "Say hello.") == 1
    out, err = capsys.readouterr()
    assert out.endswith("\n")
    assert err.startswith("optimizer: error: ")
    (call,) = _calls(path)
    assert (call.attempts[-1].served, call.attempts[-1].cost_source) == (False, "estimated")


def test_ctrl_c_ends_quietly_and_the_ledger_has_what_was_used(fake: FakeServer, path: Path) -> None:
    fake.play(Script(default=ModelScript(output_tokens=2_000, tokens_per_s=20.0)))
    command = [sys.executable, "-W", "error", "-m", "optimizer", "ask", "Tell me more", "--database", str(path)]
    environ = {**os.environ, **_environ(fake), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, b"")
    (call,) = _calls(path)
    (attempt,) = call.attempts
    assert (attempt.served, attempt.error_kind, attempt.cost_source) == (False, "cancelled", "estimated")
    assert attempt.cost_nano_usd
