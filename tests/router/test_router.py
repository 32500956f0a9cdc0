"""Whole calls, through a real socket to the fake gateway and into a real ledger."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from optimizer.engine import Optimizer
from optimizer.errors import (
    AllCandidatesFailed,
    ContextTooLong,
    DeadlineExceeded,
    InvalidRequest,
    NoGateway,
    RateLimited,
    ServerFailed,
    StreamBroken,
)
from optimizer.router import Reply, Router
from optimizer.router.attempts import Clocks
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import ModelScript, Trouble
from tests.engine.factory import CHEAP, DEAR, MIDDLE, pool
from tests.router.calls import HELLO, QUALITY, calls_of, complete, only, run, text_of

Opened = Callable[..., Optimizer]

# One call


def test_a_reply_says_who_gave_it_and_what_it_cost(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, answer="Hello!", output_tokens=3)
    opt = opened(QUALITY)
    reply = complete(opt, model=DEAR)
    assert (reply.content, reply.model, reply.provider, reply.finish_reason) == ("Hello!", DEAR, "portkey", "stop")
    assert reply.usage is not None
    price = opt.catalog.price(DEAR, "portkey", opt.clock())
    expected = price.cost_usd(reply.usage.input_tokens, reply.usage.output_tokens)
    assert expected is not None
    assert reply.cost_usd == pytest.approx(expected, abs=1e-9)
    assert (reply.cost_source, reply.degraded, reply.latency_ms > 0) == ("priced", False, True)


def test_a_lost_usage_is_estimated_by_the_length_that_the_caller_knows(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="no_usage"),)))
    reply = complete(opened(QUALITY), context_tokens=12_345)
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.cost_source) == (12_345, "estimated")


def test_latencies_are_measured_by_the_clock_that_the_router_has(opened: Opened) -> None:
    async def streamed() -> Reply:
        async with Router(opened(QUALITY), clocks=Clocks(timer=lambda: 7.0)) as router:
            return (await text_of(router))[1]

    reply = asyncio.run(streamed())
    assert (reply.ttft_ms, reply.latency_ms, reply.attempts[0].latency_ms) == (0.0, 0.0, 0.0)


def test_the_ledger_has_the_call_and_its_attempt(opened: Opened) -> None:
    opt = opened(QUALITY)
    reply = complete(opt, tenant="acme", tags={"team": "a"}, session_id="s")
    stored = opt.call(reply.call_id)
    assert stored.selection.to_dict() == reply.selection.to_dict()
    assert stored.attempts == reply.attempts
    assert (stored.selection.request.tenant, stored.selection.request.session_id) == ("acme", "s")
    assert stored.attempts[0].served


def test_an_extra_body_goes_on_whatever_its_fields_are_called(opened: Opened, fake: FakeServer) -> None:
    """`tenant` is a hint of ours, and `models` so near to one that it looks misspelt."""
    opt = opened(QUALITY)
    reply = complete(opt, model=DEAR, extra_body={"tenant": "acme", "models": ["a"], "max_tokens": 9})
    assert fake.requests[-1].body.items() >= {"tenant": "acme", "models": ["a"], "max_tokens": 9}.items()
    assert reply.selection.request.tenant is None


def test_the_body_arrives_as_it_was_given(opened: Opened, fake: FakeServer) -> None:
    opt = opened(QUALITY)
    complete(opt, model=MIDDLE, max_tokens=50, user="u1", stop=["x"])
    sent = fake.requests[-1].body
    assert sent["messages"] == HELLO
    assert (sent["user"], sent["stop"], sent["max_completion_tokens"]) == ("u1", ["x"], 50)
    assert "max_tokens" not in sent  # a reasoning model wants the other name
    assert fake.requests[-1].headers["x-portkey-trace-id"]


def test_openrouter_says_itself_what_a_call_cost(opened: Opened) -> None:
    opt = opened(pool("objective: quality", "primary_gateway: openrouter\nfallback_gateway: null"))
    reply = complete(opt, model=DEAR)
    assert (reply.provider, reply.cost_source) == ("openrouter", "reported")


def test_ratings_teach_which_model_is_asked(opened: Opened) -> None:
    opt = opened(QUALITY)
    reply = complete(opt)
    opt.rate(reply.call_id, 0.75)
    opt.refresh(flush=True)
    facts = opt.snapshot.facts(opt.routes["chat"], opt.snapshot.context("chat", ""))
    assert facts.n_ratings == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("messages", "options", "field"),
    [
        ("hello", {}, "messages"),
        ([], {}, "messages"),
        ([{"role": "user", "content": "x"}, "y"], {}, "messages[1]"),
        ([{"role": "nobody", "content": "x"}], {}, "messages[0].role"),
        (HELLO, {"max_tokens": 0}, "max_tokens"),
        (HELLO, {"n": 0}, "n"),
        (HELLO, {"stream": True}, "stream"),
        (HELLO, {"deadline_s": -1}, "deadline_s"),
        (HELLO, {"requierd_quality": 0.9}, "requierd_quality"),
        (HELLO, {"required_quality": "lots"}, "required_quality"),
        (HELLO, {"model": "no-such-model"}, "model"),
        (HELLO, {"cost_tier": "golden"}, "cost_tier"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_sent(
    opened: Opened, fake: FakeServer, messages: Any, options: dict[str, Any], field: str
) -> None:
    opt = opened(QUALITY)
    with pytest.raises(InvalidRequest) as caught:
        run(opt, lambda router: router.complete(messages, use_case="chat", **options))
    assert caught.value.field == field
    assert fake.n_requests == 0


def test_without_a_key_the_error_says_how_to_get_one(opened: Opened) -> None:
    opt = opened(QUALITY, PORTKEY_API_KEY="", PORTKEY_BASE_URL="", OPENROUTER_API_KEY="", OPENROUTER_BASE_URL="")

    async def twice(router: Router) -> None:
        for _ in range(2):
            with pytest.raises(NoGateway, match="PORTKEY_API_KEY"):
                await router.complete(HELLO)

    run(opt, twice)


def test_a_prompt_too_long_for_everybody_is_refused_before_it_is_sent(opened: Opened, fake: FakeServer) -> None:
    opt = opened(QUALITY)
    with pytest.raises(ContextTooLong):
        complete(opt, context_tokens=10_000_000)
    assert fake.n_requests == 0


# Failures


def test_a_failure_that_passes_is_retried_at_the_same_model(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, troubles=(Trouble(fault="server_error", until_call=2),))
    opt = opened(QUALITY)
    reply = complete(opt, model=DEAR)
    assert [(a.model_id, a.error_kind, a.served) for a in reply.attempts] == [
        (DEAR, "server", False),
        (DEAR, None, True),
    ]
    assert (reply.degraded, reply.attempts[0].cost_nano_usd) == (False, 0)  # an error's status is charged nothing


def test_another_candidate_stands_in_for_one_that_goes_on_failing(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, troubles=(Trouble(fault="server_error"),))
    opt = opened(
        pool("objective: quality", "routing: {retries: 0, rules: [{name: r, condition: 'true', model: gpt-4o}]}")
    )
    reply = complete(opt)
    assert reply.model in (MIDDLE, CHEAP)
    assert (reply.degraded, reply.degraded_by) == (True, "failover")
    stored = opt.call(reply.call_id)
    assert [a.model_id for a in stored.attempts] == [DEAR, reply.model]
    assert stored.selection.drawn_model_id in (DEAR, MIDDLE, CHEAP)


def test_the_other_gateway_serves_where_one_is_dead(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="reset", gateway="portkey"),)))
    opt = opened(QUALITY)
    reply = complete(opt, model=DEAR)
    assert (reply.model, reply.provider, reply.degraded_by) == (DEAR, "openrouter", "fallback_gateway")


def test_a_gateway_that_nobody_listens_at_is_left_at_once(opened: Opened) -> None:
    opt = opened(QUALITY, PORTKEY_BASE_URL="http://127.0.0.1:9/v1")
    reply = complete(opt)
    assert reply.provider == "openrouter"
    assert [a.error_kind for a in reply.attempts] == ["unreachable", None]
    assert reply.attempts[0].cost_nano_usd == 0


def test_an_open_breaker_keeps_the_next_calls_away(opened: Opened, fake: FakeServer) -> None:
    opt = opened(QUALITY, PORTKEY_BASE_URL="http://127.0.0.1:9/v1")

    async def several(router: Router) -> list[Reply]:
        return [await router.complete(HELLO, use_case="chat") for _ in range(5)]

    replies = run(opt, several)
    assert [len(reply.attempts) for reply in replies] == [2, 2, 2, 1, 1]
    assert {reply.provider for reply in replies} == {"openrouter"}


def test_when_everybody_fails_the_error_lists_every_attempt(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="server_error"),)))
    opt = opened(pool("objective: quality, fallback_models: [gpt-4.1]", "routing: {retries: 0}"))
    with pytest.raises(AllCandidatesFailed) as caught:
        complete(opt)
    error = caught.value
    assert len(error.errors) == 8  # three candidates and a fallback, at two gateways
    assert all(isinstance(each, ServerFailed) for each in error.errors)
    stored = opt.call(error.call_id)
    assert [a.error_kind for a in stored.attempts] == ["server"] * 8
    assert stored.served is None


def test_without_fallback_the_first_error_is_the_answer(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="rate_limit:60"),)))
    opt = opened(QUALITY, LLM_FALLBACK_ENABLED="false")
    with pytest.raises(RateLimited) as caught:
        complete(opt)
    assert caught.value.retry_after_s == 60
    assert fake.n_requests == 1


def test_a_short_retry_after_is_waited_for(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, troubles=(Trouble(fault="rate_limit:1", until_call=2),))
    opt = opened(QUALITY)
    reply = complete(opt, model=DEAR)
    assert [a.error_kind for a in reply.attempts] == ["rate_limit", None]
    assert reply.latency_ms >= 1000


def test_the_deadline_covers_the_whole_call(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="hang"),)))
    opt = opened(QUALITY)
    with pytest.raises(DeadlineExceeded) as caught:
        complete(opt, deadline_s=0.3)
    stored = opt.call(caught.value.call_id)
    assert stored.attempts[0].error_kind == "timeout"
    assert stored.attempts[0].cost_source == "estimated"  # it was sent, and may be charged
    assert (stored.attempts[0].cost_nano_usd or 0) > 0


def test_a_cancelled_call_is_put_down_and_costed(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="hang"),)))
    opt = opened(QUALITY)

    async def cancelled(router: Router) -> None:
        task = asyncio.create_task(router.complete(HELLO, use_case="chat"))
        while not fake.n_open:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(opt, cancelled)
    (call,) = calls_of(opt)
    assert [(a.error_kind, a.cost_source) for a in call.attempts] == [("cancelled", "estimated")]


# Streams


def test_a_stream_is_the_reply_piece_by_piece(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, answer="Hello, dear world!")
    opt = opened(QUALITY)
    text, reply = run(opt, lambda router: text_of(router, model=DEAR))
    assert text == reply.content == "Hello, dear world!"
    assert (reply.finish_reason, reply.cost_source) == ("stop", "priced")
    assert reply.ttft_ms is not None
    assert opt.call(reply.call_id).attempts == reply.attempts


def test_a_stream_fails_over_until_its_first_token(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, troubles=(Trouble(fault="server_error"),))
    opt = opened(
        pool("objective: quality", "routing: {retries: 0, rules: [{name: r, condition: 'true', model: gpt-4o}]}")
    )
    text, reply = run(opt, text_of)
    assert text == reply.content != ""
    assert [a.served for a in reply.attempts] == [False, True]


def test_a_stream_that_breaks_later_is_the_callers_to_know(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="cut"),)))
    opt = opened(QUALITY)
    with pytest.raises(StreamBroken):
        run(opt, text_of)
    (call,) = calls_of(opt)
    (attempt,) = call.attempts
    assert (attempt.error_kind, attempt.served, attempt.cost_source) == ("stream_broken", False, "estimated")
    assert attempt.usage is not None
    assert attempt.usage.output_tokens > 0


def test_a_stream_that_is_left_is_closed_and_costed(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(default=ModelScript(output_tokens=500, tokens_per_s=100)))
    opt = opened(QUALITY)

    async def leave(router: Router) -> None:
        async with router.stream(HELLO, use_case="chat") as stream:
            async for _ in stream:
                break
        for _ in range(200):
            if not fake.n_open:
                return
            await asyncio.sleep(0.01)

    run(opt, leave)
    assert fake.n_open == 0
    (call,) = calls_of(opt)
    assert [(a.error_kind, a.cost_source) for a in call.attempts] == [("cancelled", "estimated")]
