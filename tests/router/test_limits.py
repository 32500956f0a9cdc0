"""Spending limits: reserved before an attempt, settled after it, and what happens where they leave too little."""

from datetime import UTC, datetime

import pytest

from optimizer.domain import NANO_USD
from optimizer.errors import AllCandidatesFailed, InvalidRequest, LimitReached, UnknownPrice
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import Trouble
from tests.engine.factory import CHEAP, DEAR, pool
from tests.router.calls import DEAR_FIRST, calls_of, complete, only, run, text_of
from tests.router.conftest import Opened


def limited(hourly_usd: float, more: str = "") -> str:
    """Return settings under which gpt-4o is asked first, and all together may spend so much an hour."""
    rule = "rules: [{name: r, condition: 'true', model: gpt-4o}]"
    return pool(
        "objective: quality", f"routing: {{retries: 0, {rule}, cost_limits: {{hourly_usd: {hourly_usd}}}{more}}}"
    )


def test_what_a_call_cost_is_spent_and_nothing_stays_reserved(opened: Opened) -> None:
    opt = opened(limited(1.0))
    reply = complete(opt)
    (status,) = opt.purse.status()
    assert reply.cost_usd is not None
    assert status.spent_nano_usd == round(reply.cost_usd * NANO_USD)
    assert status.reserved_nano_usd == 0


def test_max_tokens_is_lowered_where_less_is_left(opened: Opened, fake: FakeServer) -> None:
    """gpt-4o answers a token for $10 per million: $0.002 pays for fewer than 200."""
    opt = opened(limited(0.002))
    complete(opt, max_tokens=5_000)
    assert 64 <= fake.requests[-1].body["max_tokens"] < 200


def test_a_cheaper_candidate_serves_where_the_chosen_one_is_too_dear(opened: Opened) -> None:
    """$0.0005 does not pay for 64 tokens of gpt-4o, but for many of the cheapest."""
    opt = opened(limited(0.0005))
    reply = complete(opt)
    assert (reply.model, reply.degraded_by) == (CHEAP, "cap")
    stored = opt.call(reply.call_id)
    assert (stored.selection.overridden_by, stored.selection.model_id) == ("cap", CHEAP)


def test_a_refusal_names_the_limit_and_when_it_opens(opened: Opened, fake: FakeServer) -> None:
    opt = opened(limited(0.000001))
    with pytest.raises(LimitReached) as caught:
        complete(opt)
    assert (caught.value.limit, caught.value.window) == ("everything", "hour")
    assert 0 < (caught.value.opens_at - opt.clock()).total_seconds() <= 3600
    assert fake.n_requests == 0
    (call,) = calls_of(opt)
    assert call.attempts == ()


def test_a_failed_attempt_gives_back_what_was_reserved(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="server_error"),)))
    opt = opened(limited(1.0))
    with pytest.raises(AllCandidatesFailed):
        complete(opt)
    (status,) = opt.purse.status()
    assert (status.spent_nano_usd, status.reserved_nano_usd) == (0, 0)


def test_the_limit_is_asked_again_before_every_failover(opened: Opened, fake: FakeServer) -> None:
    """What the first attempt may have cost, since it never answered, is spent when the second one asks."""
    only(fake, DEAR, troubles=(Trouble(fault="reset"),))
    opt = opened(limited(1.0))
    reply = complete(opt)
    (status,) = opt.purse.status()
    assert reply.model != DEAR
    assert (reply.attempts[0].cost_nano_usd or 0) > 0
    assert status.spent_nano_usd == sum(attempt.cost_nano_usd or 0 for attempt in reply.attempts)
    assert status.reserved_nano_usd == 0


def test_a_stream_is_settled_too(opened: Opened) -> None:
    opt = opened(limited(1.0))
    _, reply = run(opt, text_of)
    (status,) = opt.purse.status()
    assert reply.cost_usd is not None
    assert (status.spent_nano_usd, status.reserved_nano_usd) == (round(reply.cost_usd * NANO_USD), 0)


def test_a_tenants_limit_stops_that_tenant_alone(opened: Opened) -> None:
    more = ", tenant_limits: {acme: {daily_usd: 0.000001}}"
    opt = opened(limited(1.0, more))
    with pytest.raises(LimitReached, match="tenant acme"):
        complete(opt, tenant="acme")
    assert complete(opt, tenant="other").content


def test_a_price_that_nobody_knows_is_refused_under_a_limit_unless_allowed(opened: Opened) -> None:
    models = "use_cases: {chat: {candidates: [deepseek-v4-flash], fallback_models: [], objective: quality}}"
    limit = "fallback_gateway: null\nrouting: {cost_limits: {hourly_usd: 1}, unknown_price: %s}"
    peak = datetime(2026, 11, 24, 2, tzinfo=UTC)  # on weekdays at this hour its price is not published
    with pytest.raises(UnknownPrice):
        complete(opened(f"{models}\n{limit % 'refuse'}", at=peak))
    assert complete(opened(f"{models}\n{limit % 'allow'}", at=peak)).cost_usd is None


def test_a_body_that_cannot_be_sent_leaves_nothing_reserved(opened: Opened, fake: FakeServer) -> None:
    opt = opened(limited(1.0))
    with pytest.raises(InvalidRequest):
        complete(opt, logit_bias={1: object()})
    opt.flush()
    (status,) = opt.purse.status()
    assert (status.spent_nano_usd, status.reserved_nano_usd, fake.n_requests) == (0, 0, 0)


def test_without_a_limit_nothing_is_reserved(opened: Opened) -> None:
    opt = opened(DEAR_FIRST)
    complete(opt)
    assert opt.purse.status() == []
