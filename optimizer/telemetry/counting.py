"""Counts what an optimizer is told: calls, attempts, tokens, dollars, ratings, and what choices go by.

`provider` is the gateway that was asked, as the settings and a selection use the word. Every label is a word of the
catalogue, of the settings or of our own lists; anything else is counted as `other`, so that no caller can make the
number of series grow. No label holds a prompt, a reply or a key, nor a tenant whom the settings do not name.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache, cached_property
from itertools import chain
from typing import Any, TypeVar, get_args

from optimizer.catalog import Catalog
from optimizer.domain import NANO_USD, Attempt, Feedback, Gateway, Usage
from optimizer.errors import GatewayError
from optimizer.selection import Selection
from optimizer.settings import Settings
from optimizer.telemetry.instruments import Instruments, process_instruments

OTHER = "other"
WHOLE_GATEWAY = "*"
STATES = {"closed": 0, "half_open": 1, "open": 2}
RATERS = frozenset(("user", "judge", "check"))
CHECKS = ("not_truncated", "not_refused", "not_filtered", "not_empty", "valid_json", "valid_tool_calls")
_OVERRIDES = frozenset(("none", "pin", "rule", "session", "flag", "observe", "cap", "failover", "cache", "in_flight"))
_OTHER_KINDS = ("cancelled", "error")  # beside those of gateways
_MOST_KEPT = 5_000

K = TypeVar("K")
V = TypeVar("V")


class Telemetry:
    """Counts what one optimizer is told; for any thread, a few microseconds a call.

    Parameters
    ----------
    settings, catalog
        Whose words are labels.
    """

    def __init__(self, instruments: Instruments, settings: Settings, catalog: Catalog) -> None:
        self._of = instruments
        self._models = frozenset((*catalog.models, WHOLE_GATEWAY))
        self._use_cases = frozenset(settings.use_cases)
        self._quality = {name: use_case.metrics.quality for name, use_case in settings.use_cases.items()}
        named = (use_case.metrics.names for use_case in settings.use_cases.values())
        self._metrics = frozenset((*chain.from_iterable(named), *CHECKS))
        self._limits = frozenset(_limit_names(settings))
        self._prices: dict[str, float] = {}
        self._asked: dict[tuple[str, str, str | None], _Asked] = {}
        self._decided: dict[tuple[str, str | None], _Decided] = {}

    def chosen(self, selection: Selection) -> None:
        """Count a call that was decided."""
        key = selection.use_case, selection.overridden_by
        counts = self._decided.get(key)
        if counts is None:
            counts = self._kept(self._decided, key, _Decided(self._of, *self._words_of(*key)))
        counts.calls.inc()
        if selection.propensity is not None:
            counts.propensity.observe(selection.propensity)
        price = selection.decision.price
        if price is not None and price != self._prices.get(selection.use_case):  # it changes at refreshes only
            counts.price.set(price)
            self._prices[selection.use_case] = price

    def attempted(self, attempt: Attempt, use_case: str | None) -> None:
        """Count an attempt: that it was made, how long it took, what it used and cost, or what it failed of."""
        if attempt.reused is not None:
            self._of.reused.labels(_among(use_case, self._use_cases), attempt.reused).inc()
            return
        key = attempt.gateway, attempt.model_id, use_case
        counts = self._asked.get(key)
        if counts is None:
            asked = _among(attempt.gateway, _GATEWAYS), _among(attempt.model_id, self._models)
            counts = self._kept(self._asked, key, _Asked(self._of, asked, _among(use_case, self._use_cases)))
        counts.requests.inc()
        if attempt.error_kind is not None:
            self._of.errors.labels(*counts.asked, _among(attempt.error_kind, _error_kinds())).inc()
        if attempt.latency_ms is not None:
            counts.duration.observe(attempt.latency_ms / 1_000.0)
        if attempt.ttft_ms is not None:
            counts.ttft.observe(attempt.ttft_ms / 1_000.0)
        if attempt.usage is not None:
            counts.add_tokens(attempt.usage)
        if attempt.cost_nano_usd is None:
            counts.unknown_cost.inc()
        else:
            counts.cost.inc(attempt.cost_nano_usd / NANO_USD)

    def rated(self, rating: Feedback, use_case: str | None, model_id: str | None) -> None:
        """Count a rating; one that is withdrawn was counted when it came."""
        if rating.value is None:
            return
        name = _among(use_case, self._use_cases)
        rater = rating.rater.partition(":")[0]
        metric = _among(rating.metric, self._metrics)
        self._of.ratings.labels(name, metric, _among(rater, RATERS)).inc()
        if rating.metric == self._quality.get(name):
            self._of.quality.labels(name, _among(model_id, self._models)).observe(rating.value)

    def broke(self, gateway: str, model_id: str, state: str) -> None:
        """Show a breaker's new state; the model `*` is the gateway itself."""
        labels = _among(gateway, _GATEWAYS), _among(model_id, self._models)
        self._of.breaker.labels(*labels).set(STATES.get(state, 0))

    def spent(self, limit: str, window: str, used_usd: float, left_usd: float) -> None:
        """Show how a limit stands; those of tenants whom the settings do not name are not shown."""
        if limit in self._limits:
            self._of.used.labels(limit, window).set(used_usd)
            self._of.left.labels(limit, window).set(left_usd)

    def refreshed(self, at: datetime, n_journaled: int) -> None:
        """Show when evidence was read, and how much waits in the journal for the database."""
        self._of.refreshed.set(at.timestamp())
        self.journaled(n_journaled)

    def journaled(self, n_journaled: int) -> None:
        """Show how much waits in the journal for the database."""
        self._of.journal.set(n_journaled)

    def _words_of(self, use_case: str, overridden_by: str | None) -> tuple[str, str]:
        override = (overridden_by or "none").partition(":")[0]
        return _among(use_case, self._use_cases), _among(override, _OVERRIDES)

    @staticmethod
    def _kept(known: dict[K, V], key: K, made: V) -> V:
        if len(known) < _MOST_KEPT:  # words of callers may be among the keys
            known[key] = made
        return made


