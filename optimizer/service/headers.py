"""Headers that every reply carries, and those by which browsers of named origins are let in."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from optimizer.settings import ServiceSettings

# A handler that sets one of these knows better.
DEFAULTS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
_RAW = tuple((name.encode(), value.encode()) for name, value in DEFAULTS.items())
_OURS = ("use-case", "session", "required-quality", "cost-tier", "tenant-tag", "feedback-token")
_SHOWN = ("call-id", "model", "propensity", "degraded", "feedback-token")


class SecurityHeaders:
    """Adds to every reply what it lacks of `DEFAULTS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its reply with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _RAW if each[0] not in there)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def add_headers(app: FastAPI, settings: ServiceSettings) -> None:
    """Let the app send the headers of security, and let browsers of the origins in the settings read its replies."""
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("authorization", "content-type", *(f"x-optimizer-{name}" for name in _OURS)),
            expose_headers=("retry-after", *(f"x-optimizer-{name}" for name in _SHOWN)),
            max_age=600,
        )
    app.add_middleware(SecurityHeaders)  # outermost, so that preflights carry them too
