"""Installs the open-source Portkey gateway with npm, once, and runs it on loopback for as long as a test needs it."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.npm import installed

HERE = Path(__file__).parent
INSTALLED = HERE.parents[2] / ".venv-peer"  # not in the repository
SERVER = "node_modules/@portkey-ai/gateway/build/start-server.js"
START_S = 30


@contextmanager
def running_peer() -> Iterator[str]:
    """Lend a running gateway's base URL; without node, npm or their registry the test is skipped, and says so."""
    node = installed(HERE, INSTALLED, "the open-source Portkey gateway")
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


def _port(process: "subprocess.Popen[bytes]", port_file: Path) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        if port_file.exists():
            return port_file.read_text()
        time.sleep(0.02)
    raise AssertionError(f"the gateway does not listen; exit code {process.poll()}")
