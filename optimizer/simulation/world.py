"""A simulated day: requests come in, any model answers any of them, some answers are rated, and the truth is known.

The world is not made of what the optimizer assumes. Prompts have a difficulty that all models share, quality is graded,
who rates depends on the outcome, and what happens at noon and at six is announced to nobody. `Traffic` makes the
requests, `Sheet` the answers, `raters` the ratings; this module puts them on one clock, with prices and events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property

from optimizer.catalog import Catalog
from optimizer.domain import NANO_USD, Gateway, Price, Usage
from optimizer.errors import InvalidRequest
from optimizer.routes import Route, Routes
from optimizer.simulation.events import (
    SHAKY,
    SHAKY_FROM,
    SHAKY_RATE,
    SHAKY_UNTIL,
    WORSE,
    WORSE_BY,
    WORSE_FROM,
    with_price_cut,
)
from optimizer.simulation.raters import GATE, PANELS, Rating, Reading, ratings
from optimizer.simulation.sheets import Prompts, Sheet, sheet
from optimizer.simulation.traffic import PROFILES, Arrival, Traffic, day_of_traffic
from optimizer.simulation.traits import Nature, Traits

# (up to this share of failures, kind, status, milliseconds until it fails, whether it is known to be free)
_FAILURES = (
    (0.50, "rate_limit", 429, 120.0, True),
    (0.85, "server_error", 503, 900.0, True),
    (1.00, "timeout", None, 60_000.0, False),
)
_LOST_USAGE = 0.006


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one call.

    Attributes
    ----------
    at : datetime
        When the call was made; it ends `latency_ms` later.
    usage : Usage or None
        None where the call failed or the reply came without it.
    status, error_kind : int or None, str or None
        As a gateway would say; `error_kind` is None where the call succeeded.
    cost_nano_usd : int or None
        At the price in force; None where it is unknown, as after a timeout.
    reading : Reading or None
        The truth about the answer, for judging a policy, never for the policy; None where the call failed.
    """

    prompt: int
    model_id: str
    at: datetime
    latency_ms: float
    ttft_ms: float | None
    usage: Usage | None
    status: int | None
    error_kind: str | None
    cost_nano_usd: int | None
    reading: Reading | None = field(default=None, repr=False)

    @property
    def quality(self) -> float | None:
        """The true quality, in [0, 1], as a careful rater would grade it on the use case's scale."""
        return None if self.reading is None else self.reading.quality


