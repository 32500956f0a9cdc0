"""Do calls survive, and is every row of the ledger right?

One attempt in twenty fails at random, in one of many ways, at every model and both gateways; Portkey is dead at first,
so that not even a connection comes about, and then comes back. Afterwards the ledger is held against the books that
the gateways themselves have kept, call by call and attempt by attempt.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from benchmarks.rig import POOL, opened, show
from optimizer import Optimizer
from optimizer.domain import NANO_USD, Attempt
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.router import Reply, Router
from optimizer.simulation.fake_gateway import FakeServer, Script, Served, Trouble, running_gateway

FAULTS = (
    "server_error", "rate_limit_bare", "unavailable", "overloaded", "bad_gateway", "html_page", "gateway_rate_limit",
    "reset", "cut", "garbage",
)  # fmt: skip
FAILURES = 0.05
LOST = {"reset", "cut"}  # faults after which nobody knows what was charged
INVALID = {"garbage"}
DEAD_SHARE = 0.4  # of the calls are made while Portkey is dead
IN_FLIGHT = 64
ROUTING = "health_checks: {interval_seconds: %g, timeout_seconds: 1}, cost_limits: {daily_usd: 100000}"


@dataclass
class Figures:
    """What came of all calls."""

    n_calls: int
    n_answered: int = 0
    n_back: int = 0  # calls that ended after Portkey served again,
    n_back_failed: int = 0  # and of those, the ones that were not answered
    recovery_s: float | None = None
    seconds: float = 0.0
    n_attempts: int = 0
    n_failed_attempts: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    reserved_nano_usd: int = 0
    spent_wrong_nano_usd: int = 0

    @property
    def answered(self) -> float:
        """Share of the calls."""
        return self.n_answered / self.n_calls

    @property
    def errors_after_recovery(self) -> float:
        """Share of the calls after it."""
        return self.n_back_failed / max(self.n_back, 1)

    @property
    def met(self) -> bool:
        """Whether every figure is."""
        is_right = not self.wrong and not self.reserved_nano_usd and not self.spent_wrong_nano_usd
        return self.answered >= 0.999 and self.errors_after_recovery < 0.01 and self.recovery_s is not None and is_right


def run(n_calls: int, *, interval_s: float = 1.0, in_flight: int = IN_FLIGHT, seed: int = 1) -> Figures:
    """Make the calls, and compare the books."""
    script = Script(troubles=tuple(_troubles()))
    with running_gateway(script, seed=seed) as portkey, running_gateway(script, seed=seed + 1) as openrouter:
        for server in (portkey, openrouter):
            server.requests, server.served = deque(), deque()  # all are wanted, not the last thousands
        use_case = f"{POOL}, fallback_models: [gpt-4.1]"
        routing = ROUTING % interval_s
        with opened(portkey.portkey_url, openrouter.openrouter_url, routing=routing, use_case=use_case) as optimizer:
            figures = Figures(n_calls)
            outcomes = asyncio.run(_called(optimizer, portkey, figures, in_flight, seed))
            _compare(optimizer, outcomes, _books(portkey, openrouter), figures)
    return figures


def _troubles() -> Iterator[Trouble]:
    """Yield faults of which each strikes where those before it did not, all together one call in twenty."""
    each = FAILURES / len(FAULTS)
    for i, fault in enumerate(FAULTS):
        yield Trouble(fault=fault, probability=each / (1.0 - i * each))


def _request(number: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"Call {number}"}], "use_case": "bench", "max_tokens": 200}


async def _called(
    optimizer: Optimizer, portkey: FakeServer, figures: Figures, in_flight: int, seed: int
) -> list[Reply | Exception]:
    n_dead, started = round(DEAD_SHARE * figures.n_calls), perf_counter()
    async with Router(optimizer, rng=random.Random(seed)) as router:
        options: dict[str, Any] = {"max_concurrency": in_flight, "return_exceptions": True}
        with portkey.refusing():
            outcomes = await router.complete_many(map(_request, range(n_dead)), **options)
        back_at = perf_counter()

        def done(_: int, outcome: Reply | Exception) -> None:
            if figures.recovery_s is None:
                if isinstance(outcome, Reply) and outcome.provider == "portkey":
                    figures.recovery_s = perf_counter() - back_at
                return
            figures.n_back += 1
            figures.n_back_failed += isinstance(outcome, Exception)

        outcomes += await router.complete_many(map(_request, range(n_dead, figures.n_calls)), on_done=done, **options)
    figures.seconds = perf_counter() - started
    return outcomes


def _books(*servers: FakeServer) -> dict[int, dict[str, list[Served]]]:
    """Return call → gateway → what the gateway says of each attempt, in order."""
    found: dict[int, dict[str, list[Served]]] = defaultdict(lambda: defaultdict(list))
    for server in servers:
        prompts = {request.number: request.prompt for request in server.requests if request.method == "POST"}
        for served in sorted(server.served, key=lambda served: served.number):
            found[int(prompts[served.number].removeprefix("Call "))][served.gateway].append(served)
    return found


def _compare(
    optimizer: Optimizer,
    outcomes: Sequence[Reply | Exception],
    books: dict[int, dict[str, list[Served]]],
    figures: Figures,
) -> None:
    optimizer.flush()
    stored = {call.selection.call_id: call for call in recent_calls(optimizer.database, limit=2 * len(outcomes))}
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Reply):
            figures.n_answered += 1
        else:
            figures.errors[type(outcome).__name__] += 1
        call = stored.get(getattr(outcome, "call_id", ""))
        if call is None:
            figures.wrong.append(f"call {number} is not in the ledger")
            continue
        figures.n_attempts += len(call.attempts)
        figures.n_failed_attempts += sum(not attempt.served for attempt in call.attempts)
        figures.wrong += [f"call {number}: {what}" for what in _wrong(call, outcome, books.get(number, {}))]
    if len(stored) != len(outcomes):
        figures.wrong.append(f"{len(stored)} calls in the ledger, {len(outcomes)} made")
    spent = sum(attempt.cost_nano_usd or 0 for call in stored.values() for attempt in call.attempts)
    (limit,) = optimizer.purse.status()
    figures.reserved_nano_usd = limit.reserved_nano_usd
    figures.spent_wrong_nano_usd = limit.spent_nano_usd - spent


def _wrong(call: StoredCall, outcome: Reply | Exception, books: dict[str, list[Served]]) -> Iterator[str]:
    """Yield what of a call's rows is not as the gateways have it."""
    if isinstance(outcome, Reply) and call.attempts != outcome.attempts:
        yield "the ledger has other attempts than the reply"
    if [attempt.served for attempt in call.attempts].count(True) != isinstance(outcome, Reply):
        yield "served by none or by several"
    left = {gateway: list(entries) for gateway, entries in books.items()}
    for attempt in call.attempts:
        if attempt.error_kind == "unreachable":
            if (attempt.cost_nano_usd, attempt.status, attempt.usage) != (0, None, None):
                yield "an attempt that reached nobody has a cost, a status or usage"
        elif entries := left.get(attempt.gateway):
            yield from _wrong_attempt(call.selection.call_id, attempt, entries.pop(0))
        else:
            yield f"attempt {attempt.number} never came to {attempt.gateway}"
    if any(left.values()):
        yield "a gateway knows of more attempts"


