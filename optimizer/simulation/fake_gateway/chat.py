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
from optimizer.simulation.fake_gateway.refusals import PROVIDER, provider_refusal, refusal
from optimizer.simulation.fake_gateway.routing import Aim, Refusal, aims_of
from optimizer.simulation.fake_gateway.styles import style_of

_SILENT = ("hang", "reset", "close")


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
    if not isinstance(request.body, dict) or not isinstance(request.body.get("messages"), list):
        await connection.reply(_malformed(request))
        return
    try:
        aims = aims_of(request, gateway.names, gateway.script, gateway.rng(request.number))
    except Refusal as refused:
        await connection.reply(refused.reply)
        return
    outcome = await _asked(gateway, request, aims)
    await _deliver(gateway, request, outcome, connection)


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
    """Send what came of it, and enter it in the books whatever happens on the way."""
    plan = outcome.plan
    provider = plan.known.provider
    stamp = Stamp(_id(gateway, request, style_of(request.gateway, provider).id_prefix), int(gateway.clock()))
    headers = _headers(gateway, request, outcome, stamp)
    entry = Served(
        number=request.number,
        gateway=request.gateway,
        provider=provider,
        model=plan.served_as,
        key=plan.known.key,
        status=outcome.refused.status if outcome.refused else 246 if plan.fault_name == "guardrail_warning" else 200,
        trace_id=request.headers.get("x-portkey-trace-id", ""),
        generation_id=stamp.id,
        fault=plan.fault_name or None,
        is_good=plan.is_good,
        is_stream=request.is_stream,
        is_cancelled=True,
    )
    try:
        if outcome.refused is not None:
            refused = replace(outcome.refused, headers=(*outcome.refused.headers, *headers))
            stays = await send_plain(connection, refused, "", outcome.after_s)
            entry = replace(entry, is_cancelled=not stays)
        elif plan.fault_name in _SILENT:
            entry = replace(entry, status=0, is_cancelled=False)
            await send_nothing(connection, plan.fault_name)
        elif request.is_stream:
            entry = await _stream(connection, request, plan, (entry, stamp, headers))
        else:
            entry = await _plain(connection, request, plan, (entry, stamp, headers))
    finally:
        gateway.book(entry, failed=entry.status not in {200, 246} or plan.fault_name in CONNECTION)


async def _plain(
    connection: Connection, request: FakeRequest, plan: Plan, known_by: tuple[Served, Stamp, Headers]
) -> Served:
    entry, stamp, headers = known_by
    body = completion(plan, style_of(request.gateway, plan.known.provider), stamp)
    reply = as_reply(entry.status, body)
    reply = replace(reply, headers=(*reply.headers, *headers))
    stays = await send_plain(connection, reply, plan.fault_name, plan.duration_s)
    if not stays:
        return entry
    return replace(entry, usage=plan.usage, cost_usd=_charged(plan, plan.cost_usd), is_cancelled=False)


async def _stream(
    connection: Connection, request: FakeRequest, plan: Plan, known_by: tuple[Served, Stamp, Headers]
) -> Served:
    entry, stamp, headers = known_by
    options = request.body.get("stream_options") or {}
    style = style_of(request.gateway, plan.known.provider)
    made = events(plan, style, stamp, include_usage=bool(options.get("include_usage")))
    times = (plan.ttft_s, plan.duration_s)
    connection.status = entry.status
    n_tokens, stays = await send_stream(connection, made, headers, fault=plan.fault_name, times=times)
    is_whole = n_tokens == sum(event.n_tokens for event in made) and plan.fault_name not in {
        "error_midway",
        "ends_early",
    }
    usage = plan.usage if is_whole else plan.sent(n_tokens)
    return replace(entry, usage=usage, cost_usd=_charged(plan, plan.cost_of(usage)), is_cancelled=not stays)


def _charged(plan: Plan, cost_usd: float | None) -> float | None:
    """Return what the account is charged: nothing for a reply that ended in an error."""
    return 0.0 if plan.fault_name in {"finish_error", "error_midway"} else cost_usd


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
    made = "" if gateway.script.mode == "oss" else str(uuid.UUID(int=request.number))
    return (
        (b"x-portkey-trace-id", request.headers.get("x-portkey-trace-id", made).encode("latin-1")),
        (b"x-portkey-provider", outcome.plan.known.provider.encode()),
        (b"x-portkey-last-used-option-index", outcome.aim.node.encode()),
        (b"x-portkey-retry-attempt-count", str(outcome.n_retries).encode()),
        (b"x-portkey-cache-status", b"DISABLED"),
        *more,
    )
