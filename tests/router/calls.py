"""What tests of the router do again and again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from optimizer.engine import Optimizer
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.router import Reply, Router
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import ModelScript
from tests.engine.factory import pool

T = TypeVar("T")
HELLO = [{"role": "user", "content": "Say hello."}]
QUALITY = pool("objective: quality", "routing: {retries: 1}")
DEAR_FIRST = pool("objective: quality", "routing: {retries: 0, rules: [{name: r, condition: 'true', model: gpt-4o}]}")


def run(opt: Optimizer, work: Callable[[Router], Awaitable[T]], seed: int = 1) -> T:
    """Do some work with a router in an event loop of its own, and close it."""

    async def main() -> T:
        async with Router(opt, rng=random.Random(seed)) as router:
            return await work(router)

    return asyncio.run(main())


def complete(opt: Optimizer, **options: Any) -> Reply:
    return run(opt, lambda router: router.complete(HELLO, use_case="chat", **options))


async def text_of(router: Router, **options: Any) -> tuple[str, Reply]:
    """Return the text of a streamed reply, piece by piece put together, and the whole reply."""
    stream = router.stream(HELLO, use_case="chat", **options)
    text = "".join([chunk.text async for chunk in stream])
    return text, stream.reply


def only(fake: FakeServer, model: str, **script: Any) -> None:
    """Let one model behave in its own way."""
    fake.play(Script(models={model: ModelScript(**script)}))


def calls_of(opt: Optimizer) -> list[StoredCall]:
    """Return all calls, the newest first."""
    opt.flush()
    return recent_calls(opt.database)
