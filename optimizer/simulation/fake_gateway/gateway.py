"""The fake gateway's state: its script, what it has received and what it answered; it sends nothing itself."""

import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any
from zlib import crc32

from optimizer.catalog import Catalog, load_catalog
from optimizer.domain import Gateway
from optimizer.simulation.fake_gateway.faults import Fault
from optimizer.simulation.fake_gateway.messages import Answerer, FakeAnswer, FakeRequest, Served
from optimizer.simulation.fake_gateway.naming import Known, Names
from optimizer.simulation.fake_gateway.plan import Plan, plan
from optimizer.simulation.fake_gateway.script import Script, Trouble

KEPT = 10_000  # requests and replies that are remembered
_COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
_SECONDS = ("ttft_s", "duration_s")


class FakeGateway:
    """What a test, a demo or a benchmark sees of the fake gateway; safe to read while it runs.

    Attributes
    ----------
    script : Script
        Change it by `play`.
    answer : callable or None
        Asked for every chat completion, before the script.
    keys : set of str
        The only keys accepted; empty: any, or none. May be changed while it runs.
    requests : deque of FakeRequest
        What was received, the newest last.
    served : deque of Served
        What came of the chat completions.
    n_served, n_failed, n_cancelled : Counter
        Chat completions by the catalogue's name of the model.
    n_open : int
        Requests under way, streams included.
    errors : list of Exception
        What went wrong with the fake itself or its answerer, each answered with 500.
    feedback : dict
        Id → what was sent to Portkey's feedback.
    """

    def __init__(
        self,
        script: Script,
        *,
        seed: int = 0,
        answer: Answerer | None = None,
        catalog: Catalog | None = None,
        clock: Callable[[], float],
    ) -> None:
        self.answer, self.seed, self.clock = answer, seed, clock
        self.catalog = load_catalog() if catalog is None else catalog
        self.n_served: Counter[str] = Counter()
        self.n_failed: Counter[str] = Counter()
        self.n_cancelled: Counter[str] = Counter()
        self.requests: deque[FakeRequest] = deque(maxlen=KEPT)
        self.served: deque[Served] = deque(maxlen=KEPT)
        self.generations: dict[str, Served] = {}
        self.feedback: dict[str, dict[str, Any]] = {}
        self.n_open = self.n_requests = 0
        self.errors: list[Exception] = []
        self.generation_asked: Counter[str] = Counter()
        self.play(script)

    def play(self, script: Script) -> None:
        """Begin a script, with all calls counted anew and its clock at 0; what was received is kept."""
        self.script, self._started = script, self.clock()
        self.names = Names(script, self.catalog, datetime.fromtimestamp(self._started, UTC))
        self.keys = set(script.keys)
        self._calls: Counter[str] = Counter()
        self._overall: Counter[Gateway] = Counter()

    def rng(self, *of: int) -> random.Random:
        """Return the generator of something, the same for the same seed."""
        return random.Random(hash((self.seed, *of)))  # noqa: S311 (a simulation)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the script began."""
        return self.clock() - self._started

    def allows(self, key: str | None) -> bool:
        """Return whether a key is accepted."""
        return not self.keys or key in self.keys

    async def plan(self, request: FakeRequest, known: Known) -> Plan:
        """Return what one attempt comes to: as its headers ask, else the answerer, else the script."""
        self._calls[known.name] += 1
        call, elapsed_s = self._calls[known.name], request.at_s
        rng = self.rng(crc32(known.name.encode()), call)
        fault = self._trouble(known, request.gateway, (call, elapsed_s), rng)
        answer = await self._answer(request)
        if fault and answer.fault is None:
            answer = replace(answer, fault=fault)
        script = self.script.model_copy(update={"echo": True}) if "x-fake-echo" in request.headers else self.script
        behaviour = known.script.at(call, elapsed_s)
        return plan(request, known, behaviour, answer=answer, script=script, rng=rng)

    def trouble_elsewhere(self, request: FakeRequest) -> Fault | None:
        """Return the fault that strikes an endpoint other than chat completions."""
        if text := request.headers.get("x-fake-fault"):
            return Fault.parse(text.partition(",")[0])
        call, rng = self._overall[request.gateway] + 1, self.rng(request.number)
        troubles = tuple(trouble for trouble in self.script.troubles if trouble.whole_gateway)
        struck = _struck(troubles, (call, request.at_s), request.gateway, rng)
        return Fault.parse(struck) if struck else None

    def book(self, served: Served, *, failed: bool) -> None:
        """Remember what came of a chat completion."""
        counter = self.n_cancelled if served.is_cancelled else self.n_failed if failed else self.n_served
        counter[served.key] += 1
        self.served.append(served)
        if served.gateway == "openrouter" and served.usage is not None:
            self.generations[served.generation_id] = served
            if len(self.generations) > KEPT:
                del self.generations[next(iter(self.generations))]

    def _trouble(self, known: Known, gateway: Gateway, now: tuple[int, float], rng: random.Random) -> str | None:
        """Return the fault that strikes, of everybody's troubles first."""
        call, elapsed_s = now
        self._overall[gateway] += 1
        found = _struck(self.script.troubles, (self._overall[gateway], elapsed_s), gateway, rng)
        return found or _struck(known.script.troubles, (call, elapsed_s), gateway, rng)

    async def _answer(self, request: FakeRequest) -> FakeAnswer:
        given: Any = None if self.answer is None else self.answer(request)
        if isawaitable(given):
            given = await given
        return _with_headers(FakeAnswer() if given is None else given, request)


def _struck(troubles: tuple[Trouble, ...], now: tuple[int, float], gateway: Gateway, rng: random.Random) -> str | None:
    for trouble in troubles:
        # Drawn in any case, so that the same call has the same fate whatever else is due.
        strikes = rng.random() < trouble.probability
        if strikes and trouble.is_due(now[0], now[1], gateway):
            return trouble.fault
    return None


def _with_headers(answer: FakeAnswer, request: FakeRequest) -> FakeAnswer:
    """Return the answer with what the request's own headers ask for; of several faults, one for each attempt."""
    asked = {name[7:].replace("-", "_"): value for name, value in request.headers.items() if name[:7] == "x-fake-"}
    if not asked:
        return answer
    changed: dict[str, Any] = {name: int(asked[name]) for name in _COUNTS if name in asked}
    changed |= {name: float(asked[name]) for name in _SECONDS if name in asked}
    faults = dict(enumerate(asked.get("fault", "").split(",")))
    if name := faults.get(request.attempt, "").strip():
        changed["fault"] = name
    return replace(answer, **changed)


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse what a request's `x-fake-…` headers ask for where it makes no sense.

    Raises
    ------
    ValueError
        If a fault is unknown or a number is none.
    """
    for name in filter(None, (part.strip() for part in headers.get("x-fake-fault", "").split(","))):
        Fault.parse(name)
    for name in (*_COUNTS, *_SECONDS):
        float(headers.get(f"x-fake-{name.replace('_', '-')}", 0))
