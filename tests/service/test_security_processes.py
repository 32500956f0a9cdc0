"""Keys as several real workers see them: what one process revokes, all refuse within seconds."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from optimizer.ledger.api_keys import create_key, revoke_key
from optimizer.ledger.database import Database

ROOT = Path(__file__).parents[2]
START_S, REVOKED_WITHIN_S = 30.0, 5.0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def workers(url: str) -> Iterator[list[str]]:
    """The addresses of two processes that serve at one database."""
    ports = [_free_port() for _ in range(2)]
    command = [sys.executable, "-m", "tests.service.gated", url]
    started = [subprocess.Popen([*command, str(port)], cwd=ROOT) for port in ports]
    try:
        yield [f"http://127.0.0.1:{port}" for port in ports]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(START_S)


def _wait_for(found: Callable[[], bool], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not found():
        assert time.monotonic() < end
        time.sleep(0.1)


def _status(address: str, key: str) -> int:
    try:
        return httpx.get(f"{address}/call", headers={"authorization": f"Bearer {key}"}).status_code
    except httpx.TransportError:
        return 0


def test_a_key_revoked_by_another_process_is_refused_by_every_worker(workers: list[str], database: Database) -> None:
    made, key = create_key(database, datetime.now(UTC), label="x", scopes=("call",))
    for address in workers:
        _wait_for(lambda address=address: _status(address, key) == 200, START_S)  # type: ignore[misc]
    revoke_key(database, made.key_id, datetime.now(UTC))
    _wait_for(lambda: {_status(address, key) for address in workers} == {401}, REVOKED_WITHIN_S)
