"""What a gateway's list says beside the price in force: nothing new, a move, or something not to be believed."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from math import isclose

from optimizer.catalog.catalog import Catalog
from optimizer.catalog.prices import midnight
from optimizer.domain import DatedPrice, Gateway, Price

MOST = 10.0  # a price that moves by a larger factor is more often a slip in a list than a new price
_LONG = ("long_over_tokens", "long_input_usd_per_mtok", "long_output_usd_per_mtok")
_SAME = 1e-6  # relative; prices are written with fewer digits


@dataclass(frozen=True, slots=True)
class PriceMove:
    """A price that a list says is another one now.

    Attributes
    ----------
    doubt : str or None
        Why it is not to be believed without a person's word; None where it is.
    """

    model_id: str
    gateway: Gateway
    before: Price
    after: Price
    doubt: str | None = None

    def dated(self, from_at: datetime, source: str) -> DatedPrice:
        """Return the new price, to be kept."""
        return DatedPrice(self.model_id, self.gateway, from_at, self.after, source)


def price_move(catalog: Catalog, key: str, gateway: Gateway, listed: Price, at: datetime) -> PriceMove | None:
    """Return how a listed price differs from the one in force at a time, or None where it does not.

    What the list does not say stays as it was.
    """
    before = catalog.price(key, gateway, at)
    after = _merged(before, listed)
    if after == before:
        return None
    doubts = (_by_the_hour(catalog, key, gateway, at), _early(catalog, key, gateway, after, at), _far(before, after))
    return PriceMove(key, gateway, before, after, next((doubt for doubt in doubts if doubt), None))


def _merged(before: Price, listed: Price) -> Price:
    """Return the price in force with all that the list says otherwise."""
    told = {each.name: getattr(listed, each.name) for each in fields(Price)}
    new = {name: value for name, value in told.items() if not _same(getattr(before, name), value)}
    if "long_over_tokens" in new:
        new |= {name: told[name] for name in _LONG}  # prices above another length say nothing about this one
    return replace(before, **new)


def _same(before: float | None, listed: float | None) -> bool:
    """Return whether there is nothing new in a listed amount."""
    return listed is None or (before is not None and isclose(before, listed, rel_tol=_SAME))


def _by_the_hour(catalog: Catalog, key: str, gateway: Gateway, at: datetime) -> str | None:
    if gateway == "openrouter" or not catalog.priced_by_the_hour(key, at):
        return None
    return "the vendor charges by the hour, which a list with one price cannot say"


def _early(catalog: Catalog, key: str, gateway: Gateway, after: Price, at: datetime) -> str | None:
    day = None if gateway == "openrouter" else catalog.next_price_change(key, at)
    if day is None:
        return None
    coming = catalog.price(key, gateway, midnight(day))
    is_early = _same(after.input_usd_per_mtok, coming.input_usd_per_mtok) and _same(
        after.output_usd_per_mtok, coming.output_usd_per_mtok
    )
    return f"it is the price announced for {day}, listed too early" if is_early else None


def _far(before: Price, after: Price) -> str | None:
    for name, old, new in _amounts(before, after):
        if new == 0.0 and old != 0.0:
            return f"its {name} price would be $0; is it really free?"
        if old is not None and new is not None and (new > MOST * old or old > MOST * new):
            return f"its {name} price would move by more than {MOST:g}×, from ${old:.12g} to ${new:.12g}"
    return None


def _amounts(before: Price, after: Price) -> Iterator[tuple[str, float | None, float | None]]:
    for each in fields(Price):
        if each.name != "long_over_tokens":
            name = each.name.removesuffix("_usd_per_mtok").replace("_", " ")
            yield name, getattr(before, each.name), getattr(after, each.name)
