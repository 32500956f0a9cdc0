"""Runs what our service is measured against, and our service itself, each in a process of its own, on loopback."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
import yaml

ROOT = Path(__file__).parents[1]
LITELLM_FOLDER = ROOT / ".venv-litellm"  # not in the repository: the proxy pins versions that are not ours
LITELLM_ENVIRON = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it looks for prices on the internet
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # open to this machine, as our service is
}
START_S = 120
MODELS = ("gpt-4o", "gpt-4.1", "gpt-4o-mini")
USE_CASE = f"candidates: [{', '.join(MODELS)}], incumbent: {MODELS[0]}, objective: quality"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server that runs: its base URL, and the processor time that it has taken."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Return the processor seconds of the process and of its children so far."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(_cpu_s(pid) for pid in (str(self.pid), *children))


@contextmanager
def our_service(fake_url: str, workers: int = 1) -> Iterator[Server]:
    """Lend `optimizer serve` with one use case, `bench`, over a new SQLite file, its gateways played by the fake."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "optimizer.yaml").write_text(f"use_cases: {{bench: {{{USE_CASE}}}}}\n")
        environ = {
            **_environ(),
            "PORTKEY_API_KEY": "pk-bench",
            "PORTKEY_BASE_URL": f"{fake_url}/v1",
            "OPENROUTER_API_KEY": "sk-or-bench",
            "OPENROUTER_BASE_URL": f"{fake_url}/api/v1",
        }
        command = [sys.executable, "-m", "optimizer", "serve", "--port", "0", "--workers", str(workers)]
        command += ["--config", "optimizer.yaml", "--database", f"sqlite:///{folder}/bench.db"]
        with (
            (Path(folder) / "log").open("w") as log,
            subprocess.Popen(
                command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=log, text=True
            ) as process,
        ):
            try:
                assert process.stdout is not None
                server = Server(process.stdout.readline().strip().rpartition("=")[2], process.pid)
                _wait(process, f"{server.url.removesuffix('/v1')}/readyz")
                yield server
            finally:
                process.terminate()


@contextmanager
def litellm_proxy(fake_url: str) -> Iterator[Server]:
    """Lend LiteLLM's proxy with one worker, `bench` being any of three models, and its defaults besides."""
    python = _with_litellm()
    params = ({"model": f"openai/{model}", "api_base": f"{fake_url}/v1", "api_key": "sk-bench"} for model in MODELS)
    config = {"model_list": [{"model_name": "bench", "litellm_params": each} for each in params]}
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(yaml.safe_dump(config))
        environ = {**_environ(), **LITELLM_ENVIRON}
        command = [str(python.with_name("litellm")), "--config", "config.yaml", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        with subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _wait(process, f"http://127.0.0.1:{port}/health/liveliness")
                yield Server(f"http://127.0.0.1:{port}/v1", process.pid)
            finally:
                process.terminate()


def _with_litellm() -> Path:
    """Return the Python that has the proxy, of the same version as the library here; install it, once."""
    python = LITELLM_FOLDER / "bin" / "python"
    if not python.with_name("litellm").exists():
        venv.create(LITELLM_FOLDER, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", f"litellm[proxy]=={version('litellm')}"], check=True)
    return python


def _environ() -> dict[str, str]:
    """Return what any process needs, and nothing by which settings of this machine could come in."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "PYTHONPATH": str(ROOT)
    }


def _wait(process: "subprocess.Popen[str] | subprocess.Popen[bytes]", url: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{url} does not answer; exit code {process.poll()}")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _cpu_s(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
