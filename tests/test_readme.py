"""What the README shows runs as it stands: the library's lines, the configuration, the commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from optimizer.simulation.fake_gateway import running_gateway

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
OPERATION = (ROOT / "docs" / "operation.md").read_text()
COMMANDS = re.findall(r"^\.venv/bin/optimizer ([^#\n]*)", TEXT, re.MULTILINE)
RUNNING = re.findall(r"^\$ optimizer ((?:keys|db|serve)[^#\n]*)", TEXT + OPERATION, re.MULTILINE)


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_librarys_ten_lines_choose_record_rate_and_explain(tmp_path: Path) -> None:
    code = _block("python")
    assert len(code.strip().splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "serves this code_generation call" in done.stdout
    assert (tmp_path / "optimizer.db").exists()


def test_the_routers_lines_make_calls(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    with running_gateway() as fake:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PORTKEY_BASE_URL": fake.portkey_url},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert "portkey" in done.stdout
    assert [request.is_stream for request in fake.requests] == [False, True]


def test_the_configuration_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "optimizer.yaml"
    config.write_text(_block("yaml"))
    assert run(cli, ["config", "check", str(config)], App({})) == 0
    assert "support_mail" in capsys.readouterr().out


def test_the_first_result_takes_ten_lines_of_shell_at_most() -> None:
    assert len(_block("sh").strip().splitlines()) <= 10
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shown_is_one_that_there_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its verb and options are known: `--help` after them is reached only if they parse."""
    assert run(cli, [*shlex.split(command), "--help"], App({})) == 0
    assert "Example:" in capsys.readouterr().out


@pytest.mark.parametrize("command", RUNNING)
def test_every_command_to_run_the_service_is_one_that_there_is(command: str) -> None:
    assert run(cli, [*shlex.split(command), "--help"], App({})) == 0


def test_every_metric_that_is_named_is_one_that_there_is() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "optimizer" / "telemetry").glob("*.py"))
    named = set(re.findall(r"`(llm_[a-z_]+)`", OPERATION))
    assert len(named) >= 10
    assert [name for name in named if name.removesuffix("_total") not in sources] == []


@pytest.mark.parametrize("page", re.findall(r"\]\((docs/[a-z.]+)\)", TEXT))
def test_every_page_that_is_linked_is_there(page: str) -> None:
    assert (ROOT / page).exists()


def test_select_as_shown_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (shown,) = (command for command in COMMANDS if command.startswith("select"))
    assert run(cli, shlex.split(shown), App({})) == 0
    assert "gpt-4o" in capsys.readouterr().out
