"""The limits that settings ask for, and how each of them stands: spent, reserved, left, until when."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select, tuple_

from optimizer.decision.limits import EVERYTHING, OTHER_TENANTS, Amounts, LimitedWindow, Scope, SpendingLimits
from optimizer.decision.windows import WINDOW_KINDS, WindowKind, window_at
from optimizer.domain import NANO_USD
from optimizer.ledger.budgets import Balance, balances
from optimizer.ledger.database import Database
from optimizer.ledger.reservations import expired_reservations, key_of
from optimizer.ledger.rows import to_us
from optimizer.ledger.tables import budgets
from optimizer.settings import CostLimits, Settings


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """One limit in its present window.

    Attributes
    ----------
    scope : Scope
        Whose limit; as text, `everything`, `use case chat` or `tenant acme`. `tenant *` is each tenant of whom the
        window knows nothing yet.
    starts_at, opens_at : datetime
        When the window began, and when it ends and the limit is whole again; in the time zone of the settings.
    """

    scope: Scope
    window: WindowKind
    starts_at: datetime
    opens_at: datetime
    limit_nano_usd: int
    spent_nano_usd: int
    reserved_nano_usd: int

    @property
    def left_nano_usd(self) -> int:
        """What can still be reserved; never below 0."""
        return max(self.limit_nano_usd - self.spent_nano_usd - self.reserved_nano_usd, 0)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types, money in dollars."""
        return {
            "limit": str(self.scope),
            "window": self.window,
            "starts_at": self.starts_at.isoformat(),
            "opens_at": self.opens_at.isoformat(),
            "limit_usd": self.limit_nano_usd / NANO_USD,
            "spent_usd": self.spent_nano_usd / NANO_USD,
            "reserved_usd": self.reserved_nano_usd / NANO_USD,
            "left_usd": self.left_nano_usd / NANO_USD,
        }


def spending_limits(settings: Settings) -> SpendingLimits:
    """Return every limit of the settings, in their time zone."""
    given = {EVERYTHING: settings.routing.cost_limits}
    given |= {Scope("use_case", name): use_case.cost_limits for name, use_case in settings.use_cases.items()}
    given |= {Scope("tenant", name): limits for name, limits in settings.routing.tenant_limits.items()}
    # A tenant that is named keeps its own limits, also where those are none; so it does not fall under `*`.
    amounts = {scope: _amounts(limits) for scope, limits in given.items()}
    kept = {scope: found for scope, found in amounts.items() if found or scope.kind == "tenant"}
    return SpendingLimits(kept if any(kept.values()) else {}, ZoneInfo(settings.timezone))


def limit_status(database: Database, limits: SpendingLimits, now: datetime) -> list[LimitStatus]:
    """Return how every limit stands in the window of `now`: everything, use cases, tenants; changes nothing.

    What has expired does not count as reserved, also where nobody has freed it yet.
    """
    if not limits:
        return []
    with database.reading() as connection:
        scopes = dict.fromkeys((*limits.amounts, *_spending_tenants(connection, limits, now)))
        limited = [window for scope in scopes for window in limits.windows(scope, now)]
        found = balances(connection, map(key_of, limited))
        for expired in expired_reservations(connection)[1]:
            for key in set(expired.windows) & found.keys():
                spent, reserved = found[key]
                found[key] = Balance(spent, reserved - expired.granted_nano_usd)
    return [_status(window, found[key_of(window)]) for window in limited]


def _amounts(limits: CostLimits) -> Amounts:
    found = zip(WINDOW_KINDS, (limits.hourly_usd, limits.daily_usd, limits.monthly_usd), strict=True)
    return {kind: round(usd * NANO_USD) for kind, usd in found if usd is not None}


def _spending_tenants(connection: Connection, limits: SpendingLimits, now: datetime) -> Iterator[Scope]:
    """Yield tenants without limits of their own that the present windows know of, by name."""
    kinds: Iterable[WindowKind] = limits.amounts.get(Scope("tenant", OTHER_TENANTS), {})
    starts = [(kind, to_us(window_at(kind, now, limits.zone).start)) for kind in kinds]
    b = budgets.c
    query = select(b.scope_name).where(b.scope_kind == "tenant", tuple_(b.window_kind, b.start_at_us).in_(starts))
    return (Scope("tenant", name) for name in connection.scalars(query.distinct().order_by(b.scope_name)))


def _status(limited: LimitedWindow, balance: Balance) -> LimitStatus:
    zone = limited.opens_at.tzinfo
    return LimitStatus(
        limited.scope,
        limited.window.kind,
        limited.window.start.astimezone(zone),
        limited.opens_at,
        limited.limit_nano_usd,
        *balance,
    )
