"""`GET /metrics` adds up what real workers counted, and forgets what a dead one showed of itself."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from optimizer.ledger.api_keys import create_key
from optimizer.ledger.schema import open_database
from optimizer.service.metrics import FOLDER, exposition, shared_by_workers
from optimizer.service.security import Gate
from tests.ledger.factory import NOON
from tests.service.running import Served

ROOT = Path(__file__).parents[2]


class Workers:
    """Two processes that have counted 3 and 5 calls, and live on."""

    def __init__(self, database: Path, environ: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "tests.service.counting", str(database)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.processes = [
            subprocess.Popen([*command, n], cwd=ROOT, env=dict(environ), **pipes)  # type: ignore[call-overload]
            for n in ("3", "5")
        ]
        for process in self.processes:
            assert process.stdout.readline() == b"counted\n"

    def close(self) -> None:
        for process in self.processes:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    database = tmp_path / "ledger.db"
    open_database(str(database)).close()
    environ = dict(os.environ)
    with shared_by_workers(environ):
        monkeypatch.setenv(FOLDER, environ[FOLDER])
        started = Workers(database, environ)
        yield started
        started.close()


def _totals() -> dict[str, float]:
    """Return metric → the sum of its samples, as whoever is asked tells it."""
    text, content_type = exposition("", NOON)
    assert content_type.startswith("text/plain")
    totals: dict[str, float] = {}
    for metric in text_string_to_metric_families(text.decode()):
        for sample in metric.samples:
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


def test_what_two_workers_counted_is_added_up(workers: Workers) -> None:
    totals = _totals()
    assert totals["llm_requests_total"] == totals["llm_calls_total"] == 8.0
    assert totals["llm_cost_usd_total"] == 2.0
    assert totals["llm_tokens_used_total"] == 8_000.0
    assert totals["llm_request_duration_seconds_count"] == 8.0
    assert (totals["llm_ratings_total"], totals["llm_quality_sum"]) == (2.0, 1.5)


def test_a_killed_worker_keeps_its_counts_and_loses_its_gauges(workers: Workers) -> None:
    both = _totals()["llm_refresh_timestamp_seconds"]
    killed, _ = workers.processes
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    totals = _totals()
    assert totals["llm_requests_total"] == 8.0
    assert totals["llm_refresh_timestamp_seconds"] >= both  # the other's, which may be the older one's no longer
    assert not list(Path(os.environ[FOLDER]).glob(f"gauge_live*_{killed.pid}.db"))


def test_the_lag_is_that_of_the_worker_furthest_behind_when_it_is_asked_for(workers: Workers) -> None:
    totals = _totals()
    assert totals["llm_refresh_lag_seconds"] == pytest.approx(
        NOON.timestamp() - totals["llm_refresh_timestamp_seconds"]
    )


def test_a_folder_that_somebody_made_is_left_to_them(tmp_path: Path) -> None:
    environ = {FOLDER: str(tmp_path)}
    with shared_by_workers(environ):
        assert environ == {FOLDER: str(tmp_path)}
    assert tmp_path.is_dir()


def test_a_folder_of_ours_goes_with_the_service() -> None:
    environ: dict[str, str] = {}
    with shared_by_workers(environ):
        folder = Path(environ[FOLDER])
        assert folder.is_dir()
    assert not folder.exists()
    assert environ == {}


def test_one_process_tells_of_itself(served: Served) -> None:
    assert served.chat().status_code == 200
    reply = served.client.get("/metrics", headers={"accept": "text/plain"})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert 'llm_requests_total{model="' in reply.text
    assert "llm_refresh_lag_seconds" in reply.text
    assert served.url.removeprefix("http://") not in reply.text


def test_with_monitoring_off_there_is_nothing_to_be_had(serve: Callable[..., Served]) -> None:
    reply = serve(environ={"LLM_MONITORING_ENABLED": "false"}).client.get("/metrics")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")


def test_metrics_need_a_key_that_may_read_once_there_is_one(served: Served) -> None:
    database, now = served.optimizer.database, served.optimizer.clock()
    reader = create_key(database, now, label="x", scopes=("read",))[1]
    caller = create_key(database, now, label="x", scopes=("call",))[1]
    served.app.state.gate = Gate.of(served.optimizer)  # which has seen the keys
    codes = [
        served.client.get("/metrics", headers={} if key is None else {"authorization": f"Bearer {key}"}).status_code
        for key in (None, caller, reader)
    ]
    assert codes == [401, 403, 200]
