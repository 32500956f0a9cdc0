"""A small service behind the gate, and a way to run it as a process of its own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from optimizer.engine import Optimizer
from optimizer.service.headers import add_headers
from optimizer.service.security import Caller, Gate, Refused, feedback_caller, needs


def gated_app(gate: Gate) -> FastAPI:
    """Return an app with one path per scope, each of which says who calls."""
    app = FastAPI()
    app.state.gate = gate

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        headers = {} if error.retry_after_s is None else {"retry-after": f"{error.retry_after_s:.0f}"}
        return JSONResponse({"code": error.code, "message": str(error)}, error.status, headers)

    for scope in ("call", "feedback", "read", "admin"):

        @app.get(f"/{scope}")
        async def answer(caller: Annotated[Caller, Depends(needs(scope))]) -> dict[str, object]:  # type: ignore[arg-type]
            return said(caller)

    @app.post("/rate")
    async def rate(caller: Annotated[Caller, Depends(feedback_caller)]) -> dict[str, object]:
        return said(caller)

    return app


def said(caller: Caller) -> dict[str, object]:
    return {
        "tenant": caller.tenant,
        "scopes": sorted(caller.scopes),
        "key_id": caller.key_id,
        "call_id": caller.call_id,
    }


def main(database: str, port: str) -> None:
    with Optimizer.open(database=database, environ={}) as optimizer:
        gate = Gate.of(optimizer)
        app = gated_app(gate)
        add_headers(app, optimizer.settings.service)

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            yield
            await gate.aclose()

        app.router.lifespan_context = lifespan
        uvicorn.run(app, port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
