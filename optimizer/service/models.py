"""`GET /v1/models`: what a request may name as its model."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from optimizer.errors import UnknownModel
from optimizer.service import docs
from optimizer.service.names import AUTO
from optimizer.service.security import Caller, needs
from optimizer.service.state import Service, ServiceOf

OURSELVES = "orchestra-optimizer"

router = APIRouter(tags=["models"])


@router.get("/v1/models", summary="List what a request may name as its model", responses=docs.MODELS_REPLIES)
async def models(service: ServiceOf, _: Annotated[Caller, Depends(needs("call"))]) -> dict[str, Any]:
    """Return `auto`, `auto:<use case>` for each use case, and every model that serves in one of them."""
    return {"object": "list", "data": list(_entries(service))}


@router.get("/v1/models/{model:path}", summary="Return one of them", responses=docs.MODEL_REPLIES)
async def one_model(model: str, service: ServiceOf, _: Annotated[Caller, Depends(needs("call"))]) -> dict[str, Any]:
    """Return the entry of one model."""
    found = {entry["id"]: entry for entry in _entries(service)}
    if model not in found:
        raise UnknownModel(model[:100], tuple(found))
    return found[model]


def _entries(service: Service) -> Iterator[dict[str, Any]]:
    routes, catalog = service.optimizer.routes, service.optimizer.catalog
    since = int(routes.at.timestamp())
    owners = {AUTO: OURSELVES, **{f"{AUTO}:{name}": OURSELVES for name in routes.by_use_case}}
    for route in routes.by_use_case.values():
        owners |= {each.model_id: catalog[each.model_id].vendor for each in (*route.candidates, *route.fallbacks)}
    for name, owner in owners.items():
        yield {"id": name, "object": "model", "created": since, "owned_by": owner}
