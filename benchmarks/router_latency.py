"""How much longer does a call take through our Router than without it, and through LiteLLM's?

All three ask the same fake gateway, in a process of its own, for the same reply: bare, by the very transport that our
clients use; through our Router, which chooses among three models and writes every call and attempt into a SQLite
ledger; and through LiteLLM's Router over the same three models, with its defaults. They take turns, in one process, a
round each, so that whatever else the machine does meets all of them. With many calls in flight and one process to
make them, what a call adds is above all its processor time, times those that wait.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from httpx_aiohttp import HttpxAiohttpClient

from benchmarks.rig import opened, percentile
from optimizer.router import Router

LEVELS = {1: 120, 16: 320, 64: 640}  # in flight → calls a round
ROUNDS = 6  # and one to warm up
MODELS = ("gpt-4o", "gpt-4.1", "gpt-4o-mini")
USE_CASE = f"candidates: [{', '.join(MODELS)}], incumbent: {MODELS[0]}, objective: quality"
MESSAGES = [
    {
        "role": "system",
        "content": "You are a helpful assistant. Answer briefly, in plain words.",
    },
    {"role": "user", "content": "Which of the planets has the most moons, and how many of them are known by name?"},
]
BODY = {"messages": MESSAGES, "max_tokens": 200, "temperature": 0.2}
HEADERS = {
    "content-type": "application/json",
    "x-portkey-api-key": "pk-bench",
    "x-portkey-provider": "openai",
    "x-portkey-metadata": '{"use_case": "bench"}',
}

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a contender's calls, at one number in flight."""

    p50_ms: float
    p99_ms: float


Figures = dict[int, dict[str, Latency]]


def run(
    levels: dict[int, int] | None = None,
    rounds: int = ROUNDS,
    *,
    litellm: bool = True,
    told: Callable[[int, dict[str, Latency]], None] = lambda _, __: None,
) -> Figures:
    """Return in flight → contender → its latency; each level is told as soon as it is known."""
    levels = LEVELS if levels is None else levels
    with fake_process() as url, opened(f"{url}/v1", f"{url}/api/v1", use_case=USE_CASE) as optimizer:

        async def measure() -> Figures:
            async with HttpxAiohttpClient(timeout=None) as http, Router(optimizer, rng=random.Random(1)) as router:
                contenders = {"direct": _direct(http, url), "ours": _ours(router)}
                if litellm:
                    contenders["LiteLLM"] = _litellm(url)
                figures: Figures = {}
                for n, n_calls in levels.items():
                    figures[n] = await measured_level(contenders, n, n_calls, rounds)
                    told(n, figures[n])
                return figures

        return asyncio.run(measure())


@contextmanager
def fake_process() -> Iterator[str]:
    """Lend the URL of a fake gateway in a process of its own."""
    command = [sys.executable, "-m", "optimizer", "fake-gateway", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().partition("=")[2].removesuffix("/v1")
        finally:
            process.terminate()


def _direct(http: HttpxAiohttpClient, url: str) -> Ask:
    async def ask() -> object:
        content = json.dumps({"model": MODELS[0], **BODY}).encode()
        answer = await http.post(f"{url}/v1/chat/completions", content=content, headers=HEADERS)
        answer.raise_for_status()
        return json.loads(answer.content)["choices"][0]["message"]["content"]

    return ask


def _ours(router: Router) -> Ask:
    async def ask() -> object:
        return (await router.complete(use_case="bench", **BODY)).content  # type: ignore[arg-type]

    return ask


def _litellm(url: str) -> Ask:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it looks for prices on the internet
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    params = ({"model": f"openai/{model}", "api_base": f"{url}/v1", "api_key": "sk-bench"} for model in MODELS)
    router = litellm.Router(model_list=[{"model_name": "bench", "litellm_params": each} for each in params])

    async def ask() -> object:
        body: dict[str, Any] = BODY
        return (await router.acompletion(model="bench", **body)).choices[0].message.content

    return ask


async def measured_level(contenders: dict[str, Ask], in_flight: int, n_calls: int, rounds: int) -> dict[str, Latency]:
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        names = list(contenders)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds = await measured_round(contenders[name], in_flight, n_calls)
            if number:
                taken[name] += seconds
    return {
        name: Latency(percentile(seconds, 0.5) * 1e3, percentile(seconds, 0.99) * 1e3)
        for name, seconds in taken.items()
    }


async def measured_round(ask: Ask, in_flight: int, n_calls: int) -> list[float]:
    seconds: list[float] = []

    async def work() -> None:
        for _ in range(n_calls // in_flight):
            started = time.perf_counter()
            await ask()
            seconds.append(time.perf_counter() - started)

    await asyncio.gather(*(work() for _ in range(in_flight)))
    return seconds


def show(in_flight: int, by_name: dict[str, Latency]) -> None:
    bare = by_name["direct"]
    for name, found in by_name.items():
        added = f"{found.p50_ms - bare.p50_ms:11.2f} {found.p99_ms - bare.p99_ms:11.2f}" if name != "direct" else ""
        print(f"{in_flight:>9}  {name:<8} {found.p50_ms:9.2f} {found.p99_ms:9.2f} {added}", flush=True)


def main() -> None:
    """Print all of it; exit with 1 where ours adds more than LiteLLM's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks router_latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    print("in flight  who         p50 ms    p99 ms   added p50   added p99", flush=True)
    pairs = [(level["ours"], level["LiteLLM"]) for level in run(rounds=rounds, told=show).values()]
    is_met = all(ours.p50_ms < theirs.p50_ms and ours.p99_ms < theirs.p99_ms for ours, theirs in pairs)
    print("ours adds less at every level" if is_met else "missed: ours must add less at every level")
    sys.exit(not is_met)


if __name__ == "__main__":
    main()
