"""Installs the open-source Portkey gateway with npm, once, and runs it on loopback for as long as a test needs it."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
INSTALLED = HERE.parents[2] / ".venv-peer"  # not in the repository
SERVER = "node_modules/@portkey-ai/gateway/build/start-server.js"
INSTALL_S, START_S = 240, 30


@contextmanager
def running_peer() -> Iterator[str]:
    """Lend a running gateway's base URL; without node, npm or their registry the test is skipped, and says so."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node and npm here: the open-source Portkey gateway cannot be run")
    _installed(npm)
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        command = [node, "--require", str(HERE / "loopback.cjs"), SERVER, "--headless"]
        environ = {"PATH": os.environ["PATH"], "PORT_FILE": str(port_file)}
        with subprocess.Popen(
            command, cwd=INSTALLED, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield f"http://127.0.0.1:{_port(process, port_file)}/v1"
            finally:
                process.terminate()


def _installed(npm: str) -> None:
    """Install what the lock file says, unless it is there already; one process at a time."""
    INSTALLED.mkdir(exist_ok=True)
    wanted, done = (HERE / "package-lock.json").read_text(), INSTALLED / "installed-lock.json"
    with (INSTALLED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.read_text() == wanted:
            return
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, INSTALLED / name)
        _install(npm)
        done.write_text(wanted)


def _install(npm: str) -> None:
    # Nothing of what is installed may run scripts; what is in npm's cache needs no network.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"]
    try:
        ran = subprocess.run(
            [npm, "ci", *options], cwd=INSTALLED, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install the open-source Portkey gateway within {INSTALL_S} s")
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["?"])[0]
        pytest.skip(f"npm cannot install the open-source Portkey gateway: {reason}")


def _port(process: "subprocess.Popen[bytes]", port_file: Path) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        if port_file.exists():
            return port_file.read_text()
        time.sleep(0.02)
    raise AssertionError(f"the gateway does not listen; exit code {process.poll()}")
