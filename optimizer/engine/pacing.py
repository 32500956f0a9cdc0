"""Limits of spending, as they are used now, turned into dollars a call for every use case; and how they are kept."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from optimizer.decision.evidence import CALLS, EvidenceKey, Sums
from optimizer.decision.pacing import CallBucket, LimitUse, Target, allotted, calls_until
from optimizer.engine.snapshot import Snapshot, chain_of
from optimizer.routes import Route

SOLVE_S = 15.0  # how often targets are made at most

Spend = Callable[[], Sequence[LimitUse]]


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
    if not uses:
        return {}
    calls = _calls(rows)
    spends = {name: _spends(snapshot, route) for name, route in snapshot.routes.by_use_case.items()}
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


def _shared(
    snapshot: Snapshot,
    calls: Mapping[str, Sequence[CallBucket]],
    spends: Mapping[str, tuple[float, float]],
    use: LimitUse,
) -> dict[str, float]:
    """Return use case → dollars a call, so that all who share the limit together spend what is left of it."""
    routes = snapshot.routes.by_use_case
    names = [name for name in routes if use.use_case in (None, name)]
    now_s, until_s = snapshot.at.timestamp(), use.ends_at.timestamp()
    expected = {
        name: calls_until(calls.get(name, ()), now_s, until_s, routes[name].settings.half_life.total_seconds())
        for name in names
    }
    if all(n is None for n in expected.values()):
        return {}
    n_calls = np.array([expected[name] or 0.0 for name in names])
    own, least = np.array([spends[name] for name in names]).T
    in_flight_usd = float(n_calls @ own / n_calls.sum()) if n_calls.any() else float(own.max())
    usd = allotted(use.left_usd(in_flight_usd), n_calls, own, least)
    return dict(zip(names, usd.tolist(), strict=True))
