"""`/healthz`: the process is alive. `/readyz`: the database and one gateway are not known to be dead."""

from typing import Any

import anyio
from fastapi import APIRouter
from starlette.responses import JSONResponse

from optimizer.calling.breaker import WHOLE
from optimizer.errors import OptimizerError
from optimizer.ledger.health import read_health
from optimizer.service import docs
from optimizer.service.state import Service, ServiceOf

OK = "ok"

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Say whether the process is alive", responses=docs.HEALTHZ_REPLIES)
async def healthz() -> dict[str, str]:
    """Answer; whoever gets no answer may start the process anew."""
    return {"status": OK}


@router.get("/readyz", summary="Say whether calls can be served", responses=docs.READYZ_REPLIES)
async def readyz(service: ServiceOf) -> JSONResponse:
    """Return 200 while the database and at least one gateway are not known to be dead, else 503; and why."""
    database = await anyio.to_thread.run_sync(_database, service)
    gateways = _gateways(service)
    ready = database == OK and OK in gateways.values()
    reply: dict[str, Any] = {
        "status": OK if ready else "unavailable",
        "database": database,
        "gateways": gateways,
        "journal": service.optimizer.journal_length,  # facts that wait for a database that is away
    }
    if not gateways:
        reply["advice"] = "no gateway has a key: set PORTKEY_API_KEY or OPENROUTER_API_KEY"
    return JSONResponse(reply, 200 if ready else 503)


def _database(service: Service) -> str:
    try:
        read_health(service.optimizer.database)
    except OptimizerError as error:
        return type(error).__name__  # where the database is, is nobody's business here
    return OK


def _gateways(service: Service) -> dict[str, str]:
    line = service.router.line
    return {name: OK if line.breakers.allows(name, WHOLE) else "in trouble" for name in line.clients}
