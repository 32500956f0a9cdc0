"""Savings by off-policy estimates, and savings of independent parts, such as use cases, put together."""

import math
from collections.abc import Sequence

import numpy as np

from optimizer.analysis.estimators import LoggedCalls, Options, doubly_robust
from optimizer.analysis.savings import Saving
from optimizer.decision.belief import FloatArray


def off_policy_saving(costs: LoggedCalls, baseline: FloatArray, options: Options | None = None) -> Saving | None:
    """Return what logged calls saved against what a baseline would have paid for them, by propensities.

    The baseline's mean cost is estimated doubly robustly; what was paid is known. No length and no price is assumed,
    but the calls must have been drawn (no pins or rules), as `LoggedCalls` says.

    Parameters
    ----------
    costs : LoggedCalls
        With dollars as rewards, NaN where unknown.
    baseline : ndarray, shape (n_calls, n_arms)
        The baseline's choices, such as always the incumbent.

    Returns
    -------
    Saving or None
        Over the calls of known cost; None where the log says too little of the baseline.
    """
    found = doubly_robust(costs, baseline, options)
    if found.value is None or found.error is None or found.low is None or found.high is None:
        return None
    n_known = int(costs.rated.sum())
    paid = float(np.nansum(costs.reward))
    would, low, high = (n_known * each for each in (found.value, found.low, found.high))
    share = share_low = share_high = None
    if low > 0.0:
        share, share_low, share_high = (1.0 - paid / each for each in (would, low, high))
    return Saving(
        f"off-policy estimate of the baseline's cost, {found.method}; less what was paid",
        n_known,
        costs.n_calls - n_known,
        would - paid,
        low - paid,
        high - paid,
        would,
        paid,
        share,
        share_low,
        share_high,
    )


def total_saving(parts: Sequence[Saving]) -> Saving:
    """Return the sum of savings of independent parts, each found by a method of its own.

    Squares of half widths add up, as those of independent normal errors do, above and below apart; where a part has no
    limits, the sum has none. Shares are weighed by the parts' baselines, their mix taken as given.
    """
    saved, baseline, paid = (
        math.fsum(getattr(part, name) for part in parts) for name in ("saved_usd", "baseline_usd", "paid_usd")
    )
    low, high = _limits(saved, [(part.saved_usd, part.low_usd, part.high_usd, 1.0) for part in parts])
    share = share_low = share_high = None
    if baseline > 0.0:
        weighed = [
            (part.share, part.share_low, part.share_high, part.baseline_usd / baseline)
            for part in parts
            if part.baseline_usd > 0.0
        ]
        share = saved / baseline
        share_low, share_high = _limits(share, weighed)
    return Saving(
        _method(parts),
        sum(part.n_calls for part in parts),
        sum(part.n_unknown for part in parts),
        saved,
        low,
        high,
        baseline,
        paid,
        share,
        share_low,
        share_high,
    )


def _limits(
    value: float, parts: Sequence[tuple[float | None, float | None, float | None, float]]
) -> tuple[float | None, float | None]:
    below = above = 0.0
    for middle, low, high, weight in parts:
        if middle is None or low is None or high is None:
            return None, None
        below = math.hypot(below, weight * (middle - low))
        above = math.hypot(above, weight * (high - middle))
    return value - below, value + above


def _method(parts: Sequence[Saving]) -> str:
    """Return the methods in words, each once, with how much of the baseline's cost it accounts for."""
    whole = math.fsum(part.baseline_usd for part in parts)
    shares: dict[str, float] = {}
    for part in parts:
        shares[part.method] = shares.get(part.method, 0.0) + part.baseline_usd
    if len(shares) < 2 or whole <= 0.0:
        return "; ".join(shares)
    return "sum of parts: " + "; ".join(f"{usd / whole:.0%} by {method}" for method, usd in shares.items())
