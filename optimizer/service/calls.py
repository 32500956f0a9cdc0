"""`GET /v1/calls/{id}`: why a call went to its model, and what came of it. `GET /v1/budgets`: how the limits stand."""

from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends

from optimizer.service import docs
from optimizer.service.lookup import check_seen, found
from optimizer.service.security import Caller, needs
from optimizer.service.state import ServiceOf

router = APIRouter(tags=["why"])
Reader = Annotated[Caller, Depends(needs("read"))]


@router.get("/v1/calls/{call_id}", summary="Say why a call went to its model", responses=docs.CALL_REPLIES)
async def call(call_id: str, service: ServiceOf, caller: Reader) -> dict[str, Any]:
    """Return how a call was decided, what was tried, how it was rated, and an explanation in words."""
    stored = await found(service, call_id, lambda: service.optimizer.call(call_id))
    check_seen(stored.selection, caller)
    return {"call_id": call_id, "explanation": stored.selection.explain(), **stored.to_dict()}


@router.get("/v1/budgets", summary="Say how every spending limit stands", responses=docs.BUDGETS_REPLIES)
async def budgets(service: ServiceOf, caller: Reader) -> dict[str, Any]:
    """Return each limit in its present window; a caller with a tenant sees that tenant's alone."""
    standing = await anyio.to_thread.run_sync(service.optimizer.purse.status)
    seen = [each for each in standing if caller.tenant is None or str(each.scope) == f"tenant {caller.tenant}"]
    return {"object": "list", "data": [each.to_dict() for each in seen]}