class _Asked:
    """What is counted of one model through one gateway for one use case; looked up once, for that takes longest."""

    def __init__(self, of: Instruments, asked: tuple[str, str], use_case: str) -> None:
        self._of = of
        self.asked = asked
        self.requests = of.requests.labels(*asked, use_case)

    def add_tokens(self, usage: Usage) -> None:
        self._input.inc(usage.input_tokens)
        self._output.inc(usage.output_tokens)
        if usage.cached_tokens:
            self._of.tokens.labels(*self.asked, "cached").inc(usage.cached_tokens)
        if usage.reasoning_tokens:
            self._of.tokens.labels(*self.asked, "reasoning").inc(usage.reasoning_tokens)

    # Each series begins with the first that it counts.

    @cached_property
    def duration(self) -> Any:  # noqa: ANN401 - of an optional dependency, as all below
        return self._of.duration.labels(*self.asked)

    @cached_property
    def ttft(self) -> Any:  # noqa: ANN401
        return self._of.ttft.labels(*self.asked)

    @cached_property
    def cost(self) -> Any:  # noqa: ANN401
        return self._of.cost.labels(*self.asked)

    @cached_property
    def unknown_cost(self) -> Any:  # noqa: ANN401
        return self._of.unknown_cost.labels(*self.asked)

    @cached_property
    def _input(self) -> Any:  # noqa: ANN401
        return self._of.tokens.labels(*self.asked, "input")

    @cached_property
    def _output(self) -> Any:  # noqa: ANN401
        return self._of.tokens.labels(*self.asked, "output")


class _Decided:
    """What is counted of one use case's decisions."""

    def __init__(self, of: Instruments, use_case: str, override: str) -> None:
        self.calls = of.calls.labels(use_case, override)
        self.propensity = of.propensity.labels(use_case)
        self.price = of.price.labels(use_case)


def open_telemetry(
    settings: Settings, catalog: Catalog, made: Callable[[], Instruments | None] = process_instruments
) -> Telemetry | None:
    """Return what counts for an optimizer with these settings; None where monitoring is off or cannot be had."""
    instruments = made() if settings.flags.monitoring else None
    return None if instruments is None else Telemetry(instruments, settings, catalog)


_GATEWAYS: frozenset[str] = frozenset(get_args(Gateway))


def _among(word: str | None, known: frozenset[str]) -> str:
    return word if word in known else OTHER


@cache
def _error_kinds() -> frozenset[str]:
    return frozenset((*_kinds(GatewayError), *_OTHER_KINDS))


def _kinds(error: type[GatewayError]) -> Iterable[str]:
    yield error.kind
    for special in error.__subclasses__():
        yield from _kinds(special)


def _limit_names(settings: Settings) -> Iterable[str]:
    yield "everything"
    yield from (f"use case {name}" for name in settings.use_cases)
    yield from (f"tenant {name}" for name in settings.routing.tenant_limits if name != "*")
