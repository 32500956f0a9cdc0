"""The wheel is whole: installed alone, outside the checkout, it finds its data and its migrations."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Runs in the fresh environment, in an empty folder.
SCRIPT = """
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import optimizer
from optimizer.catalog import data_folder, load_catalog

package = Path(optimizer.__file__).parent
assert "site-packages" in package.parts, package
assert data_folder() == package / "data", data_folder()

catalog = load_catalog()
assert catalog.price("gpt-4o", "portkey", datetime.now(UTC)).input_usd_per_mtok == 2.5
assert (package / "data" / "synthetic_replay.csv.gz").is_file()

from optimizer.ledger.schema import migrations_folder, open_database

assert migrations_folder() == package / "migrations", migrations_folder()
open_database("ledger.db").close()

from optimizer import select_optimal_model
from optimizer.engine.default import close_default, default_optimizer

selection = select_optimal_model("code_generation", 6000, required_quality=0.85)
assert selection.model_id in selection.distribution
default_optimizer().record(selection, usage={"prompt_tokens": 6000, "completion_tokens": 700}, latency_ms=2400.0)
default_optimizer().rate(selection.call_id, 0.9)
assert default_optimizer().call(selection.call_id).feedback[0].value == 0.9
assert select_optimal_model("chat", 300).use_case == "chat"
close_default()
assert Path("optimizer.db").is_file()
"""


@pytest.fixture(scope="module")
def fresh_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has the wheel, and only reads our dependencies from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "venv" / "bin" / "python"
    _run(
        sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps", "--no-index", str(wheel), cwd=folder
    )
    return python


def test_installed_wheel_works_outside_the_checkout(fresh_python: Path, tmp_path: Path) -> None:
    _run(str(fresh_python), "-W", "error", "-c", SCRIPT, cwd=tmp_path)


def test_installed_command_answers_outside_the_checkout(fresh_python: Path, tmp_path: Path) -> None:
    command = str(fresh_python.with_name("optimizer"))
    assert _run(command, "--version", cwd=tmp_path).startswith("optimizer 0.")
    assert "gpt-4o" in _run(command, "config", "check", cwd=tmp_path)
    assert "optimizer explain " in _run(command, "select", "chat", cwd=tmp_path)
    assert "0 ratings of 1 calls" in _run(command, "report", cwd=tmp_path)


def _run(*command: str, cwd: Path) -> str:
    ours = ("PYTHON", "VIRTUAL_ENV", "DATABASE_URL", "LLM_", "PORTKEY_", "OPENROUTER_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
