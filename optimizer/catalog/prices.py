"""Prices that hold from a date, until a date, or at some hours of the week only."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Self

from pydantic import BeforeValidator

from optimizer.catalog.models import Confidence
from optimizer.catalog.tables import PricedRow
from optimizer.domain import Price

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CONDITION = re.compile(
    r"(?P<label>[a-z-]+)"
    r"(: (?P<outside>outside )?(?P<first>\w{3})-(?P<last>\w{3}) (?P<spans>\d\d-\d\d( and \d\d-\d\d)*) UTC)?"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """When a price holds besides its dates: always, or inside (or outside) some hours of some days, UTC."""

    label: str
    outside: bool = False
    first_day: int = 0
    last_day: int = 6
    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `introductory`, `peak: Mon-Fri 01-04 and 06-10 UTC` or `off-peak: outside Mon-Fri 01-04 UTC`."""
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise ValueError("is neither a word nor like 'peak: Mon-Fri 01-04 and 06-10 UTC'")
        if match["spans"] is None:
            return cls(match["label"])
        if match["first"] not in DAYS or match["last"] not in DAYS:
            raise ValueError(f"days are {', '.join(DAYS)}")
        spans = tuple((int(span[:2]), int(span[3:])) for span in match["spans"].split(" and "))
        first, last = DAYS.index(match["first"]), DAYS.index(match["last"])
        return cls(match["label"], match["outside"] is not None, first, last, spans)

    def holds(self, at: datetime) -> bool:
        """Return whether an aware time is one of these hours; the end of a span does not belong to it."""
        if not self.spans:
            return True
        utc = at.astimezone(UTC)
        inside = self.first_day <= utc.weekday() <= self.last_day and any(a <= utc.hour < b for a, b in self.spans)
        return inside != self.outside


def _condition(cell: object) -> object:
    return Condition.parse(cell) if isinstance(cell, str) else cell


class PriceChange(PricedRow):
    """A line of `price_changes.csv`: a price in force from `valid_from` on, up to but without `valid_until`."""

    key: str
    portkey_provider: str
    portkey_model: str
    valid_from: date | None
    valid_until: date | None
    condition: Annotated[Condition | None, BeforeValidator(_condition)]
    confidence: Confidence
    note: str | None

    def covers(self, day: date) -> bool:
        """Return whether the day lies between its dates."""
        return (self.valid_from or date.min) <= day < (self.valid_until or date.max)


def price_in_force(changes: Iterable[PriceChange], list_price: Price, at: datetime) -> Price:
    """Return the price at an aware time: the latest change whose dates and hours cover it, else the list price.

    Where changes cover the day but none the hour, the price of that hour was never published: unknown.
    """
    today = prices_of_the_day(changes, at)
    change = change_in_force(today, at)
    if change is not None:
        return change.price
    return Price() if today else list_price


def change_in_force(changes: Iterable[PriceChange], at: datetime) -> PriceChange | None:
    """Return the latest change whose dates and hours cover an aware time, or None."""
    holding = [c for c in prices_of_the_day(changes, at) if c.condition is None or c.condition.holds(at)]
    return max(holding, key=lambda change: change.valid_from or date.min, default=None)


def prices_of_the_day(changes: Iterable[PriceChange], at: datetime) -> list[PriceChange]:
    """Return the changes whose dates cover the day of an aware time, whatever their hours."""
    day = at.astimezone(UTC).date()
    return [change for change in changes if change.covers(day)]


def midnight(day: date) -> datetime:
    """Return the moment at which a price of this day begins."""
    return datetime.combine(day, time(), UTC)


def last_dated_change(changes: Iterable[PriceChange], at: datetime) -> date | None:
    """Return the latest day by then on which one of the prices started or ended, or None where there is none."""
    today = at.astimezone(UTC).date()
    days = [day for change in changes for day in (change.valid_from, change.valid_until) if day and day <= today]
    return max(days, default=None)


def next_dated_change(changes: Iterable[PriceChange], at: datetime) -> date | None:
    """Return the next day on which one of the prices starts or ends, or None where none is known."""
    today = at.astimezone(UTC).date()
    days = [day for change in changes for day in (change.valid_from, change.valid_until) if day and day > today]
    return min(days, default=None)
