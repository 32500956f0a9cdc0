"""What stands before every request: how many are under way, how large they may be, and what nobody foresaw."""

import asyncio
import logging
import traceback

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from optimizer.service.errors import UNFORESEEN, ApiError, retry_after

ALWAYS_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})
_LOOK_EVERY_S = 0.01

_log = logging.getLogger(__name__)


class Traffic:
    """The requests under way in this process; one event loop's."""

    def __init__(self, max_in_flight: int) -> None:
        self.max_in_flight = max_in_flight
        self.n_in_flight = 0

    async def idle(self, timeout_s: float) -> bool:
        """Wait until no request is under way, and return whether that came about in time."""
        until = asyncio.get_running_loop().time() + timeout_s
        while self.n_in_flight and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_LOOK_EVERY_S)
        return self.n_in_flight == 0


class Pressure:
    """Refuses what is more than can be under way, rather than let it pile up in memory."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it while it is under way."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self._app(scope, receive, send)
            return
        traffic = self._traffic
        if traffic.n_in_flight >= traffic.max_in_flight:
            message = f"{traffic.max_in_flight} requests are under way here already; try again in a moment"
            await ApiError(503, message, code="overloaded", headers=retry_after(1.0)).response(scope, receive, send)
            return
        traffic.n_in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            traffic.n_in_flight -= 1


class BodyLimit:
    """Refuses bodies that are too large: by what they say of themselves, and as they come."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its bytes as they come."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if said.isdigit() and int(said) > self._max_bytes:
            message = f"the request is larger than {self._max_bytes:,} bytes"
            await ApiError(413, message, code="request_too_large").response(scope, receive, send)
            return
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._max_bytes:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)


class Unforeseen:
    """Answers 500 to what nobody foresaw, and logs where it arose; not its words, which may hold a prompt."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if scope["type"] != "http":
                raise
            log_unforeseen(error)
            if not begun:
                await UNFORESEEN.response(scope, receive, send)


def log_unforeseen(error: Exception) -> None:
    """Log the kind of an error and where it arose, without its words."""
    _log.error("Unforeseen %s:\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