@dataclass(frozen=True, eq=False)
class World:
    """One day and everything that any model would do in it; the same arguments to `day` make the same day.

    Attributes
    ----------
    start : datetime
        Midnight UTC.
    catalog : Catalog
        With the price cut at noon; give this one to the optimizer.
    routes : mapping of str to Route
        The use cases that have traffic.
    """

    seed: int
    start: datetime
    catalog: Catalog
    routes: Mapping[str, Route]
    traffic: Traffic = field(repr=False)
    # Looked up again and again, and the same whoever asks first.
    _sheets: dict[tuple[str, bool], Sheet] = field(default_factory=dict, repr=False)
    _prices: dict[tuple[str, Gateway, datetime], Price] = field(default_factory=dict, repr=False)

    @classmethod
    def day(cls, seed: int, *, start: datetime, n_calls: int, routes: Routes, catalog: Catalog) -> "World":
        """Return a day of `n_calls` requests of those built-in use cases that have routes.

        Raises
        ------
        InvalidRequest
            If `start` is not midnight UTC, there are fewer than one call, or no use case is a built-in one.
        """
        midnight = start.astimezone(UTC)
        if start.tzinfo is None or midnight.time() != datetime.min.time():
            raise InvalidRequest("start", f"{start.isoformat()} is not midnight UTC, as a simulated day must be")
        if n_calls < 1:
            raise InvalidRequest("n_calls", f"{n_calls} is less than one")
        known = {name: routes.by_use_case[name] for name in PROFILES if name in routes.by_use_case}
        if not known:
            raise InvalidRequest("routes", f"none of the simulated use cases has a route: {', '.join(PROFILES)}")
        traffic = day_of_traffic(seed, midnight, n_calls, tuple(known.values()))
        return cls(seed, midnight, with_price_cut(catalog, midnight), known, traffic)

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """The day's requests in order of time."""
        return self.traffic.arrivals

    def answer(self, arrival: Arrival, model_id: str, at: datetime | None = None, *, retry: int = 0) -> Answer:
        """Return what a model of the catalogue, candidate or not, answers to a request.

        The same prompt gets the same answer from the same model, whatever was asked before and by whom; only the
        price, an outage and a model's decline depend on `at`, by default the time of arrival. Whether the call fails
        is another chance each time that the model is asked again; `retry` counts how often it was asked before.
        """
        at = arrival.at if at is None else at
        answers, i = self._sheet(model_id, at), arrival.prompt
        fate = (i + retry) % answers.failure.size
        if answers.failure[fate] < self._failure_rate(model_id, at):
            return self._failed(arrival, model_id, at, float(answers.failure_kind[fate]))
        usage = None if answers.loss[i] < _LOST_USAGE else self.usage(arrival, model_id, at)
        cost = None if usage is None else self._cost_usd(arrival, model_id, usage, at)
        valid = bool(answers.valid[i]) if arrival.needs_json_schema else None
        latency_ms = float(answers.latency_ms[i])
        return Answer(
            prompt=i,
            model_id=model_id,
            at=at,
            latency_ms=latency_ms,
            ttft_ms=float(answers.ttft_ms[i]),
            usage=usage,
            status=200,
            error_kind=None,
            cost_nano_usd=None if cost is None else round(cost * NANO_USD),
            reading=Reading(float(answers.merit[i]), float(answers.quality[i]), latency_ms, valid),
        )

    def ratings(self, arrival: Arrival, answer: Answer) -> tuple[Rating, ...]:
        """Return the ratings that an answer gets, of the metrics that its use case has; a failed call gets none."""
        if answer.reading is None:
            return ()
        answers, metrics = self._sheet(answer.model_id, answer.at), self.routes[arrival.use_case].settings.metrics
        chances, noises = answers.chances[arrival.prompt].tolist(), answers.noises[arrival.prompt].tolist()
        panel, gated = PANELS[arrival.use_case], GATE in metrics.names
        return tuple(ratings(panel, answer.reading, chances, noises, metric=metrics.quality, gated=gated))

    def price(self, use_case: str, model_id: str, at: datetime) -> Price:
        """Return what a model charges at a time through the gateway that the use case reaches it by."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        key = (model_id, self._gateway(use_case, model_id), hour)
        if key not in self._prices:
            self._prices[key] = self.catalog.price(*key)
        return self._prices[key]

    def true_quality(self, use_case: str, model_id: str, at: datetime) -> float:
        """Return the mean true quality over a use case's prompts of the day, had this model answered them all at `at`.

        Failed calls are left aside.
        """
        quality = self._sheet(model_id, at).quality
        values = [quality[arrival.prompt] for arrival in self._of(use_case)]
        return float(sum(values) / len(values))

    def true_cost_usd(self, use_case: str, model_id: str, at: datetime) -> float | None:
        """Return the mean cost over a use case's prompts of the day, had this model answered them all at `at`.

        None where a price is unknown.
        """
        total = 0.0
        for arrival in (arrivals := self._of(use_case)):
            cost = self.cost_usd(arrival, model_id, at)
            if cost is None:
                return None
            total += cost
        return total / len(arrivals)

    def cost_usd(self, arrival: Arrival, model_id: str, at: datetime | None = None) -> float | None:
        """Return what an answer truly costs in dollars where the call does not fail, also where its usage gets lost."""
        at = arrival.at if at is None else at
        return self._cost_usd(arrival, model_id, self.usage(arrival, model_id, at), at)

    def usage(self, arrival: Arrival, model_id: str, at: datetime) -> Usage:
        """Return the tokens that an answer truly takes where the call does not fail, also where its usage gets lost."""
        answers, i = self._sheet(model_id, at), arrival.prompt
        caches = self.price(arrival.use_case, model_id, at).cached_usd_per_mtok is not None
        return Usage(
            input_tokens=arrival.context_tokens,
            output_tokens=int(answers.output_tokens[i]),
            cached_tokens=arrival.cached_tokens if caches else 0,
            reasoning_tokens=int(answers.reasoning_tokens[i]),
        )

    def _of(self, use_case: str) -> list[Arrival]:
        found = [arrival for arrival in self.arrivals if arrival.use_case == use_case]
        if not found:
            raise InvalidRequest("use_case", f"no request of {use_case!r} comes on this day")
        return found

    def _cost_usd(self, arrival: Arrival, model_id: str, usage: Usage, at: datetime) -> float | None:
        price = self.price(arrival.use_case, model_id, at)
        return price.cost_usd(usage.input_tokens, usage.output_tokens, usage.cached_tokens)

    def _failed(self, arrival: Arrival, model_id: str, at: datetime, kind: float) -> Answer:
        _, error, status, after_ms, free = next(row for row in _FAILURES if kind < row[0])
        return Answer(arrival.prompt, model_id, at, after_ms, None, None, status, error, 0 if free else None)

    def _failure_rate(self, model_id: str, at: datetime) -> float:
        if model_id == SHAKY and SHAKY_FROM <= at - self.start < SHAKY_UNTIL:
            return SHAKY_RATE
        return self._traits(model_id).failure_rate

    def _sheet(self, model_id: str, at: datetime) -> Sheet:
        worse = model_id == WORSE and at - self.start >= WORSE_FROM
        key = (model_id, worse)
        if key not in self._sheets:
            limit, handicap = self.catalog[model_id].max_output_tokens, WORSE_BY if worse else 0.0
            traits = self._traits(model_id)
            self._sheets[key] = sheet(self.seed, model_id, traits, self._prompts, max_output=limit, handicap=handicap)
        return self._sheets[key]

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts.of(self.traffic, self.routes)

    @cached_property
    def _traits(self) -> Callable[[str], Traits]:
        nature, families = Nature(self.seed, self.catalog), self._prompts.families
        return cache(lambda model_id: nature.traits(model_id, families))

    def _gateway(self, use_case: str, model_id: str) -> Gateway:
        candidates = self.routes[use_case].candidates
        return next((c.gateway for c in candidates if c.model_id == model_id), candidates[0].gateway)
