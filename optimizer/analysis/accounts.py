"""From served calls to what they saved and how fast they were; from observe mode's notes to what might have been."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from optimizer.analysis.parts import ObserveReport
from optimizer.analysis.savings import Saving, ServedCall, priced_counterfactual
from optimizer.catalog import Catalog
from optimizer.domain import Gateway, Price
from optimizer.ledger.outcomes import ObservedChoices, Outcome
from optimizer.routes import Routes
from optimizer.settings import Settings


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

    def _gateway(self, model: str) -> Gateway:
        offers = (gateway for gateway in self._gateways if self._catalog[model].offered_by(gateway))
        return "direct" if model in self.retired else next(offers, "direct")


@dataclass
class Accounts:
    """Served calls by use case, beside their baselines, and their latencies in ms; and baselines nobody serves now."""

    retired: set[str]
    calls: dict[str, list[ServedCall]] = field(default_factory=lambda: defaultdict(list))
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, outcomes: Iterable[Outcome], baselines: BaselinePrices) -> "Accounts":
        """Return the accounts of outcomes; those of use cases without a baseline save nothing."""
        accounts = cls(baselines.retired)
        for outcome in outcomes:
            if outcome.latency_ms is not None:
                accounts.latencies[outcome.use_case].append(outcome.latency_ms)
            baseline = baselines.of_use_case.get(outcome.use_case)
            if baseline is not None:
                price = baselines.price(baseline, outcome.decided_at)
                accounts.calls[outcome.use_case].append(_served(outcome, baseline, price))
        return accounts

    def saving(self, use_case: str | None = None) -> Saving | None:
        """Return what one use case or all saved; None where nothing is known of any call."""
        names = self.calls if use_case is None else [use_case]
        saving = priced_counterfactual(call for name in names for call in self.calls.get(name, ()))
        return saving if saving.n_calls else None


def _served(outcome: Outcome, baseline: str, price: Price) -> ServedCall:
    return ServedCall(
        outcome.use_case,
        outcome.model_id,
        baseline,
        price,
        outcome.input_tokens,
        outcome.output_tokens,
        outcome.paid_usd,
        outcome.cached_tokens or 0,
        outcome.session_id,
        outcome.held_out,
    )


def observed_by_use_case(choices: Iterable[ObservedChoices]) -> Mapping[str, ObserveReport]:
    """Return use case → what the optimizer would have chosen there by itself."""
    notes: dict[str, list[ObservedChoices]] = defaultdict(list)
    for choice in choices:
        notes[choice.decision.use_case].append(choice)
    return {use_case: _observed(noted) for use_case, noted in notes.items()}


def _observed(noted: Iterable[ObservedChoices]) -> ObserveReport:
    drawn: Counter[str] = Counter()
    n_unknown, served_usd, drawn_usd = 0, 0.0, 0.0
    for choice in noted:
        drawn[choice.drawn_model_id] += choice.n_calls
        standings = choice.decision.by_model
        served, other = (standings[m].expected_cost_usd for m in (choice.model_id, choice.drawn_model_id))
        if served is None or other is None:
            n_unknown += choice.n_calls
        else:
            served_usd += choice.n_calls * served
            drawn_usd += choice.n_calls * other
    return ObserveReport(drawn.total(), dict(drawn.most_common()), n_unknown, served_usd, drawn_usd)
