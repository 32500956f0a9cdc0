"""The fake gateway as an ASGI application: which dialect a request speaks, whether its key is right, who answers."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from optimizer.domain import Gateway
from optimizer.simulation.fake_gateway import openrouter, portkey
from optimizer.simulation.fake_gateway.chat import chat
from optimizer.simulation.fake_gateway.connection import Connection, Receive, Scope, Send, send_nothing, send_plain
from optimizer.simulation.fake_gateway.faults import REFUSALS, Fault
from optimizer.simulation.fake_gateway.gateway import FakeGateway, check_headers
from optimizer.simulation.fake_gateway.messages import FakeRequest, Reply, as_reply
from optimizer.simulation.fake_gateway.naming import split_slug
from optimizer.simulation.fake_gateway.portkey import traced
from optimizer.simulation.fake_gateway.refusals import refusal

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Endpoint = Callable[[FakeGateway, FakeRequest], Reply]

GREETING = Reply(200, b"AI Gateway says hey!", ((b"content-type", b"text/plain"),))
CHAT = {"/v1/chat/completions", "/api/v1/chat/completions"}
OPEN = {("GET", "/"), ("GET", "/api/v1/models")}  # no key needed
ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", "/"): lambda _, __: GREETING,
    ("GET", "/v1/models"): portkey.models,
    ("POST", "/v1/feedback"): portkey.post_feedback,
    ("GET", "/api/v1/models"): openrouter.models,
    ("GET", "/api/v1/key"): openrouter.key,
    ("GET", "/api/v1/credits"): openrouter.credits,
    ("GET", "/api/v1/providers"): openrouter.providers,
    ("GET", "/api/v1/generation"): openrouter.generation,
}


def application(gateway: FakeGateway) -> Application:
    """Return the ASGI application of a fake gateway."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        connection = Connection(scope, receive, send)
        gateway.n_open += 1
        try:
            request = _received(gateway, scope, await connection.body())
            await _answer(gateway, request, connection)
        except Exception as error:  # kept for whoever runs the fake, in another thread
            gateway.errors.append(error)
            if not connection.status:
                await connection.reply(as_reply(500, {"error": {"message": f"fake gateway: {type(error).__name__}"}}))
            raise
        finally:
            gateway.n_open -= 1
            connection.forget()

    return answer


async def _answer(gateway: FakeGateway, request: FakeRequest, connection: Connection) -> None:
    try:
        check_headers(request.headers)
    except ValueError as error:
        await connection.reply(as_reply(400, {"error": {"message": f"fake gateway: {error}", "code": 400}}))
        return
    is_open = (request.method, request.path) in OPEN or _is_priced(request.path)
    if not is_open and not _is_allowed(gateway, request):
        known = gateway.names.find(request.gateway, request.model, None)
        await _reply(gateway, request, connection, refusal(Fault("unauthorized"), request.gateway, known))
    elif request.method == "POST" and request.path in CHAT:
        await chat(gateway, request, connection)
    else:
        await _elsewhere(gateway, request, connection)


async def _elsewhere(gateway: FakeGateway, request: FakeRequest, connection: Connection) -> None:
    """Answer any other endpoint, or fail at it."""
    fault = gateway.trouble_elsewhere(request)
    if fault and fault.name in {"hang", "reset", "close"}:
        await send_nothing(connection, fault.name)
    elif fault and fault.name in REFUSALS:
        known = gateway.names.find(request.gateway, "", None)
        await _reply(gateway, request, connection, refusal(fault, request.gateway, known))
    else:
        reply = _endpoint(gateway, request)(gateway, request)
        await _reply(gateway, request, connection, reply, fault.name if fault else "")


async def _reply(
    gateway: FakeGateway, request: FakeRequest, connection: Connection, reply: Reply, fault: str = ""
) -> None:
    more = traced(gateway, request) if request.gateway == "portkey" else ()
    await send_plain(connection, replace(reply, headers=(*reply.headers, *more)), fault=fault)


def _received(gateway: FakeGateway, scope: Scope, body: bytes) -> FakeRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        parsed = json.loads(body) if body else None
    except ValueError:
        parsed = None
    model = str(parsed.get("model") or "") if isinstance(parsed, dict) else ""
    dialect = _dialect(scope["path"], headers, model)
    gateway.n_requests += 1
    request = FakeRequest(
        number=gateway.n_requests,
        method=scope["method"],
        path=scope["path"],
        gateway=dialect,
        headers=headers,
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
        body=parsed,
        at_s=gateway.elapsed_s,
        model=split_slug(model)[1] if dialect == "portkey" else model,
    )
    gateway.requests.append(request)
    return request


def _dialect(path: str, headers: Mapping[str, str], model: str) -> Gateway:
    if path.startswith("/api/v1"):
        return "openrouter"
    is_portkey = path == "/" or path.startswith("/v1/feedback") or any(n.startswith("x-portkey-") for n in headers)
    return "portkey" if is_portkey or split_slug(model)[0] else "direct"


def _is_allowed(gateway: FakeGateway, request: FakeRequest) -> bool:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ") or None
    own = request.headers.get("x-portkey-api-key") if gateway.script.mode == "hosted" else None
    return gateway.allows(own or bearer)


def _is_priced(path: str) -> bool:
    return "/model-configs/pricing/" in path


def _endpoint(gateway: FakeGateway, request: FakeRequest) -> Endpoint:
    if gateway.script.mode == "oss" and request.path.startswith("/v1/feedback"):
        return _not_found  # it would go on to the provider
    if request.method == "PUT" and request.path.startswith("/v1/feedback/"):
        return portkey.put_feedback
    if request.method == "GET" and _is_priced(request.path):
        return portkey.pricing
    known = ENDPOINTS.get((request.method, request.path))
    is_elsewhere = any(path == request.path for _, path in ENDPOINTS) or request.path in CHAT
    return known or (_not_allowed if is_elsewhere else _not_found)


def _not_found(_: FakeGateway, request: FakeRequest) -> Reply:
    body: Any = {"message": "Not Found", "ok": False}
    if request.gateway == "openrouter":
        body = {"error": {"code": 404, "message": "Not Found"}}
    return as_reply(404, body)


def _not_allowed(_: FakeGateway, __: FakeRequest) -> Reply:
    return as_reply(405, {"status": "failure", "message": "Method Not Allowed"})
