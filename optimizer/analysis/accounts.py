"""From served calls to what they saved and how fast they were."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from types import MappingProxyType

from optimizer.analysis.savings import Draw, Saving, ServedCall, saved
from optimizer.catalog import Catalog
from optimizer.domain import Gateway, Price
from optimizer.ledger.draws import Drawn
from optimizer.ledger.outcomes import Outcome
from optimizer.routes import Routes
from optimizer.settings import Settings

NO_DRAWS: Mapping[str, Drawn] = MappingProxyType({})


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
    def of(
        cls, outcomes: Iterable[Outcome], baselines: BaselinePrices, draws: Mapping[str, Drawn] = NO_DRAWS
    ) -> "Accounts":
        """Return the accounts of outcomes in order of time; those of use cases without a baseline save nothing.

        Parameters
        ----------
        draws : mapping of str to Drawn
            Digest → what was drawn from; without it nothing counts as drawn.
        """
        accounts, lots = cls(baselines.retired), Lots(draws)
        for outcome in outcomes:
            if outcome.latency_ms is not None:
                accounts.latencies[outcome.use_case].append(outcome.latency_ms)
            baseline = baselines.of_use_case.get(outcome.use_case)
            if baseline is not None:
                price = baselines.price(baseline, outcome.decided_at)
                accounts.calls[outcome.use_case].append(_served(outcome, baseline, price, lots.of(outcome, baseline)))
        return accounts

    def saving(self, use_case: str | None = None) -> Saving | None:
        """Return what one use case or all saved; None where nothing is known of any call."""
        names = self.calls if use_case is None else [use_case]
        saving = saved(call for name in names for call in self.calls.get(name, ()))
        return saving if saving.n_calls else None


class Lots:
    """Finds the draw that settled each call; told of all calls in order of time, since sessions stay with theirs."""

    def __init__(self, draws: Mapping[str, Drawn]) -> None:
        self._draws = draws
        self._of_session: dict[tuple[str, str], Draw] = {}

    def of(self, outcome: Outcome, baseline: str) -> Draw | None:
        """Return the call's draw; None where something else than a draw settled who served, or it is not known."""
        session = None if outcome.session_id is None else (outcome.use_case, outcome.session_id)
        if outcome.overridden_by == "session" and session is not None:
            found = self._of_session.get(session)
            return found and replace(found, first=False, at_s=outcome.decided_at.timestamp())
        drawn = self._draws.get(outcome.digest)
        if outcome.overridden_by is not None or outcome.propensity is None or drawn is None:
            return None
        found = Draw(
            True,
            outcome.drawn_model_id == baseline,
            drawn.shares.get(baseline, 0.0),
            outcome.held_out,
            drawn.held_share,
            drawn.incumbent,
            outcome.decided_at.timestamp(),
        )
        if session is not None:
            self._of_session[session] = found
        return found


def _served(outcome: Outcome, baseline: str, price: Price, draw: Draw | None) -> ServedCall:
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
        outcome.held_out if draw is None else draw.held_out,
        draw,
    )
