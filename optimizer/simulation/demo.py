"""Plays a simulated day through the real router, over HTTP to the fake gateway: choose, ask, survive, rate, learn.

Everything happens in the order of one simulated clock, so the same world and the same draws end in the same ledger.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from importlib.util import find_spec
from typing import Any

from optimizer.engine import Optimizer
from optimizer.errors import AllCandidatesFailed, DeadlineExceeded, LimitReached, MissingExtra, OptimizerError
from optimizer.ledger.database import Database
from optimizer.listening import listening
from optimizer.router import Reply, Router
from optimizer.router.attempts import Clocks
from optimizer.settings import Settings
from optimizer.simulation.demo_gateway import Answers, Given, at_fake, messages_of, options_of
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.raters import Rating
from optimizer.simulation.timeline import Timeline
from optimizer.simulation.traffic import Arrival
from optimizer.simulation.world import World

TAGS = {"simulated": "yes"}  # on every call, so that no ledger of a simulation is ever taken for a real one
STREAMED = {"chat", "creative_content", "research"}  # where people read along
_DAY = timedelta(days=1)
_UNSERVED = (AllCandidatesFailed, DeadlineExceeded, LimitReached)


@dataclass(frozen=True, slots=True)
class Played:
    """One call, with the truth about it that only a simulation knows.

    Attributes
    ----------
    call_id : str or None
        None where a spending limit refused the call.
    model_id : str or None
        Who served; None where nobody did.
    quality : float or None
        True quality of the reply, in [0, 1].
    paid_usd, baseline_usd : float
        What all attempts that went through truly cost, and what the baseline would have.
    n_ratings : int
        Ratings that were given, corrections and withdrawals included.
    n_attempts : int
        The one that served included.
    gateway : str or None
        Through whom the reply came.
    degraded_by : str or None
        As of `Reply`: why somebody else than the model chosen, or another gateway, served.
    """

    arrival: Arrival
    call_id: str | None
    model_id: str | None
    quality: float | None
    paid_usd: float
    baseline_usd: float
    n_ratings: int
    n_attempts: int = 1
    gateway: str | None = None
    degraded_by: str | None = None

    @property
    def at(self) -> datetime:
        """When the request came."""
        return self.arrival.at


class Day:
    """A day to be played once: what has come of it so far is in `played`, in the order in which the calls ended.

    Parameters
    ----------
    world : World
        Answers, by way of the fake gateway, which listens while the day is played.
    settings : Settings
        As `at_fake` makes them; the addresses are put in here.
    database : Database
        Where the ledger is written; closed at the day's end.
    refresh_every : timedelta
        How often the optimizer looks at what it has been told; a real one does every few seconds.
    """

    def __init__(
        self,
        world: World,
        settings: Settings,
        database: Database,
        *,
        refresh_every: timedelta = timedelta(minutes=10),
    ) -> None:
        self.world = world
        self.played: list[Played] = []
        self.time = Timeline(world.start)
        self._settings = settings
        self._database = database
        self._refresh_every = refresh_every
        self._answers = Answers(world, self.time)

    def play(self, told: Callable[[datetime], object] = lambda _: None) -> None:
        """Play the whole day and the ratings that come after it; say the time after everything that happens.

        Raises
        ------
        MissingExtra
            If uvicorn is not installed.
        """
        with closing(self._database):
            asyncio.run(self._play(told))

    async def _play(self, told: Callable[[datetime], object]) -> None:
        async with self._gateway() as url, self._opened(url) as router, self.time:
            self._plan(router)
            await self.time.pass_by(told)

    @asynccontextmanager
    async def _gateway(self) -> AsyncIterator[str]:
        """Serve the fake gateway, on this very loop, and lend its URL."""
        with listening("127.0.0.1", 0) as sock:
            server = FakeServer(Script(time_scale=0.0), sock, answer=self._answers, catalog=self.world.catalog)
            async with server.listening():
                yield server.url
            if server.errors:
                raise server.errors[0]

    @asynccontextmanager
    async def _opened(self, url: str) -> AsyncIterator[Router]:
        """Lend the router of a real optimizer that knows no time but the simulated one."""
        draws, turns = (random.Random(f"{who} {self.world.seed}") for who in ("optimizer", "router"))  # noqa: S311
        settings, clocks = at_fake(self._settings, url), Clocks(self.time.timer, self.time.sleep)
        optimizer = Optimizer(
            settings, self.world.catalog, self._database, clock=self.time, rng=draws, background=False
        )
        async with Router(optimizer, rng=turns, clocks=clocks, owned=True) as router:
            yield router

    def _plan(self, router: Router) -> None:
        start, every = self.world.start, self._refresh_every
        for i in range(_DAY // every + 1):
            self.time.plan(start + i * every, partial(router.optimizer.refresh, flush=True))
        for arrival in self.world.arrivals:
            self.time.plan(arrival.at, partial(self._begin, router, arrival))

    def _begin(self, router: Router, arrival: Arrival) -> None:
        self.time.begin(self._call(router, arrival))

    # One call

    async def _call(self, router: Router, arrival: Arrival) -> None:
        """Make a call, have its ratings given when they are due, and put down the truth about it."""
        asked = {"use_case": arrival.use_case, "tags": TAGS, **options_of(arrival)}
        try:
            played = self._served_call(arrival, await self._reply(router, arrival, asked))
        except _UNSERVED as error:
            played = self._lost_call(arrival, error)
        self.played.append(played)

    async def _reply(self, router: Router, arrival: Arrival, asked: dict[str, Any]) -> Reply:
        if arrival.use_case not in STREAMED:
            reply = await router.complete(messages_of(arrival), **asked)
            self._plan_ratings(router.optimizer, arrival, reply.call_id)
            return reply
        async with router.stream(messages_of(arrival), **asked) as stream:
            await anext(stream)
            self._plan_ratings(router.optimizer, arrival, stream.call_id or "")
            answer = self._given(arrival)[-1].answer
            await self.time.until(answer.at + timedelta(milliseconds=answer.latency_ms))  # it is being written
            async for _ in stream:
                pass
            return stream.reply

    def _plan_ratings(self, optimizer: Optimizer, arrival: Arrival, call_id: str) -> None:
        """Plan what raters say of a reply, at the earliest now that its call has a name."""
        answer = self._given(arrival)[-1].answer
        for rating in self.world.ratings(arrival, answer):
            at = max(answer.at + rating.after, self.time.at)
            self.time.plan(at, partial(_rate, optimizer, call_id, rating))

    def _given(self, arrival: Arrival) -> list[Given]:
        return self._answers.given[arrival.prompt]

    def _served_call(self, arrival: Arrival, reply: Reply) -> Played:
        given = self._given(arrival)
        answer = given[-1].answer
        return Played(
            arrival,
            reply.call_id,
            answer.model_id,
            answer.quality,
            sum(each.cost_usd for each in given),
            self._baseline_usd(arrival),
            len(self.world.ratings(arrival, answer)),
            len(reply.attempts),
            reply.provider,
            reply.degraded_by,
        )

    def _lost_call(self, arrival: Arrival, error: OptimizerError) -> Played:
        call_id, n_attempts = getattr(error, "call_id", None), len(getattr(error, "errors", ()))
        return Played(arrival, call_id, None, None, 0.0, self._baseline_usd(arrival), 0, n_attempts)

    def _baseline_usd(self, arrival: Arrival) -> float:
        return self.world.cost_usd(arrival, self.world.routes[arrival.use_case].baseline) or 0.0


def _rate(optimizer: Optimizer, call_id: str, rating: Rating) -> None:
    if rating.value is None:
        optimizer.withdraw(call_id, metric=rating.metric, rater=rating.rater)
    else:
        optimizer.rate(call_id, rating.value, metric=rating.metric, rater=rating.rater)


def check_extra() -> None:
    """Raise `MissingExtra` unless what the fake gateway needs is installed."""
    if find_spec("uvicorn") is None:
        raise MissingExtra("the demo", "service")
