"""The router for code without an event loop, and many calls at once."""

import random
from typing import Any

import pytest

from optimizer.errors import AllCandidatesFailed, InvalidRequest, OptimizerError
from optimizer.router import Reply, Router, SyncRouter
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import ModelScript, Trouble
from tests.router.calls import DEAR_FIRST, HELLO, QUALITY, calls_of, run
from tests.router.conftest import Opened


def test_a_call_without_an_event_loop(opened: Opened) -> None:
    opt = opened(QUALITY)
    with SyncRouter(opt, rng=random.Random(1)) as router:
        reply = router.complete(HELLO, use_case="chat")
        router.rate(reply.call_id, True)
    assert opt.call(reply.call_id).feedback[0].value == 1.0


def test_a_stream_without_an_event_loop(opened: Opened) -> None:
    opt = opened(QUALITY)
    with SyncRouter(opt) as router, router.stream(HELLO, use_case="chat") as stream:
        text = "".join(chunk.text for chunk in stream)
        assert text == stream.reply.content != ""


def test_a_stream_that_is_left_early_is_ended(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(default=ModelScript(output_tokens=500, tokens_per_s=100)))
    opt = opened(QUALITY)
    with SyncRouter(opt) as router:
        with router.stream(HELLO, use_case="chat") as stream:
            assert next(iter(stream)) is not None
        with pytest.raises(OptimizerError):
            _ = stream.reply
    assert [attempt.error_kind for attempt in calls_of(opt)[0].attempts] == ["cancelled"]


def test_errors_arrive_as_they_are(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="bad_request"),)))
    with SyncRouter(opened(DEAR_FIRST)) as router, pytest.raises(AllCandidatesFailed):
        router.complete(HELLO, use_case="chat")


def test_many_replies_come_in_the_order_of_the_requests(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(echo=True))
    opt = opened(QUALITY)
    requests = [{"messages": [{"role": "user", "content": f"number {i}"}], "use_case": "chat"} for i in range(40)]
    done: list[int] = []
    with SyncRouter(opt) as router:
        replies = router.complete_many(iter(requests), max_concurrency=8, on_done=lambda i, _: done.append(i))
    assert [reply.content for reply in replies if isinstance(reply, Reply)] == [f"number {i}" for i in range(40)]
    assert sorted(done) == list(range(40))
    assert len(calls_of(opt)) == 40


def test_no_more_are_in_flight_than_allowed(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(default=ModelScript(ttft_s=0.02)))
    most = 0

    def look(*_: object) -> None:
        nonlocal most
        most = max(most, fake.n_open)

    async def many(router: Router) -> list[Any]:
        requests = [{"messages": HELLO, "use_case": "chat"} for _ in range(30)]
        return await router.complete_many(requests, max_concurrency=3, on_done=look)

    assert len(run(opened(QUALITY), many)) == 30
    assert 1 <= most <= 3


def test_one_failure_may_stand_in_its_place(opened: Opened) -> None:
    requests = [{"messages": HELLO, "use_case": "chat"}, {"messages": []}]
    with SyncRouter(opened(QUALITY)) as router:
        first, second = router.complete_many(requests, return_exceptions=True)
        assert isinstance(first, Reply)
        assert isinstance(second, InvalidRequest)
        with pytest.raises(InvalidRequest, match="messages"):
            router.complete_many(requests)


@pytest.mark.parametrize(("requests", "n", "field"), [([{}], 1, "requests[0]"), ([], 0, "max_concurrency")])
def test_what_is_no_request_is_named(opened: Opened, requests: list[Any], n: int, field: str) -> None:
    with SyncRouter(opened(QUALITY)) as router, pytest.raises(InvalidRequest) as caught:
        router.complete_many(requests, max_concurrency=n)
    assert caught.value.field == field
