"""`POST /v1/chat/completions`: any OpenAI client's call, through the router."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from optimizer.selection import Selection
from optimizer.service import docs
from optimizer.service.bodies import check_type, read_chat
from optimizer.service.hints import hints_of, without_hints
from optimizer.service.presence import ClientLeft, while_present
from optimizer.service.security import Caller, needs
from optimizer.service.state import Service, ServiceOf
from optimizer.service.streams import EventStream, encoded
from optimizer.service.tokens import HEADER

LEFT = 499  # nobody reads it; as nginx writes it into its log
_OURS = ("model", "messages", "stream", "metadata")

router = APIRouter()


@router.post(
    "/v1/chat/completions",
    summary="Answer a chat, by the cheapest model that is good enough",
    tags=["chat"],
    openapi_extra=docs.CHAT_REQUEST,
    responses=docs.CHAT_REPLIES,
    response_class=Response,
)
async def chat(request: Request, service: ServiceOf, caller: Annotated[Caller, Depends(needs("call"))]) -> Response:
    """Take OpenAI's body; `model` is `auto`, `auto:<use case>`, or a model that then serves whatever is drawn.

    Hints for the choice come as headers `x-optimizer-use-case`, `-session`, `-required-quality`, `-cost-tier` and
    `-tenant-tag`, or in `metadata` by the same names with underscores, whence they are taken out. Whatever else the
    body holds goes on to the model.
    """
    body = await read_chat(request)
    options = _options(service, body, request.headers, caller)
    try:
        async with while_present(request.receive):
            if body.get("stream"):
                return await _streamed(service, body, options)
            reply = await service.router.complete(**options)
    except ClientLeft:
        return Response(status_code=LEFT)
    headers = _headers(service, reply.selection, reply.model, degraded=reply.degraded)
    return Response(encoded(reply.body), headers=headers, media_type="application/json")


async def _streamed(service: Service, body: Mapping[str, Any], options: Mapping[str, Any]) -> Response:
    """Return the stream once its first chunk is there: failures until then are answers with a status of their own."""
    wanted = body.get("stream_options") or {}
    check_type("stream_options.include_usage", wanted.get("include_usage"), bool)
    stream = service.router.stream(**options)
    try:
        first = await anext(stream, None)
    except BaseException:
        await stream.aclose()
        raise
    assert stream.selection is not None  # noqa: S101 - known with the first chunk
    headers = _headers(service, stream.selection, stream.model, degraded=stream.degraded_by is not None)
    return EventStream(service, stream, first, with_usage=bool(wanted.get("include_usage")), headers=headers)


def _options(service: Service, body: Mapping[str, Any], headers: Mapping[str, str], caller: Caller) -> dict[str, Any]:
    """Return the router's arguments: hints by name, and the body's other fields as they are."""
    metadata = body.get("metadata")
    hints = hints_of(headers, metadata, caller)
    asked = service.names.asked(body.get("model"), hints.pop("use_case", None), service.optimizer.routes)
    rest = {name: value for name, value in body.items() if name not in _OURS}
    if metadata:
        rest["metadata"] = without_hints(metadata)
    return {
        "messages": body.get("messages"),
        "use_case": asked.use_case,
        "model": asked.model,
        "extra_body": rest,
        **hints,
    }


def _headers(service: Service, selection: Selection, model: str | None, *, degraded: bool) -> dict[str, str]:
    headers = {
        "x-optimizer-call-id": selection.call_id,
        "x-optimizer-model": model or selection.model_id,
        "x-optimizer-degraded": "true" if degraded else "false",
        HEADER: service.gate.tokens.sign(selection.call_id, service.optimizer.clock()),
    }
    if selection.propensity is not None:
        headers["x-optimizer-propensity"] = repr(selection.propensity)
    return headers
