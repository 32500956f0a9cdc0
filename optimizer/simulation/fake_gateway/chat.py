"""`POST /chat/completions` in every dialect: check, ask whom the gateway would ask, and send what comes of it."""

import uuid
from dataclasses import dataclass, replace

from optimizer.simulation.fake_gateway.completions import Stamp, completion, events
from optimizer.simulation.fake_gateway.connection import Connection, send_nothing, send_plain, send_stream
from optimizer.simulation.fake_gateway.constraints import kept, objection
from optimizer.simulation.fake_gateway.faults import CONNECTION, REFUSALS, Fault
from optimizer.simulation.fake_gateway.gateway import FakeGateway
from optimizer.simulation.fake_gateway.messages import FakeRequest, Headers, Reply, Served, as_reply
from optimizer.simulation.fake_gateway.plan import Plan
from optimizer.simulation.fake_gateway.portkey import traced
from optimizer.simulation.fake_gateway.refusals import PROVIDER, provider_refusal, refusal
from optimizer.simulation.fake_gateway.routing import Aim, Refusal, aims_of
from optimizer.simulation.fake_gateway.styles import style_of

_SILENT = ("hang", "reset", "close")
_PARTS = ("cut", "broken", "stall", "ends_early", "error_midway")  # of a stream, by which only a part is sent


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking in turn.

    Attributes
    ----------
    refused : Reply or None
        The error to send; None where `plan` is to be carried out.
    n_retries : int
        As Portkey counts: -1 where the retries were used up.
    after_s : float
        How long the gateway waited before it gave up.
    """

    aim: Aim
    plan: Plan
    refused: Reply | None = None
    n_retries: int = 0
    after_s: float = 0.0


async def chat(gateway: FakeGateway, request: FakeRequest, connection: Connection) -> None:
    """Answer a chat completion."""
    try:
        if not _is_well_formed(request.body):
            raise Refusal(_malformed(request))
        aims = aims_of(request, gateway)
    except Refusal as refused:
        more = traced(gateway, request) if request.gateway == "portkey" else ()
        await connection.reply(replace(refused.reply, headers=(*refused.reply.headers, *more)))
        return
    outcome = await _asked(gateway, request, aims)
    await _deliver(gateway, request, outcome, connection)


def _is_well_formed(body: object) -> bool:
    messages = body.get("messages") if isinstance(body, dict) else None
    return isinstance(messages, list) and all(isinstance(message, dict) for message in messages)


def _malformed(request: FakeRequest) -> Reply:
    if request.gateway == "portkey":
        return as_reply(400, {"status": "failure", "message": "Invalid request body"})
    error: dict[str, object] = {"message": "you must provide a messages parameter", "param": None}
    if request.gateway == "openrouter":
        return as_reply(400, {"error": {"code": 400, "message": "Input required: specify 'messages'"}})
    return as_reply(400, {"error": error | {"type": "invalid_request_error", "code": None}})


async def _asked(gateway: FakeGateway, request: FakeRequest, aims: list[Aim]) -> Outcome:
    """Return the first outcome that is no failure, else the last one."""
    attempt = 0
    for aim in aims:
        for retry in range(aim.n_retries + 1):
            outcome = await _attempt(gateway, replace(request, attempt=attempt), aim, is_only=len(aims) == 1)
            attempt += 1
            if outcome.refused is None:
                return replace(outcome, n_retries=retry)
            status = outcome.refused.status
            if status not in aim.retried:
                break
        if aim.moves_on is not None and status not in aim.moves_on:
            break
    return replace(outcome, n_retries=-1 if aim.n_retries else 0)


async def _attempt(gateway: FakeGateway, request: FakeRequest, aim: Aim, *, is_only: bool) -> Outcome:
    """Ask one model once."""
    known = aim.known
    body = kept(aim.body, request.gateway, known) if gateway.script.strict else aim.body
    plan = await gateway.plan(replace(request, body=body, model=known.name), known)
    outcome = Outcome(aim, plan)
    if gateway.script.known_models_only and not known.is_known:
        return replace(outcome, refused=refusal(Fault("not_found"), request.gateway, known))
    if gateway.script.strict and (refused := objection(body, request.gateway, known)):
        return replace(outcome, refused=provider_refusal(refused, request.gateway, known))
    if plan.fault and plan.fault.name in REFUSALS:
        return replace(outcome, refused=refusal(plan.fault, request.gateway, known))
    if aim.timeout_s is not None and _first_byte_s(plan, request) > aim.timeout_s:
        return replace(outcome, refused=_timed_out(aim.timeout_s), after_s=aim.timeout_s)
    if not is_only and plan.fault_name in CONNECTION:
        return replace(outcome, refused=provider_refusal(PROVIDER["unavailable"], request.gateway, known))
    return outcome


def _first_byte_s(plan: Plan, request: FakeRequest) -> float:
    if plan.fault_name == "hang":
        return float("inf")
    return plan.ttft_s if request.is_stream else plan.duration_s


def _timed_out(timeout_s: float) -> Reply:
    message = f"Request exceeded the timeout sent in the request: {timeout_s * 1000:.0f}ms"
    return as_reply(408, {"error": {"message": message, "type": "timeout_error", "param": None, "code": None}})


async def _deliver(gateway: FakeGateway, request: FakeRequest, outcome: Outcome, connection: Connection) -> None:
    """Send what came of it, entered in the books before its end, so that who has read it finds it there."""
    plan, style = outcome.plan, style_of(request.gateway, outcome.plan.known.provider)
    stamp = Stamp(_id(gateway, request, style.id_prefix), int(gateway.clock()))
    entry = _entry(request, outcome, stamp)
    headers = _headers(gateway, request, outcome, stamp)
    failed = entry.status not in {200, 246} or plan.fault_name in CONNECTION

    def ending(n_tokens: int, stays: bool) -> None:
        gateway.book(_ended(entry, plan, n_tokens=n_tokens, stays=stays), failed=failed)

    if outcome.refused is not None:
        refused = replace(outcome.refused, headers=(*outcome.refused.headers, *headers))
        await send_plain(connection, refused, wait_s=outcome.after_s, ending=ending)
    elif plan.fault_name in _SILENT:
        ending(0, True)
        await send_nothing(connection, plan.fault_name)
    elif request.is_stream:
        options = request.body.get("stream_options") or {}
        made = events(plan, style, stamp, include_usage=bool(options.get("include_usage")))
        await send_stream(connection, made, plan, start=(entry.status, headers), ending=ending)
    else:
        reply = as_reply(entry.status, completion(plan, style, stamp))
        reply = replace(reply, headers=(*reply.headers, *headers))
        await send_plain(connection, reply, fault=plan.fault_name, wait_s=plan.duration_s, ending=ending)


def _entry(request: FakeRequest, outcome: Outcome, stamp: Stamp) -> Served:
    """Return what is known of a call before it is carried out."""
    plan = outcome.plan
    status = 0 if plan.fault_name in _SILENT else 246 if plan.fault_name == "guardrail_warning" else 200
    return Served(
        number=request.number,
        gateway=request.gateway,
        provider=plan.known.provider,
        model=plan.served_as,
        key=plan.known.key,
        status=outcome.refused.status if outcome.refused else status,
        trace_id=request.headers.get("x-portkey-trace-id", ""),
        generation_id=stamp.id,
        fault=plan.fault_name or None,
        is_good=plan.is_good,
        is_stream=request.is_stream,
    )


def _ended(entry: Served, plan: Plan, *, n_tokens: int, stays: bool) -> Served:
    """Return what is known of a call at its end: a broken stream costs what was sent, a failed reply nothing."""
    if entry.status not in {200, 246} or not (stays or entry.is_stream):
        return replace(entry, is_cancelled=not stays)
    is_part = entry.is_stream and (not stays or plan.fault_name in _PARTS)
    usage = plan.sent(n_tokens) if is_part else plan.usage
    cost = 0.0 if plan.fault_name in {"finish_error", "error_midway"} else plan.cost_of(usage)
    return replace(entry, usage=usage, cost_usd=cost, is_cancelled=not stays)


def _id(gateway: FakeGateway, request: FakeRequest, prefix: str) -> str:
    """Return the reply's id, the same for the same seed and number."""
    if prefix == "anthropic-":
        return f"{prefix}{1_700_000_000_000 + request.number}"
    made = uuid.UUID(int=(gateway.seed << 64) + request.number)
    return f"{prefix}{made}" if prefix == "portkey-" else f"{prefix}{made.hex[-24:]}"


def _headers(gateway: FakeGateway, request: FakeRequest, outcome: Outcome, stamp: Stamp) -> Headers:
    """Return the headers that a gateway adds to a reply."""
    more = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in outcome.plan.headers.items())
    if request.gateway == "openrouter":
        return ((b"x-generation-id", stamp.id.encode()), *more)
    if request.gateway == "direct":
        return ((b"x-request-id", b"req_" + str(request.number).encode()), *more)
    return (
        *traced(gateway, request),
        (b"x-portkey-provider", outcome.plan.known.provider.encode()),
        (b"x-portkey-last-used-option-index", outcome.aim.node.encode()),
        (b"x-portkey-retry-attempt-count", str(outcome.n_retries).encode()),
        (b"x-portkey-cache-status", b"DISABLED"),
        *more,
    )
