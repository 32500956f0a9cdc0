"""The command serves a fake gateway in a process of its own, says where it is, and ends quietly."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from tests.simulation.fake_calls import MESSAGES, PLAIN

ROOT = Path(__file__).parents[2]
SCRIPT = """
models:
  gpt-4o: {answer: Paris, troubles: [{fault: "rate_limit:7", until_call: 2}]}
"""


@contextmanager
def _serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Lend the running command and the two lines that it prints."""
    command = [sys.executable, "-m", "optimizer", "fake-gateway", "--port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, [process.stdout.readline().strip() for _ in range(2)]
        finally:
            process.kill()


def test_it_serves_by_its_script_and_ends_quietly(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT)
    with _serving("--script", str(path)) as (process, lines):
        base = lines[0].removeprefix("export PORTKEY_BASE_URL=")
        assert lines[1] == f"export OPENROUTER_BASE_URL={base.removesuffix('/v1')}/api/v1"
        body = {"model": "@openai/gpt-4o", "messages": MESSAGES}
        first, second = (httpx.post(f"{base}/chat/completions", json=body, **PLAIN) for _ in range(2))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert second.json()["choices"][0]["message"]["content"] == "Paris"
    assert (process.returncode, errors.strip()) == (130, "The fake gateway listens. Ctrl-C ends it.")


def test_a_taken_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(cli, ["fake-gateway", "--port", str(port)], App({})) == 1
    message = f"optimizer: error: port: cannot listen on 127.0.0.1:{port} (address already in use)"
    assert capsys.readouterr().err.startswith(message)


def test_a_wrong_script_is_told_key_by_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "script.yaml"
    path.write_text("troubles: [{fault: earthquake}]\nspeed: 3\n")
    assert run(cli, ["fake-gateway", "--script", str(path)], App({})) == 1
    error = capsys.readouterr().err
    assert "troubles.0.fault: unknown fault 'earthquake'" in error
    assert "speed: unknown key" in error
