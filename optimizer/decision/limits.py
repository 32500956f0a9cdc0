"""Hard limits of spending: which of them a call falls under at a time, and what they leave it; in nano-dollars."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Literal, NamedTuple

from optimizer.decision.windows import Window, WindowKind, window_at
from optimizer.domain import NANO_USD
from optimizer.errors import LimitReached

OTHER_TENANTS = "*"

Amounts = Mapping[WindowKind, int]


class Scope(NamedTuple):
    """What a limit is for; its text is what people read."""

    kind: Literal["everything", "use_case", "tenant"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.name}".rstrip()


EVERYTHING = Scope("everything")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an attempt may cost: at worst with the completion asked for, and with the shortest one acceptable."""

    most_nano_usd: int
    least_nano_usd: int
    use_case: str
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class LimitedWindow:
    """One limit in one of its windows; `opens_at` is the window's end in the time zone of the limits."""

    scope: Scope
    window: Window
    limit_nano_usd: int
    opens_at: datetime


@dataclass(frozen=True)
class SpendingLimits:
    """Every limit there is.

    Attributes
    ----------
    amounts : mapping of Scope to mapping of window kind to int
        Scopes without a limit are left out. The tenant `*` stands for each tenant that is not named.
    zone : tzinfo
        Whose hours, days and months count.
    """

    amounts: Mapping[Scope, Amounts] = field(default_factory=dict)
    zone: tzinfo = UTC

    def __bool__(self) -> bool:
        """Return whether there is any limit."""
        return bool(self.amounts)

    def of_scope(self, scope: Scope) -> Amounts:
        """Return the limits of a scope, empty where it has none."""
        found = self.amounts.get(scope)
        if found is None and scope.kind == "tenant":
            found = self.amounts.get(Scope("tenant", OTHER_TENANTS))
        return found or {}

    def applying(self, use_case: str, tenant: str | None, at: datetime) -> tuple[LimitedWindow, ...]:
        """Return every limit that a call falls under, in its window at an aware time.

        A call without a tenant falls under no tenant's limit.
        """
        scopes = [EVERYTHING, Scope("use_case", use_case)]
        if tenant is not None:
            scopes.append(Scope("tenant", tenant))
        return tuple(window for scope in scopes for window in self.windows(scope, at))

    def windows(self, scope: Scope, at: datetime) -> Iterable[LimitedWindow]:
        """Yield the limits of a scope in their windows at an aware time."""
        for kind, amount in self.of_scope(scope).items():
            window = window_at(kind, at, self.zone)
            yield LimitedWindow(scope, window, amount, window.end.astimezone(self.zone))


def grant(wanted: Wanted, left: Iterable[tuple[LimitedWindow, int]]) -> int:
    """Return how much of what an attempt may cost the limits leave it: all of it, or less, but never below the least.

    Parameters
    ----------
    left : iterable of (LimitedWindow, int)
        Every limit that applies, and what it still leaves; below 0 where more was spent than was expected.

    Raises
    ------
    LimitReached
        If not even the least fits. Of several limits in the way, it names the one that opens last.
    """
    granted = wanted.most_nano_usd
    in_the_way = []
    for limited, rest in left:
        if max(rest, 0) < wanted.least_nano_usd:
            in_the_way.append((limited, rest))
        granted = min(granted, max(rest, 0))
    if in_the_way:
        raise _refusal(*max(in_the_way, key=lambda found: (found[0].window.end, -found[1])))
    return granted


def _refusal(limited: LimitedWindow, rest: int) -> LimitReached:
    return LimitReached(
        limit=str(limited.scope),
        window=limited.window.kind,
        limit_usd=limited.limit_nano_usd / NANO_USD,
        left_usd=max(rest, 0) / NANO_USD,
        opens_at=limited.opens_at,
    )
