"""What stays behind of streams that are left at random moments?

Every stream is left in one of four ways, some before their first token, some near their end: its task is cancelled, it
is closed, its iterator is dropped, or the loop over it is broken out of. Afterwards no task, no socket and no
reservation may be left, and everything that a gateway was asked for must have a cost in the ledger.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from benchmarks.rig import opened, show
from optimizer import Optimizer
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.router import ReplyStream, Router
from optimizer.simulation.fake_gateway import FakeServer, ModelScript, Script, Served, running_gateway

# A stream takes some 100 ms, a third of them until its first token.
SCRIPT = Script(default=ModelScript(ttft_s=0.03, ttft_sigma=0.5, tokens_per_s=400, output_tokens=30))
LONGEST_S, N_TOKENS = 0.12, 30
ROUTING = "cost_limits: {daily_usd: 100000}"
IN_FLIGHT = 32
PATIENCE_S = 10.0


@dataclass
class Figures:
    """What was left behind."""

    n_streams: int
    seconds: float = 0.0
    n_whole: int = 0
    n_unsent: int = 0  # left before anything was sent
    n_costed: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    left_tasks: int = 0
    left_sockets: int = 0  # at the gateway, once the router is closed
    left_here: int = 0  # sockets that this process has open
    left_requests: int = 0  # under way at the gateway, soon after the last stream was left
    reserved_nano_usd: int = 0
    spent_wrong_nano_usd: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether nothing was."""
        left = (self.left_tasks, self.left_sockets, self.left_here, self.left_requests, self.reserved_nano_usd)
        return not any(left) and not self.wrong and not self.spent_wrong_nano_usd


def run(n_streams: int, *, in_flight: int = IN_FLIGHT, seed: int = 1) -> Figures:
    """Open the streams and leave them, and look at what is left."""
    figures = Figures(n_streams)
    with running_gateway(SCRIPT, seed=seed) as server:
        server.requests, server.served = deque(), deque()  # all are wanted
        with opened(server.portkey_url, server.openrouter_url, routing=ROUTING) as optimizer:
            asyncio.run(_warmed_up(optimizer))
            n_sockets = _n_sockets()
            asyncio.run(_left(optimizer, server, figures, in_flight, random.Random(seed)))
            figures.left_sockets = _soon_zero(lambda: server.n_connections)
            figures.left_here = _soon_zero(lambda: _n_sockets() - n_sockets)
            _compare(optimizer, server, figures)
    return figures


async def _warmed_up(optimizer: Optimizer) -> None:
    """Let the ledger open the files that it keeps open."""
    async with Router(optimizer) as router:
        await router.complete([{"role": "user", "content": "Hello"}], use_case="bench")


async def _left(optimizer: Optimizer, server: FakeServer, figures: Figures, n: int, rng: random.Random) -> None:
    started = perf_counter()
    async with Router(optimizer, rng=random.Random(rng.random())) as router:
        await router.line.open()
        before = asyncio.all_tasks()
        numbers = iter(range(figures.n_streams))

        async def work() -> None:
            for number in numbers:
                await _leave(router, number, rng, figures)

        await asyncio.gather(*(work() for _ in range(n)))
        figures.seconds = perf_counter() - started
        until = perf_counter() + PATIENCE_S
        while (server.n_open or asyncio.all_tasks() - before) and perf_counter() < until:
            await asyncio.sleep(0.01)
        figures.left_requests = server.n_open
        figures.left_tasks = len(asyncio.all_tasks() - before)


async def _leave(router: Router, number: int, rng: random.Random, figures: Figures) -> None:
    """Open a stream and leave it at a random moment, in a random way."""
    stream = router.stream([{"role": "user", "content": f"Stream {number}"}], use_case="bench", max_tokens=100)
    way = rng.choice(("cancelled", "closed", "dropped", "broken out of"))
    figures.ways[way] += 1
    if way == "cancelled":
        task = asyncio.create_task(_read(stream, None))
        await asyncio.sleep(rng.random() * LONGEST_S)
        task.cancel()
        await asyncio.wait([task])
    elif way == "closed":
        await _read(stream, rng.randrange(N_TOKENS))
        await stream.aclose()
    elif way == "broken out of":
        async with stream:
            await _read(stream, rng.randrange(N_TOKENS))
    else:
        await _read(stream, rng.randrange(N_TOKENS))
    del stream  # dropped: its iterator is closed by the event loop


