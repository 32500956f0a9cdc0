"""Limits of spending, as they are used now, turned into dollars a call for every use case; and how they are kept."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from optimizer.decision.evidence import CALLS, EvidenceKey, Sums
from optimizer.decision.pacing import CallBucket, LimitUse, Target, allotted, calls_until
from optimizer.domain import NANO_USD
from optimizer.engine.snapshot import Snapshot, chain_of
from optimizer.ledger.limits import LimitStatus
from optimizer.routes import Route

SOLVE_S = 15.0  # how often targets are made at most

Spend = Callable[[], Sequence[LimitUse]]


def limit_uses(statuses: Iterable[LimitStatus]) -> tuple[LimitUse, ...]:
    """Return the limits that choices are held to, as the ledger knows them: all but tenants', which only refuse."""
    return tuple(
        LimitUse(
            status.window,
            status.limit_nano_usd / NANO_USD,
            status.spent_nano_usd / NANO_USD,
            status.reserved_nano_usd / NANO_USD,
            status.starts_at,
            status.opens_at,
            status.scope.name or None,
        )
        for status in statuses
        if status.scope.kind != "tenant"
    )


def unlimited() -> tuple[LimitUse, ...]:
    """Return the limits of those who set none."""
    return ()


class Pacer:
    """Looks at the limits every 15 seconds, and at once where a window has turned; holds snapshots to them.

    Parameters
    ----------
    spend : callable
        Returns how far each limit is used now; () where none is set.
    """

    def __init__(self, spend: Spend = unlimited) -> None:
        self._spend = spend
        self._uses: Sequence[LimitUse] = ()
        self._read_at: datetime | None = None
        self._targets: Mapping[str, Target] | None = {}  # None: to be made

    def read(self, now: datetime) -> bool:
        """Look at the limits if it is time to; return whether choices must be made anew."""
        if not self._due(now):
            return False
        before, self._uses = self._uses, tuple(self._spend())
        self._read_at, self._targets = now, None
        return bool(before or self._uses)

    def hold(self, snapshot: Snapshot, rows: Mapping[EvidenceKey, Sums]) -> Snapshot:
        """Return the snapshot held to the targets in force, which are made if the limits were looked at since."""
        if self._targets is None:
            self._targets = targets_of(snapshot, rows, self._uses)
        return replace(snapshot, targets=self._targets, held={}) if self._targets else snapshot

    def _due(self, now: datetime) -> bool:
        if self._read_at is None or any(now >= use.ends_at for use in self._uses):
            return True
        return (now - self._read_at).total_seconds() >= SOLVE_S


def targets_of(snapshot: Snapshot, rows: Mapping[EvidenceKey, Sums], uses: Sequence[LimitUse]) -> dict[str, Target]:
    """Return what a call of each use case may cost: the tightest that its own limits and those over everything ask.

    A use case has none where no limit is set for it, or no call is known that a forecast could go by.
    """
    limited = {use.use_case for use in uses}
    routes = snapshot.routes.by_use_case.items()
    spends = {name: _spends(snapshot, route) for name, route in routes if limited & {None, name}}
    calls = _calls(rows) if uses else {}
    targets: dict[str, Target] = {}
    for use in uses:
        for name, usd in _shared(snapshot, calls, spends, use).items():
            if name not in targets or usd < targets[name].usd_per_call:
                targets[name] = Target(usd, use)
    return targets


def _calls(rows: Mapping[EvidenceKey, Sums]) -> Mapping[str, Sequence[CallBucket]]:
    """Return use case → when its calls were."""
    found: dict[str, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for key, sums in rows.items():
        if key.measure.startswith(CALLS):
            found[key.use_case][key.bucket_start_s, key.bucket_width_s] += sums.n
    return {name: [CallBucket(*at, n) for at, n in by_time.items()] for name, by_time in found.items()}


def _spends(snapshot: Snapshot, route: Route) -> tuple[float, float]:
    """Return dollars a call under the use case's objective alone, and the least that a limit can make of them."""
    chain = chain_of(route)
    own = snapshot.expected_usd(route, chain, snapshot.own(route, chain))
    return own, snapshot.expected_usd(route, chain, snapshot.held_to(route, chain, 0.0))


def _calls_to_come(
    snapshot: Snapshot, calls: Mapping[str, Sequence[CallBucket]], use: LimitUse
) -> dict[str, float | None]:
    """Return use case → calls expected until the window ends, of those who share the limit."""
    now_s, until_s = snapshot.at.timestamp(), use.ends_at.timestamp()
    return {
        name: calls_until(calls.get(name, ()), now_s, until_s, route.settings.half_life.total_seconds())
        for name, route in snapshot.routes.by_use_case.items()
        if use.use_case in (None, name)
    }


def _shared(
    snapshot: Snapshot,
    calls: Mapping[str, Sequence[CallBucket]],
    spends: Mapping[str, tuple[float, float]],
    use: LimitUse,
) -> dict[str, float]:
    """Return use case → dollars a call, so that all who share the limit together spend what is left of it."""
    expected = _calls_to_come(snapshot, calls, use)
    if all(n is None for n in expected.values()):
        return {}
    n_calls = np.array([n or 0.0 for n in expected.values()])
    own, least = np.array([spends[name] for name in expected]).T
    in_flight_usd = float(n_calls @ own / n_calls.sum()) if n_calls.any() else float(own.max())
    usd = allotted(use.left_usd(in_flight_usd), n_calls, own, least)
    return dict(zip(expected, usd.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a limit is kept.

    Attributes
    ----------
    expected_usd : float or None
        What will be spent when the window ends, as choices are made now; None where no call is known to go by.
    held : tuple of str
        Use cases with calls to come whose choices this limit makes worse than asked.
    """

    use: LimitUse
    expected_usd: float | None
    held: tuple[str, ...]


def outlooks(snapshot: Snapshot, rows: Mapping[EvidenceKey, Sums], uses: Sequence[LimitUse]) -> tuple[Outlook, ...]:
    """Return how each limit is kept by a snapshot that is held to their targets."""
    if not uses:
        return ()
    calls, routes = _calls(rows), snapshot.routes.by_use_case
    settled = {name: snapshot.settle(route, chain_of(route)) for name, route in routes.items()}
    usd = {name: snapshot.expected_usd(route, chain_of(route), settled[name]) for name, route in routes.items()}
    found = []
    for use in uses:
        to_come = {name: n for name, n in _calls_to_come(snapshot, calls, use).items() if n is not None}
        more = sum(n * usd[name] for name, n in to_come.items())
        bound = (name for name, target in snapshot.targets.items() if target.limit == use and to_come.get(name))
        held = tuple(sorted(name for name in bound if settled[name].lowered))
        found.append(Outlook(use, use.spent_usd + more if to_come else None, held))
    return tuple(found)