def _wrong_attempt(call_id: str, attempt: Attempt, served: Served) -> Iterator[str]:
    is_right = {
        "model": attempt.model_id == served.key,
        "trace id": served.gateway != "portkey" or served.trace_id == call_id,
        "outcome": attempt.served == (served.fault is None),
        "status": attempt.status == (None if served.fault in LOST else served.status),
    }
    if attempt.served:
        known = None if served.cost_usd is None else round(served.cost_usd * NANO_USD)
        is_right |= {
            "usage": attempt.usage == served.usage,
            "cost": known is not None and attempt.cost_nano_usd == known,
            "its source": attempt.cost_source == ("reported" if attempt.gateway == "openrouter" else "priced"),
            "version": attempt.model_version == served.model,
            "provider": attempt.gateway == "openrouter" or attempt.provider == served.provider,
        }
    elif served.fault in LOST | INVALID:  # it may be charged
        is_right["estimate"] = attempt.cost_source == "estimated" and (attempt.cost_nano_usd or 0) > 0
    else:
        is_right["cost"] = (attempt.cost_nano_usd, attempt.usage) == (0, None)
    yield from (f"attempt {attempt.number} ({served.fault}): {what}" for what, right in is_right.items() if not right)


def main() -> None:
    """Print the figures; exit with 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks router_resilience", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    figures = run(parser.parse_args().calls)
    per_s = figures.n_calls / figures.seconds
    show("calls made, and per second with both gateways in this process", f"{figures.n_calls:,}, {per_s:,.0f}/s", True)
    show("attempts, of which failed", f"{figures.n_attempts:,}, {figures.n_failed_attempts:,}", True)
    show("answered (at least 99.9%)", f"{figures.answered:.3%}", figures.answered >= 0.999)
    recovery = "never" if figures.recovery_s is None else f"{figures.recovery_s:.2f} s"
    show("Portkey serves again after", recovery, figures.recovery_s is not None)
    rate = figures.errors_after_recovery
    show(f"errors in {figures.n_back:,} calls after that (under 1%)", f"{rate:.3%}", rate < 0.01)
    show("rows of the ledger that are wrong (0)", f"{len(figures.wrong)}", not figures.wrong)
    show("nano-dollars still reserved (0)", f"{figures.reserved_nano_usd}", not figures.reserved_nano_usd)
    unlike = figures.spent_wrong_nano_usd
    show("nano-dollars spent by the limit's count less the ledger's (0)", f"{unlike}", not unlike)
    for error, n in figures.errors.most_common():
        print(f"  {error}: {n}")
    for what in figures.wrong[:20]:
        print(f"  {what}")
    sys.exit(not figures.met)


if __name__ == "__main__":
    main()
