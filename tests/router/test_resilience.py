"""The benchmarks of failing and of leaving calls, made small: what they hold is held here too."""

import asyncio
import gc

from benchmarks import router_resilience, router_streams
from optimizer.router import Router
from optimizer.simulation.fake_gateway import FakeServer, ModelScript, Script
from tests.router.calls import HELLO, QUALITY, run
from tests.router.conftest import Opened


def test_calls_survive_failures_and_every_row_is_right() -> None:
    figures = router_resilience.run(300, interval_s=0.1, in_flight=16)
    assert figures.wrong == []
    assert figures.met
    assert figures.n_failed_attempts > 0


def test_streams_that_are_left_leave_nothing_behind() -> None:
    figures = router_streams.run(60, in_flight=16)
    assert figures.wrong == []
    assert figures.met
    assert figures.n_costed > 0


def test_a_stream_that_is_dropped_ends_at_once(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(default=ModelScript(output_tokens=1_000, tokens_per_s=100)))

    async def drop(router: Router) -> int:
        stream = router.stream(HELLO, use_case="chat")
        await anext(stream)
        del stream
        for _ in range(200):
            if fake.n_open:
                await asyncio.sleep(0.01)
        return fake.n_open

    gc.disable()  # which would find it, some time
    try:
        assert run(opened(QUALITY), drop) == 0
    finally:
        gc.enable()
    assert fake.served[-1].is_cancelled
