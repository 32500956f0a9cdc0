"""Logs as JSON lines: one for every request, with its call id, and never a key, a prompt or a reply."""

import json
import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALL_ID = b"x-optimizer-call-id"
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds, and of no interest while they answer
_FIELDS = "fields"

_log = logging.getLogger("optimizer.access")
_encoded = json.JSONEncoder(ensure_ascii=False, default=str).encode


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, and what else the record brings in `fields`.

    Of an exception, the kind and the place stand there, not its words: those of other people's code may hold anything.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, _FIELDS, {})
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["where"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(record.exc_info[2])[-5:]]
        return _encoded(line)


def log_config(level: str = "INFO") -> dict[str, Any]:
    """Return what `uvicorn.run(log_config=..., access_log=False)` takes: everything to stderr, as JSON lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": f"{__name__}.{JsonLines.__name__}"}},  # plain values: workers get it pickled
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            "uvicorn.access": {"handlers": [], "propagate": False},  # it repeats addresses and whole paths
            "httpx": {"level": "WARNING"},
        },
    }


class AccessLog:
    """Logs every request once it is answered, or has failed: the outermost layer.

    Parameters
    ----------
    timer : callable
        Returns seconds that only go forward.
    """

    def __init__(self, app: ASGIApp, timer: Callable[[], float] = perf_counter) -> None:
        self._app = app
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note its reply as it goes by."""
        if scope["type"] != "http" or not _log.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        began, seen = self._timer(), _Seen()

        async def watched(message: Message) -> None:
            seen.note(message)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._tell(scope, seen, 1_000.0 * (self._timer() - began))

    def _tell(self, scope: Scope, seen: "_Seen", duration_ms: float) -> None:
        route = getattr(scope.get("route"), "path", None)
        if route in QUIET and seen.status == 200:
            return
        caller = scope.get("state", {}).get("caller")
        fields = {
            "method": scope["method"],
            "route": route,  # as the code writes it: what a client puts into a path may be anything
            "status": seen.status,
            "duration_ms": round(duration_ms, 1),
            "whole": seen.whole,
            "call_id": seen.call_id,
            "tenant": getattr(caller, "tenant", None),
            "key_id": getattr(caller, "key_id", None),
        }
        _log.info("request", extra={_FIELDS: {name: value for name, value in fields.items() if value is not None}})


class _Seen:
    """What is known of a reply."""

    def __init__(self) -> None:
        self.status: int | None = None  # None: nothing was answered
        self.call_id: str | None = None
        self.whole = False

    def note(self, message: Message) -> None:
        """Take one message of the reply."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            found = next((value for name, value in message["headers"] if name.lower() == CALL_ID), None)
            self.call_id = None if found is None else found.decode("latin-1")
        elif message["type"] == "http.response.body":
            self.whole = not message.get("more_body", False)
