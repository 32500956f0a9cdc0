"""Runs the service in the foreground: one process, or several workers behind one socket, until a signal ends it."""

import gc
import ipaddress
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from optimizer.engine import Optimizer
from optimizer.errors import InvalidRequest, OptimizerError
from optimizer.listening import listening, origin
from optimizer.router import Router
from optimizer.service.app import MAX_IN_FLIGHT, create_app
from optimizer.service.hangup import Supervisor
from optimizer.service.logs import log_config
from optimizer.service.metrics import shared_by_workers
from optimizer.service.security import configured
from optimizer.settings import Origin

KEEP_ALIVE_S = 75  # longer than clients and proxies keep idle connections, so that they close them, not we
WORKER_PATIENCE_S = 60  # to start, and to answer its supervisor
GARBAGE_THRESHOLDS = (50_000, 20, 100)  # Python's own: 700, 10, 10
STARTUP_FAILURE = 3  # uvicorn's exit code of a worker that could not start


@dataclass(frozen=True)
class Serving:
    """How to serve.

    Attributes
    ----------
    config : Path or None
        The settings' file.
    database : str
        The ledger's URL.
    drain_s : int
        How long calls under way may go on once the service is told to end.
    """

    config: Path | None
    database: str = field(repr=False)  # it may hold a password
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    max_in_flight: int = MAX_IN_FLIGHT
    drain_s: int = 30


def serve(serving: Serving, environ: Mapping[str, str], *, ready: Callable[[str, bool], object]) -> None:
    """Serve until SIGTERM or SIGINT; then finish the calls under way, write what waits, and return.

    SIGHUP has the settings read again.

    Parameters
    ----------
    environ : mapping
        For the settings.
    ready : callable
        Is told the base URL, and whether the service is open to all for want of keys, once it listens.

    Raises
    ------
    OptimizerError
        If the settings, the database or the address are of no use, or it would be open to other machines.
    """
    is_open = _checked(serving, environ)
    with listening(serving.host, serving.port) as sock:
        sock.set_inheritable(True)
        ready(f"{origin(sock)}/v1", is_open)
        config = _config(partial(_application, serving, dict(environ)), serving)
        if serving.workers == 1:
            _run(uvicorn.Server(config), sock)
        else:
            with shared_by_workers(os.environ):
                _supervise(Supervisor(config, [sock]))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked(serving: Serving, environ: Mapping[str, str]) -> bool:
    """Open everything once, so that what is wrong is said here, in one line; return whether there are no keys."""
    quiet = {**environ, "LLM_MONITORING_ENABLED": "false"}  # this process counts nothing where workers serve
    opened = Optimizer.open(serving.config, database=serving.database, environ=quiet, background=False)
    with opened as optimizer:
        is_open = not configured(optimizer.database, optimizer.clock())
    if is_open and not is_loopback(serving.host):
        raise InvalidRequest(
            "host",
            f"{serving.host} can be reached from other machines, and there is no API key to keep them out: "
            "`optimizer keys create` makes one",
        )
    return is_open


def _config(application: Callable[[], FastAPI], serving: Serving) -> uvicorn.Config:
    options: dict[str, Any] = {"lifespan": "on", "ws": "none", "log_config": log_config(), "access_log": False}
    return uvicorn.Config(
        application,
        factory=True,
        workers=serving.workers,
        server_header=False,
        proxy_headers=False,  # whence a request comes, nobody here asks
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=serving.drain_s,
        timeout_worker_healthcheck=WORKER_PATIENCE_S,
        **options,
    )


def _application(serving: Serving, environ: Mapping[str, str]) -> FastAPI:
    """Return one process's application; each worker has a router of its own."""
    _collect_garbage_seldom()
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent,), name="parent-watch", daemon=True).start()
    opening = partial(Router.open, serving.config, database=serving.database, environ=environ)
    settings = Origin(serving.config, environ).load().service
    return create_app(opening, settings, max_in_flight=serving.max_in_flight)


def _collect_garbage_seldom() -> None:
    """Let Python look for reference cycles seldom, and not among what is there from the start.

    A call makes hundreds of objects and no cycle among them: reference counts alone dispose of it. By its own settings
    Python looks for cycles in all that is alive some times a second, in pauses that the slowest calls are made of.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def _end_with(parent: Any) -> None:  # noqa: ANN401 - multiprocessing does not name its type
    """Let a worker end when its supervisor is gone, killed for example; nobody would end it otherwise."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _run(server: uvicorn.Server, sock: socket.socket) -> None:
    before = {sig: signal.signal(sig, _unheard) for sig in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[sock])
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)


def _unheard(_: int, __: FrameType | None) -> None:
    """Do nothing: once uvicorn has ended by a signal it raises it again, which would make that look like a crash."""


def _supervise(supervisor: Supervisor) -> None:
    supervisor.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes):
        raise OptimizerError("a worker could not start; its log says why")
