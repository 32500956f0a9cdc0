"""The command in a process of its own: it says where it is, lets in whom it may, and ends without losing anything."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import optimizer
import optimizer.service
from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import recent_calls
from optimizer.ledger.schema import open_database
from optimizer.settings import load_settings
from optimizer.simulation.fake_gateway import FakeServer, Script, running_gateway
from optimizer.simulation.fake_gateway.script import ModelScript
from tests.service.running import until

ROOT = Path(__file__).parents[2]
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running_gateway(Script(), seed=1) as server:
        yield server


@contextmanager
def serving(fake: FakeServer, database: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Lend the running command and its base URL."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "optimizer",
        "serve",
        "--port",
        "0",
        "--database",
        database,
        *options,
    ]
    environ = {**os.environ, "PORTKEY_API_KEY": "pk", "PORTKEY_BASE_URL": fake.portkey_url}
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip().removeprefix("export OPENAI_BASE_URL=")
        finally:
            process.kill()


def chat(base: str, **more: object) -> httpx.Response:
    return httpx.post(f"{base}/chat/completions", json={**BODY, **more}, timeout=60)


def ended(process: subprocess.Popen[str], how: int = signal.SIGTERM) -> tuple[int, str]:
    """Return the exit code, and what was said on stderr."""
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_it_serves_says_so_and_ends_quietly(fake: FakeServer, tmp_path: Path) -> None:
    with serving(fake, str(tmp_path / "o.db")) as (process, base):
        assert process.stdout is not None
        example = process.stdout.readline()
        assert example.startswith(f"curl {base}/chat/completions ")
        shown = json.loads(example.partition(" -d '")[2].rstrip("'\n"))
        assert httpx.post(f"{base}/chat/completions", json=shown, timeout=60).status_code == 200
        code, errors = ended(process, signal.SIGINT)
    told = [line for line in errors.splitlines() if not line.startswith("{")]
    assert (code, told) == (
        0,
        ["There is no API key: everybody on this machine may call.", "The service listens. Ctrl-C ends it."],
    )


def test_a_call_under_way_is_finished_and_written(fake: FakeServer, tmp_path: Path) -> None:
    fake.play(Script(default=ModelScript(ttft_s=0.5)))
    with serving(fake, str(tmp_path / "o.db")) as (process, base), ThreadPoolExecutor() as threads:
        answer = threads.submit(chat, base)
        assert until(lambda: fake.n_open, 30)
        assert ended(process)[0] == 0
        assert answer.result().json()["choices"]
    database = open_database(str(tmp_path / "o.db"))
    ((attempt,),) = (call.attempts for call in recent_calls(database))
    database.close()
    assert attempt.served


def test_workers_share_one_socket_and_one_ledger(fake: FakeServer, url: str) -> None:
    with serving(fake, url, "--workers", "2") as (process, base):
        calls = [chat(base).headers["x-optimizer-call-id"] for _ in range(20)]
        for call_id in calls:
            rating = httpx.post(f"{base}/feedback", json={"call_id": call_id, "value": 1}, timeout=60)
            assert rating.status_code == 200, rating.text
        assert ended(process)[0] == 0
    database = open_database(url)
    stored = recent_calls(database)
    wrong = verify(database, load_settings(None, {}).reward_rule)
    database.close()
    assert {call.selection.call_id for call in stored} == set(calls)
    assert all(call.served and call.feedback for call in stored)
    assert wrong == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_settings_are_read_again_on_a_signal_and_wrong_ones_refused(
    fake: FakeServer, tmp_path: Path, workers: str
) -> None:
    """A use case more is seen by every worker; a file that is wrong changes nothing."""
    config = tmp_path / "o.yaml"
    config.write_text("")
    more = "use_cases: {poetry: {candidates: [gpt-4o]}}"
    with serving(fake, str(tmp_path / "o.db"), "--workers", workers, "--config", str(config)) as (process, base):
        assert chat(base).status_code == 200
        for text in (more, "use_cases: 7"):
            config.write_text(text)
            process.send_signal(signal.SIGHUP)
            assert until(lambda: all(_has_poetry(base) for _ in range(8)))
        assert ended(process)[0] == 0


def _has_poetry(base: str) -> bool:
    return "auto:poetry" in httpx.get(f"{base}/models", timeout=60).text


def test_workers_end_with_a_supervisor_that_was_killed(fake: FakeServer, tmp_path: Path) -> None:
    with serving(fake, str(tmp_path / "o.db"), "--workers", "2") as (process, base):
        assert chat(base).status_code == 200
        process.kill()
        process.wait(timeout=10)
        assert until(lambda: not _answers(base), 30)


def _answers(base: str) -> bool:
    try:
        return httpx.get(base.removesuffix("/v1") + "/healthz", timeout=5).is_success
    except httpx.HTTPError:
        return False


def test_other_machines_are_not_let_in_without_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = str(tmp_path / "o.db")
    assert run(cli, ["serve", "--host", "0.0.0.0", "--database", database], App({})) == 1  # noqa: S104 - refused
    assert "optimizer keys create" in capsys.readouterr().err


def test_a_taken_port_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(cli, ["serve", "--port", str(port), "--database", str(tmp_path / "o.db")], App({})) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_wrong_settings_are_told_key_by_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "o.yaml"
    config.write_text("service: {max_body_mb: -1}\ncolour: red\n")
    assert run(cli, ["serve", "--config", str(config), "--database", str(tmp_path / "o.db")], App({})) == 1
    said = capsys.readouterr().err
    assert "service.max_body_mb" in said
    assert "colour" in said


def test_without_the_extra_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(optimizer, "service", optimizer.service)  # put back, too: it is made anew below
    for name in [name for name in sys.modules if name.startswith(("optimizer.service", "fastapi"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert run(cli, ["serve", "--database", str(tmp_path / "o.db")], App({})) == 1
    assert "orchestra-optimizer[service]" in capsys.readouterr().err
