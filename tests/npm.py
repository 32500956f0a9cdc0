"""Installs npm packages for a test, once, into a folder that is not in the repository."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_S = 240


def installed(source: Path, folder: Path, what: str) -> str:
    """Install what the lock file in `source` says into `folder`, unless it is there already; return node's path.

    Without node, npm or their registry the test is skipped, and says what it could not get.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"no node and npm here: {what} cannot be run")
    folder.mkdir(exist_ok=True)
    wanted, done = (source / "package-lock.json").read_text(), folder / "installed-lock.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process at a time
        if not done.exists() or done.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, folder / name)
            _install(npm, folder, what)
            done.write_text(wanted)
    return node


def _install(npm: str, folder: Path, what: str) -> None:
    # Nothing of what is installed may run scripts; what is in npm's cache needs no network.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"]
    try:
        ran = subprocess.run(
            [npm, "ci", *options], cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {what} within {INSTALL_S} s")
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["?"])[0]
        pytest.skip(f"npm cannot install {what}: {reason}")
