"""`optimizer export` says what it wrote, can be stopped at any time, and names what it does not know."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from optimizer.analysis.frames import Frames
from optimizer.cli.app import App
from optimizer.cli.main import cli, run
from tests.analysis.small_ledger import fill

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def filled(url: str) -> str:
    fill(url)
    return url


def test_export_is_told_in_words(filled: str, tmp_path: Path, capsys: Capture) -> None:
    assert _run("export", str(tmp_path), "--database", filled) == 0
    words = capsys.readouterr().out
    assert words.startswith(f"{tmp_path}: 3 days written. Rows: ")
    assert "5 attempts, 6 feedback, 5 calls." in words
    assert _run("export", str(tmp_path), "--database", filled) == 0
    assert f"{tmp_path}: 0 days written; 3 had not changed." in capsys.readouterr().out


def test_export_is_told_as_json(filled: str, tmp_path: Path, capsys: Capture) -> None:
    options = ("--since", "2026-03-03", "--until", "2026-03-03T10:00", "--tables", "calls,tags", "--json")
    assert _run("export", str(tmp_path), "--database", filled, *options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == {"tags": 0, "calls": 2}
    assert (found["days"], found["n_complete_days"]) == (["2026-03-03"], 0)


def test_unknown_table_is_refused_by_name(tmp_path: Path, capsys: Capture) -> None:
    assert _run("export", str(tmp_path), "--tables", "calls,keys") == 2
    assert "'keys' is none of calls, tags, attempts" in capsys.readouterr().err


def test_ctrl_c_leaves_whole_files_to_go_on_from(filled: str, tmp_path: Path) -> None:
    """Stopped as soon as there is a file, wherever the export is then."""
    command = (sys.executable, "-m", "optimizer", "export", str(tmp_path), "--database", filled)
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ.copy()) as process:
        while process.poll() is None and not any(tmp_path.rglob("*.parquet")):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, 130), errors
    assert errors.strip() == ""
    assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []
    assert _run("export", str(tmp_path), "--database", filled) == 0
    with Frames.open(tmp_path) as frames:
        assert len(frames.calls.to_polars()) == len(frames.attempts.to_polars()) == 5


def _run(*arguments: str) -> int:
    return run(cli, arguments, App({}))
