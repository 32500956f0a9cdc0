"""Runs an application on a free port, in a thread of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from optimizer.engine import Optimizer
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.listening import listening, origin
from optimizer.router import Router
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import ModelScript

HELLO = [{"role": "user", "content": "Say hello."}]
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Served:
    """A service that runs, a client of it, and what is behind it."""

    url: str
    client: httpx.Client
    router: Router
    app: FastAPI
    stop: Callable[[], None]

    @property
    def optimizer(self) -> Optimizer:
        return self.router.optimizer

    def chat(self, model: str | None = "auto", headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return self.client.post(CHAT, json={"model": model, "messages": HELLO, **body}, headers=headers)

    def calls(self) -> list[StoredCall]:
        """Return all calls, the newest first."""
        self.optimizer.flush()
        return recent_calls(self.optimizer.database)

    @property
    def last(self) -> StoredCall:
        return self.calls()[0]


@contextmanager
def running(app: FastAPI, router: Router, *, drain_s: int = 5) -> Iterator[Served]:
    """Serve until the context is left, then end as a signal would end it."""
    sock = listening("127.0.0.1", 0)
    options: dict[str, Any] = {"lifespan": "on", "ws": "none", "log_config": None, "access_log": False}
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=drain_s, **options))
    thread = threading.Thread(target=server.run, args=([sock],), name="service")
    thread.start()
    until(lambda: server.started or not thread.is_alive(), 20)
    url = f"{origin(sock)}/v1"

    def stop() -> None:
        server.should_exit = True
        thread.join(20)

    with httpx.Client(base_url=url.removesuffix("/v1"), timeout=20) as client:
        try:
            yield Served(url, client, router, app, stop)
        finally:
            stop()


def only(fake: FakeServer, model: str, **script: Any) -> None:
    """Let one model behave in its own way."""
    fake.play(Script(models={model: ModelScript(**script)}))


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the error of an answer, which must be in OpenAI's shape."""
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


def until(condition: Callable[[], object], timeout_s: float = 10) -> bool:
    """Wait for a condition, and return whether it came about in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False
