"""`POST /v1/select` and `/v1/outcomes`: decide here, call yourself, and say what came of it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field

from optimizer.domain import MOST_MS, MOST_TOKENS, MOST_USD, NANO_USD
from optimizer.errors import InvalidRequest
from optimizer.service import docs
from optimizer.service.hints import LONGEST, plain
from optimizer.service.lookup import selection_of
from optimizer.service.security import Caller, needs
from optimizer.service.state import ServiceOf

_DETAILS = (
    ("prompt_tokens_details", "cached_tokens", "cached_tokens"),
    ("completion_tokens_details", "reasoning_tokens", "reasoning_tokens"),
)

router = APIRouter(tags=["decide here, call yourself"])
Client = Annotated[Caller, Depends(needs("call"))]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
Milliseconds = Annotated[float, Field(ge=0, le=MOST_MS)]


class SelectBody(BaseModel):
    """The library's arguments of `select_optimal_model`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    use_case: Name
    context_length: Tokens = 0
    required_quality: float | str | None = None
    objective: Name | None = None
    needs_tools: bool = False
    needs_json_schema: bool = False
    needs_vision: bool = False
    cost_tier: Literal["economy", "standard", "premium"] | None = None
    session_id: Name | None = None
    tenant: Name | None = None
    tags: dict[str, str] | None = None
    features: list[float] | None = None
    max_cost_usd: Annotated[float, Field(gt=0, le=MOST_USD)] | None = None
    expected_output_tokens: Annotated[int, Field(gt=0, le=MOST_TOKENS)] | None = None
    model: Name | None = None


class OutcomeBody(BaseModel):
    """What `Optimizer.record` takes; `usage` as the reply had it, in OpenAI's names, or in ours."""

    model_config = ConfigDict(extra="forbid", strict=True)

    call_id: Name
    usage: dict[str, Any] | None = None
    latency_ms: Milliseconds | None = None
    ttft_ms: Milliseconds | None = None
    cost_usd: Annotated[float, Field(ge=0, le=MOST_USD)] | None = None
    error: Name | None = None
    status: Annotated[int, Field(ge=100, le=599)] | None = None
    model: Name | None = None
    attempt: Annotated[int, Field(ge=0, le=10_000)] = 0


@router.post("/v1/select", summary="Choose a model for a call that you make yourself", responses=docs.SELECT_REPLIES)
async def select(
    body: Annotated[SelectBody, Body(examples=[docs.SELECT_REQUEST])], service: ServiceOf, caller: Client
) -> dict[str, Any]:
    """Return the selection, kept in the ledger; say what came of it at `/v1/outcomes`, under its `call_id`."""
    asked = body.model_dump()
    asked["tenant"] = caller.tenant or body.tenant
    for name in ("use_case", "session_id", "tenant"):
        if asked[name] is not None:
            plain(name, asked[name])
    # A session that memory does not know is read from the ledger; so this is not for the event loop.
    selection = await anyio.to_thread.run_sync(lambda: service.optimizer.select_optimal_model(**asked))
    return selection.to_dict()


@router.post("/v1/outcomes", summary="Say what came of it", responses=docs.OUTCOMES_REPLIES)
async def outcomes(
    body: Annotated[OutcomeBody, Body(examples=[docs.OUTCOME_REQUEST])], service: ServiceOf, caller: Client
) -> dict[str, Any]:
    """Record an attempt at a call: who served, tokens, latency, cost. The same attempt twice changes nothing."""
    selection = await selection_of(service, body.call_id, caller)
    facts = body.model_dump(exclude={"call_id"}) | {"usage": None if body.usage is None else counts_in(body.usage)}
    made = await anyio.to_thread.run_sync(lambda: service.optimizer.record(selection, **facts))
    cost = made.cost_nano_usd
    return {
        "call_id": made.call_id,
        "attempt": made.number,
        "model": made.model_id,
        "served": made.served,
        "cost_usd": None if cost is None else cost / NANO_USD,
        "cost_source": made.cost_source,
    }


def counts_in(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the token counts of a reply's `usage`, also those that OpenAI keeps in details; the rest of these is left.

    Raises
    ------
    InvalidRequest
        If a count is no whole number from 0 to `MOST_TOKENS`; the error names it.
    """
    plain_ones = {name: count for name, count in usage.items() if not name.endswith("_details")}
    for details, part, ours in _DETAILS:
        found = usage.get(details)
        if isinstance(found, Mapping) and found.get(part) is not None:
            plain_ones.setdefault(ours, found[part])
    for name, count in plain_ones.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_TOKENS:
            raise InvalidRequest(f"usage.{name[:LONGEST]}", f"must be a whole number from 0 to {MOST_TOKENS:,}")
    return plain_ones
