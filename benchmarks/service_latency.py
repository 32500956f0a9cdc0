"""How much longer does a call take through our service than without it, and through two others?

Behind each stands the same fake gateway: behind our service, which chooses among three models and writes every call
and attempt into a SQLite ledger; behind LiteLLM's proxy over the same three models, which keeps no ledger; and behind
the open-source Portkey gateway, which passes a call on to the one model that it names. Each runs in one process of its
own, with its defaults. One client asks all of them, and the fake gateway itself; they take turns, a round each, so
that whatever else the machine does meets all of them. Then our service alone, with one worker and with two: calls per
second of processor time that its processes take.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from httpx_aiohttp import HttpxAiohttpClient

from benchmarks.peers import MODELS, litellm_proxy, our_service
from benchmarks.rig import show as show_figure
from benchmarks.router_latency import BODY, Ask, Figures, Latency, fake_process, measured_level, measured_round, show
from tests.router.peer.running import running_peer

LEVELS = {1: 60, 16: 160, 64: 320}  # in flight → calls a round
ROUNDS = 5  # and one to warm up
OTHERS = ("LiteLLM", "Portkey")
CPU_IN_FLIGHT, CPU_CALLS = 64, 640  # a round
KEPT = 0.8  # of one worker's calls per processor second, with two


@dataclass(frozen=True)
class Way:
    """How a contender is asked."""

    url: str
    model: str
    headers: dict[str, str]


def run(
    levels: dict[int, int] | None = None,
    rounds: int = ROUNDS,
    *,
    others: tuple[str, ...] = OTHERS,
    told: Callable[[int, dict[str, Latency]], None] = lambda _, __: None,
) -> Figures:
    """Return in flight → contender → its latency; each level is told as soon as it is known."""
    with ExitStack() as stack:
        fake = stack.enter_context(fake_process())
        ways = {"direct": _to_portkey(f"{fake}/v1", {"x-portkey-api-key": "pk-bench"})}
        ways["ours"] = Way(stack.enter_context(our_service(fake)).url, "auto:bench", {})
        if "LiteLLM" in others:
            ways["LiteLLM"] = Way(stack.enter_context(litellm_proxy(fake)).url, "bench", {})
        if "Portkey" in others:
            to_fake = {"authorization": "Bearer sk-bench", "x-portkey-custom-host": f"{fake}/v1"}
            ways["Portkey"] = _to_portkey(stack.enter_context(running_peer()), to_fake)

        async def measure() -> Figures:
            figures: Figures = {}
            async with HttpxAiohttpClient(timeout=None) as http:
                contenders = {name: asking(http, way) for name, way in ways.items()}
                for n, n_calls in (LEVELS if levels is None else levels).items():
                    figures[n] = await measured_level(contenders, n, n_calls, rounds)
                    told(n, figures[n])
            return figures

        return asyncio.run(measure())


def calls_per_cpu_s(rounds: int = ROUNDS, n_calls: int = CPU_CALLS) -> dict[int, float]:
    """Return workers → calls per second of processor time, of services that take turns."""
    with fake_process() as fake, our_service(fake) as one, our_service(fake, workers=2) as two:
        servers = {1: one, 2: two}

        async def measure() -> dict[int, float]:
            taken = dict.fromkeys(servers, 0.0)
            for number in range(rounds + 1):
                for workers, server in servers.items():
                    async with HttpxAiohttpClient(timeout=None) as http:  # new connections, to either worker
                        before = server.cpu_s()
                        await measured_round(asking(http, Way(server.url, "auto:bench", {})), CPU_IN_FLIGHT, n_calls)
                        taken[workers] += server.cpu_s() - before if number else 0.0
            return {workers: rounds * n_calls / seconds for workers, seconds in taken.items()}

        return asyncio.run(measure())


def _to_portkey(url: str, headers: dict[str, str]) -> Way:
    return Way(url, MODELS[0], {"x-portkey-provider": "openai", **headers})


def asking(http: HttpxAiohttpClient, way: Way) -> Ask:
    content = json.dumps({"model": way.model, **BODY}).encode()
    url, headers = f"{way.url}/chat/completions", {"content-type": "application/json", **way.headers}

    async def ask() -> object:
        answer = await http.post(url, content=content, headers=headers)
        answer.raise_for_status()
        return json.loads(answer.content)["choices"][0]["message"]["content"]

    return ask


def main() -> None:
    """Print all of it; exit with 1 where a number is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks service_latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--other", action="append", choices=OTHERS, help="only this one; may be repeated")
    options = parser.parse_args()
    others = tuple(options.other or OTHERS)
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print("in flight  who         p50 ms    p99 ms   added p50   added p99", flush=True)
    levels = run(rounds=options.rounds, others=others, told=show).values()
    pairs = [(level["ours"], level[name]) for level in levels for name in others]
    is_least = all(ours.p50_ms < theirs.p50_ms and ours.p99_ms < theirs.p99_ms for ours, theirs in pairs)
    print("ours adds less at every level" if is_least else "missed: ours must add less at every level")
    by_workers = calls_per_cpu_s(options.rounds)
    kept = by_workers[2] / by_workers[1]
    for workers, calls in by_workers.items():
        print(f"calls per processor second, {workers} worker{'s'[: workers - 1]}: {calls:.0f}")
    show_figure("two workers' share of one worker's calls per processor second", f"{kept:.2f}", kept >= KEPT)
    sys.exit(not (is_least and kept >= KEPT))


if __name__ == "__main__":
    main()
