"""The application: one Router with its Optimizer per process, what stands before every request, and the handlers."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

import anyio
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from optimizer.errors import NoGateway
from optimizer.router import Router
from optimizer.service import calls, chat, feedback, health, metrics, models, select
from optimizer.service.errors import answer_errors
from optimizer.service.hangup import reloading
from optimizer.service.headers import add_headers
from optimizer.service.logs import AccessLog
from optimizer.service.names import ModelNames
from optimizer.service.security import Gate
from optimizer.service.short_way import ShortWay
from optimizer.service.state import Service
from optimizer.service.traffic import BodyLimit, Pressure, Traffic, Unforeseen
from optimizer.settings import ServiceSettings

MAX_IN_FLIGHT = 256
ROUTERS = (chat.router, models.router, select.router, feedback.router, calls.router, health.router, metrics.router)

_LAST_WAIT_S = 2.0  # for requests that were told to end, before the connections that they use are closed

_log = logging.getLogger(__name__)


def create_app(
    opening: Callable[[], Router],
    settings: ServiceSettings,
    *,
    max_in_flight: int = MAX_IN_FLIGHT,
    middleware: Sequence[Middleware] = (),
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """Return the application, which opens its router when it starts and closes it when it ends.

    Parameters
    ----------
    max_in_flight : int
        Requests under way at a time; more are refused with 503.
    middleware, routers : sequences
        What else stands before every request, outermost first, and what else is served.
    """
    traffic = Traffic(max_in_flight)
    app = FastAPI(
        title="Orchestra Optimizer",
        summary="The cheapest language model that is good enough, call by call, behind OpenAI's own interface.",
        version=_version(),
        lifespan=_lifespan(opening, traffic),
        middleware=[
            *middleware,
            Middleware(Unforeseen),
            Middleware(Pressure, traffic=traffic),
            Middleware(BodyLimit, max_bytes=round(settings.max_body_mb * 1e6)),
            Middleware(ShortWay),
        ],
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI's own spans would hold bodies.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    add_headers(app, settings)
    app.add_middleware(AccessLog)  # outermost
    answer_errors(app)
    for router in (*ROUTERS, *routers):
        app.include_router(router)
    return app


def _lifespan(
    opening: Callable[[], Router], traffic: Traffic
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        router = await anyio.to_thread.run_sync(opening)
        try:
            gate = await anyio.to_thread.run_sync(Gate.of, router.optimizer)
            app.state.gate = gate
            app.state.service = Service(router, traffic, ModelNames(router.optimizer.catalog), gate)
            await _open_line(router)
            with reloading(router):
                yield
            await traffic.idle(_LAST_WAIT_S)
            await gate.aclose()
        finally:
            await router.aclose()

    return lifespan


async def _open_line(router: Router) -> None:
    """Begin with the health checks; without a gateway, models can still be selected."""
    try:
        await router.line.open()
    except NoGateway as error:
        _log.warning("Calls will be refused: %s", error)


def _version() -> str:
    try:
        return version("orchestra-optimizer")
    except PackageNotFoundError:
        return "0"
