"""Replies that are given again: from the cache, and to equal calls in flight."""

import asyncio

import pytest

from optimizer.engine import Optimizer
from optimizer.router import Reply, Router
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import ModelScript, Trouble
from tests.engine.factory import CHEAP, DEAR, MIDDLE, pool
from tests.router.calls import HELLO, run, text_of
from tests.router.conftest import Opened

CACHED = pool("objective: quality", "cache: {enabled: true}")
SHARED = pool("objective: quality", "cache: {deduplicate: true}")


async def twice(router: Router) -> list[Reply]:
    return [await router.complete(HELLO, use_case="chat", tenant=tenant) for tenant in ("a", "a")]


def n_calls_learned(opt: Optimizer) -> float:
    opt.refresh(flush=True)
    return float(sum(opt.snapshot.arrays.traffic.values()))


def test_an_equal_request_gets_the_earlier_reply_for_nothing(opened: Opened, fake: FakeServer) -> None:
    opt = opened(CACHED)
    first, second = run(opt, twice)
    assert fake.n_requests == 1
    assert (second.content, second.reused, second.cost_usd) == (first.content, "cache", 0.0)
    assert second.call_id != first.call_id


def test_what_is_given_again_is_logged_and_teaches_nothing(opened: Opened) -> None:
    opt = opened(CACHED)
    _, second = run(opt, twice)
    stored = opt.call(second.call_id)
    assert (stored.selection.overridden_by, stored.selection.propensity) == ("cache", None)
    assert [attempt.reused for attempt in stored.attempts] == ["cache"]
    assert n_calls_learned(opt) == pytest.approx(1.0, abs=1e-3)


def test_another_tenant_gets_a_reply_of_its_own(opened: Opened, fake: FakeServer) -> None:
    async def of_two(router: Router) -> None:
        for tenant in ("a", "b", None):
            await router.complete(HELLO, use_case="chat", tenant=tenant)

    run(opened(CACHED), of_two)
    assert fake.n_requests == 3


def test_a_stream_gets_the_earlier_reply_as_one_chunk(opened: Opened, fake: FakeServer) -> None:
    async def both(router: Router) -> tuple[str, Reply]:
        await router.complete(HELLO, use_case="chat")
        return await text_of(router)

    text, reply = run(opened(CACHED), both)
    assert (text, reply.reused, fake.n_requests) == (reply.content, "cache", 1)


def test_a_failure_is_not_kept(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="cut_short", until_call=2),)))
    run(opened(CACHED), twice)
    assert fake.n_requests == 2


def test_without_being_asked_for_nothing_is_given_again(opened: Opened, fake: FakeServer) -> None:
    run(opened(pool("objective: quality")), twice)
    assert fake.n_requests == 2


def test_equal_calls_in_flight_share_one(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(default=ModelScript(ttft_s=0.2)))

    async def together(router: Router) -> list[Reply]:
        return await asyncio.gather(*(router.complete(HELLO, use_case="chat") for _ in range(5)))

    opt = opened(SHARED)
    replies = run(opt, together)
    assert fake.n_requests == 1
    assert sorted(str(reply.reused) for reply in replies) == ["None", *["in_flight"] * 4]
    assert len({reply.call_id for reply in replies}) == 5
    assert n_calls_learned(opt) == pytest.approx(1.0, abs=1e-3)


def test_a_fallback_s_reply_that_is_given_again_can_be_explained(opened: Opened, fake: FakeServer) -> None:
    """It serves, though it is no candidate, and so has no standing in the decision."""
    failing = ModelScript(troubles=(Trouble(fault="server_error"),))
    fake.play(Script(models=dict.fromkeys((DEAR, MIDDLE, CHEAP), failing)))
    opt = opened(
        pool("objective: quality, fallback_models: [gpt-4.1]", "cache: {enabled: true}\nrouting: {retries: 0}")
    )
    first, second = run(opt, twice)
    assert (first.model, second.model, second.reused) == ("gpt-4.1", "gpt-4.1", "cache")
    assert second.selection.explain()
    assert [attempt.model_id for attempt in opt.call(second.call_id).attempts] == ["gpt-4.1"]
