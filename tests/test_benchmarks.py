"""Benchmarks can be listed, and say where the recorded data are missing; their figures are for `make bench`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--list"], 0, "figures "),
        (["figures"], 0, "skipped: no recorded data in"),
        (["speed"], 1, "no benchmark 'speed'; known: decision_speed, "),
    ],
)
def test_benchmarks_by_name(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "ORCHESTRA_DATA": str(tmp_path / "gone")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code
    assert says in ran.stdout + ran.stderr
