"""`optimizer serve --workers 2` is one service: counts, keys and logs are those of both workers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from optimizer.ledger.api_keys import Scope, create_key, revoke_key
from optimizer.ledger.schema import open_database
from optimizer.service.metrics import FOLDER
from optimizer.simulation.fake_gateway import FakeServer
from tests.service.running import HELLO

ROOT = Path(__file__).parents[2]
START_S, REVOKED_WITHIN_S = 60.0, 5.0
N_CALLS = 12


class Serving:
    """A service of two worker processes, in front of the fake gateway."""

    def __init__(self, folder: Path, fake: FakeServer) -> None:
        self.database = str(folder / "ledger.db")
        scopes: tuple[Scope, ...] = ("call", "read")
        with closing(open_database(self.database)) as database:
            made, self.key = create_key(database, datetime.now(UTC), label="x", scopes=scopes, tenant="acme")
        self.key_id = made.key_id
        environ = {name: value for name, value in os.environ.items() if name != FOLDER}
        environ |= {"PORTKEY_API_KEY": "pk", "PORTKEY_BASE_URL": fake.portkey_url, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "optimizer", "serve", "--port", "0", "--workers", "2"]
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [*command, "--database", self.database], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=self.log
        )
        line = self.process.stdout.readline().decode()  # type: ignore[union-attr]
        self.url = line.rpartition("=")[2].strip().removesuffix("/v1")

    def ask(self, path: str, **more: object) -> httpx.Response:
        """Ask over a new connection, which either worker may accept."""
        headers = {"authorization": f"Bearer {self.key}", "accept": "text/plain"}
        method = "POST" if more else "GET"
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=30.0, **more)  # type: ignore[arg-type]

    def chat(self) -> httpx.Response:
        return self.ask("/v1/chat/completions", json={"model": "auto", "messages": HELLO})

    def lines(self) -> list[dict[str, object]]:
        """Return what is logged as JSON so far."""
        text = Path(self.log.name).read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_S)
        self.process.stdout.close()  # type: ignore[union-attr]
        self.log.close()


@pytest.fixture
def serving(tmp_path: Path, fake: FakeServer) -> Iterator[Serving]:
    started = Serving(tmp_path, fake)
    yield started
    started.close()


def _wait_for(found: Callable[[], bool], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


def _n_requests(text: str) -> float:
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == "llm_requests_total")


def test_two_workers_count_as_one_refuse_as_one_and_log_no_key(serving: Serving) -> None:
    assert [serving.chat().status_code for _ in range(N_CALLS)] == [200] * N_CALLS
    assert {_n_requests(serving.ask("/metrics").text) for _ in range(10)} == {N_CALLS}
    with closing(open_database(serving.database)) as database:
        revoke_key(database, serving.key_id, datetime.now(UTC))
    _wait_for(lambda: {serving.ask("/v1/models").status_code for _ in range(10)} == {401}, REVOKED_WITHIN_S)
    chats = [line for line in serving.lines() if line.get("route") == "/v1/chat/completions"]
    assert len({line["call_id"] for line in chats}) == N_CALLS
    assert {(line["tenant"], line["key_id"], line["status"]) for line in chats} == {("acme", serving.key_id, 200)}
    assert serving.key.rpartition("_")[2] not in Path(serving.log.name).read_text()
