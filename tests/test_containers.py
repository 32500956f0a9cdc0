"""The container files, held against their linters, since no container engine need be here."""

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def _run(program: str, *arguments: str) -> None:
    command = [str(BIN / program), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_passes_its_linter() -> None:
    _run("hadolint", "Dockerfile")


def test_the_compose_file_follows_its_specification() -> None:
    _run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / path).exists() for path in kept)
    assert "requirements/serve.txt" in kept
    assert "COPY requirements/serve.txt" in (ROOT / "Dockerfile").read_text()


def test_the_image_waits_for_its_database_to_be_upgraded() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert services["upgrade"]["command"] == ["db", "upgrade"]
    assert services["optimizer"]["depends_on"] == {"upgrade": {"condition": "service_completed_successfully"}}
    assert services["optimizer"]["environment"] == services["upgrade"]["environment"]