async def _read(stream: ReplyStream, n_chunks: int | None) -> None:
    """Read a stream to its end, or so many chunks of it."""
    n = 0
    async for _ in stream:
        n += 1
        if n_chunks is not None and n > n_chunks:
            break


def _compare(optimizer: Optimizer, server: FakeServer, figures: Figures) -> None:
    optimizer.flush()
    asked = {served.trace_id: served for served in server.served}
    calls = recent_calls(optimizer.database, limit=2 * figures.n_streams)
    figures.n_unsent = figures.n_streams + 1 - len(calls)  # with the one to warm up
    for call in calls:
        figures.wrong += _wrong(call, asked.pop(call.selection.call_id, None), figures)
    figures.wrong += [f"call {call_id} is not in the ledger" for call_id in asked]
    spent = sum(attempt.cost_nano_usd or 0 for call in calls for attempt in call.attempts)
    (limit,) = optimizer.purse.status()
    figures.reserved_nano_usd = limit.reserved_nano_usd
    figures.spent_wrong_nano_usd = limit.spent_nano_usd - spent


def _wrong(call: StoredCall, served: Served | None, figures: Figures) -> list[str]:
    """Return what of a call's row is not as the gateway has it."""
    if not call.attempts:
        figures.n_unsent += 1
        return [] if served is None else [f"call {call.selection.call_id} has no attempt, and was asked"]
    (attempt,) = call.attempts
    figures.n_whole += attempt.served
    is_costed = (attempt.cost_nano_usd or 0) > 0 and attempt.usage is not None
    figures.n_costed += is_costed
    is_marked = attempt.cost_source == ("priced" if attempt.served else "estimated")
    is_known = attempt.error_kind == (None if attempt.served else "cancelled")
    is_exact = not attempt.served or (served is not None and attempt.usage == served.usage)
    return [] if is_costed and is_marked and is_known and is_exact else [f"{attempt} is not what {served} says"]


def _n_sockets() -> int:
    """Return how many sockets this process has open; 0 where that cannot be seen."""
    found = 0
    for entry in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):  # that of the listing itself is gone already
            found += str(entry.readlink()).startswith("socket:")
    return found


def _soon_zero(count: Callable[[], int]) -> int:
    """Return what a count comes to, once it is zero or patience is over."""
    until = perf_counter() + PATIENCE_S
    while (n := count()) > 0 and perf_counter() < until:
        asyncio.run(asyncio.sleep(0.01))
    return max(n, 0)


def main() -> None:
    """Print the figures; exit with 1 where something was left behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks router_streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=2_000)
    figures = run(parser.parse_args().streams)
    ways = ", ".join(f"{n} {way}" for way, n in figures.ways.most_common())
    show("streams, and per second", f"{figures.n_streams:,}, {figures.n_streams / figures.seconds:,.0f}/s", True)
    print(f"  {ways}")
    print(f"  {figures.n_whole - 1} ended before they were left, {figures.n_unsent} were left before anything was sent")
    show("attempts with a cost", f"{figures.n_costed:,}", True)
    show("rows of the ledger that are wrong (0)", f"{len(figures.wrong)}", not figures.wrong)
    for what, n in (
        ("tasks left (0)", figures.left_tasks),
        ("requests left at the gateway (0)", figures.left_requests),
        ("sockets left at the gateway (0)", figures.left_sockets),
        ("sockets left open in this process (0)", figures.left_here),
        ("nano-dollars still reserved (0)", figures.reserved_nano_usd),
        ("nano-dollars spent by the limit's count less the ledger's (0)", figures.spent_wrong_nano_usd),
    ):
        show(what, str(n), not n)
    for wrong in figures.wrong[:20]:
        print(f"  {wrong}")
    sys.exit(not figures.met)


if __name__ == "__main__":
    main()
