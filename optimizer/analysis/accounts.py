"""From served calls to what they saved and how fast they were."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

import numpy as np

from optimizer.analysis.savings import Measured, Saving, measured, sum_of_measured
from optimizer.analysis.served_calls import Draws, ServedCalls
from optimizer.catalog import Catalog
from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.domain import Gateway, Price
from optimizer.ledger.database import Database
from optimizer.ledger.draws import Drawn, draws_of
from optimizer.ledger.served import DRAWN, IN_SESSION, Served, Told, served_between, unheard
from optimizer.routes import Routes
from optimizer.settings import Settings

_HOUR_US = 3_600_000_000


class BaselinePrices:
    """What use cases' baselines charged at a time: their gateway's price, a retired one's the vendor's last."""

    def __init__(self, settings: Settings, catalog: Catalog, routes: Routes) -> None:
        self._catalog = catalog
        self._gateways = settings.gateways
        self.of_use_case = {name: route.baseline for name, route in routes.by_use_case.items()}
        self.retired = {model for model in self.of_use_case.values() if not catalog.servable(model, routes.at)}
        # Dates and hours are what prices change by.
        self._in_hour = cache(lambda model, hour: catalog.price(model, self._gateway(model), hour))

    def price(self, model: str, at: datetime) -> Price:
        """Return a baseline's price at an aware time; what was never published is unknown."""
        return self._in_hour(model, at.replace(minute=0, second=0, microsecond=0))

    def per_token(self, model: str, at_us: IntArray, input_tokens: FloatArray) -> tuple[FloatArray, ...]:
        """Return dollars per uncached input, cached input and output token of calls at these times; NaN is unknown.

        Parameters
        ----------
        at_us : ndarray of int, shape (n_calls,)
            Microseconds since the epoch.
        input_tokens : ndarray, shape (n_calls,)
            Long requests may be dearer.
        """
        hours, of_hour = np.unique(at_us // _HOUR_US, return_inverse=True)
        prices = [self.price(model, datetime.fromtimestamp(hour * 3_600, UTC)) for hour in hours.tolist()]
        number = {price: i for i, price in enumerate(dict.fromkeys(prices))}
        kind = np.array([number[price] for price in prices], dtype=np.intp)[of_hour.reshape(-1)]
        short, long = (np.array([_rates(price, tokens) for price in number]) for tokens in (0.0, math.inf))
        limits = (price.long_over_tokens for price in number)
        over = np.array([math.inf if limit is None else limit for limit in limits], dtype=np.float64)
        is_long = input_tokens > over[kind]
        return tuple(np.where(is_long, long[kind, i], short[kind, i]) for i in range(3))

    def thinks(self, model: str) -> bool:
        """Return whether a baseline may have thought before it answered, in tokens that are paid for."""
        return self._catalog[model].is_reasoning is not False

    def _gateway(self, model: str) -> Gateway:
        offers = (gateway for gateway in self._gateways if self._catalog[model].offered_by(gateway))
        return "direct" if model in self.retired else next(offers, "direct")


@dataclass
class Accounts:
    """Served calls by use case, beside their baselines, and their latencies in ms; and baselines nobody serves now."""

    retired: set[str]
    calls: dict[str, ServedCalls] = field(default_factory=dict)
    latencies: dict[str, FloatArray] = field(default_factory=dict)
    _measured: dict[str, Measured] = field(default_factory=dict)

    @classmethod
    def of(
        cls, served: Mapping[str, Served], baselines: BaselinePrices, draws: Iterable[tuple[str, Drawn]] = ()
    ) -> "Accounts":
        """Return the accounts of served calls; those of use cases without a baseline save nothing.

        Parameters
        ----------
        draws : iterable of (str, Drawn)
            Digests and what was drawn from; without them nothing counts as drawn.
        """
        lots = _Lots({name: calls for name, calls in served.items() if name in baselines.of_use_case}, baselines)
        for digest, drawn in draws:
            lots.tell(digest, drawn)
        accounts = cls(baselines.retired)
        for name, calls in served.items():
            accounts.latencies[name] = calls.latency_ms[~np.isnan(calls.latency_ms)]
            if name in baselines.of_use_case:
                accounts.calls[name] = _beside(calls, baselines, lots.draws(calls))
        return accounts

    def saving(self, use_cases: Collection[str] | None = None) -> Saving | None:
        """Return what some use cases or all saved; None where nothing is known of any call."""
        names = [name for name in self.calls if use_cases is None or name in use_cases]
        for name in names:
            if name not in self._measured:
                self._measured[name] = measured(self.calls[name])
        saving = sum_of_measured([self._measured[name] for name in names])
        return saving if saving.n_calls else None


def read_accounts(
    database: Database,
    baselines: BaselinePrices,
    start: datetime,
    end: datetime,
    *,
    use_case: str | None = None,
    told: Told = unheard,
) -> Accounts:
    """Return the accounts of the calls decided in [start, end); `told` hears how many were read, now and then."""
    served = served_between(database, start, end, use_case=use_case, told=told)
    digests = {digest for calls in served.values() for digest in _telling(calls, baselines)}
    return Accounts.of(served, baselines, draws_of(database, digests))


def _telling(calls: Served, baselines: BaselinePrices) -> Iterable[str]:
    """Return the decisions that a use case's calls were drawn from; none where that never was its baseline.

    Then neither a holdout nor a draw says anything of it, and very many documents need not be read.
    """
    baseline, drawn = baselines.of_use_case.get(calls.use_case), calls.settled == DRAWN
    if baseline is None or not (calls.drawn[drawn] == _code(calls.models, baseline)).any():
        return ()
    return (calls.digests[i] for i in np.unique(calls.decision[drawn]).tolist())


class _Lots:
    """Finds the draw that settled each call; sessions stay with theirs."""

    def __init__(self, served: Mapping[str, Served], baselines: BaselinePrices) -> None:
        self._baselines = baselines
        digests: Sequence[str] = next((calls.digests for calls in served.values()), ())
        self._number = {digest: i for i, digest in enumerate(digests)}
        self._use_case = [""] * len(digests)
        for name, calls in served.items():
            for i in np.unique(calls.decision).tolist():
                self._use_case[i] = name
        self._known = np.zeros(len(digests), dtype=np.bool_)
        self._share, self._held = np.zeros(len(digests)), np.zeros(len(digests))
        self._for_baseline = np.zeros(len(digests), dtype=np.bool_)

    def tell(self, digest: str, drawn: Drawn) -> None:
        """Hear what was drawn from by a decision; one that no call here was drawn by does not matter."""
        i = self._number.get(digest)
        baseline = None if i is None else self._baselines.of_use_case.get(self._use_case[i])
        if i is None or baseline is None:
            return
        self._known[i] = True
        self._share[i], self._held[i] = drawn.shares.get(baseline, 0.0), drawn.held_share
        self._for_baseline[i] = drawn.incumbent == baseline

    def draws(self, calls: Served) -> Draws:
        """Return the calls' draws."""
        first = (calls.settled == DRAWN) & self._known[calls.decision]
        at = _settled_at(calls, first)
        known = at >= 0
        decision = calls.decision[at]
        drawn = calls.drawn == _code(calls.models, self._baselines.of_use_case[calls.use_case])
        return Draws(
            known,
            first,
            known & drawn[at],
            np.where(known, self._share[decision], 0.0),
            np.where(known, calls.held_out[at], calls.held_out),
            np.where(known, self._held[decision], 0.0),
            known & self._for_baseline[decision],
            calls.at_us / 1e6,
        )


def _settled_at(calls: Served, first: BoolArray) -> IntArray:
    """Return the position of the draw that settled each call: its own, else its session's latest one; -1 for none."""
    here = np.arange(calls.at_us.size)
    at = np.where(first, here, -1)
    turns = (calls.settled == IN_SESSION) & (calls.session >= 0)
    if not turns.any():
        return at
    mine = np.flatnonzero(calls.session >= 0)
    order = mine[np.argsort(calls.session[mine], kind="stable")]
    place = np.arange(order.size)
    begins = np.r_[True, np.diff(calls.session[order]) != 0]
    latest = np.maximum.accumulate(np.where(first[order], place, -1))
    known = latest >= np.maximum.accumulate(np.where(begins, place, 0))
    at[order] = np.where(turns[order] & known, order[latest], at[order])
    return at


def _beside(calls: Served, baselines: BaselinePrices, draws: Draws) -> ServedCalls:
    baseline = baselines.of_use_case[calls.use_case]
    fresh, cached, output = baselines.per_token(baseline, calls.at_us, calls.input_tokens)
    n_cached = np.nan_to_num(calls.cached_tokens)
    return ServedCalls(
        calls.use_case,
        baseline,
        _code(calls.models, baseline),
        calls.model,
        calls.paid_usd,
        calls.output_tokens,
        calls.output_tokens - (0.0 if baselines.thinks(baseline) else np.nan_to_num(calls.reasoning_tokens)),
        fresh * (calls.input_tokens - n_cached) + cached * n_cached,
        output,
        calls.session,
        draws,
    )


def _code(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


def _rates(price: Price, input_tokens: float) -> list[float]:
    return [math.nan if usd is None else usd for usd in price.per_token(input_tokens)]
