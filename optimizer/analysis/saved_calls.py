"""What savings come as: parts that add up, each with its error, and the sum."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.analysis.intervals import Estimate, combined, ratio_estimate
from optimizer.analysis.served_calls import ServedCalls, sessions_joined
from optimizer.decision.belief import FloatArray

MIN_STRATUM = 10  # sessions, or calls without one, from which a use case has an error of its own


@dataclass(frozen=True, slots=True)
class Saving:
    """Dollars kept, with 95% limits, and how they were found.

    Attributes
    ----------
    method : str
        In words, with what it assumes.
    n_calls, n_unknown : int
        Calls counted, and calls left out of every sum because a cost, a price or a length is unknown.
    saved_usd, low_usd, high_usd : float or None
        Sum over the counted calls. Limits tell how far it would move if such traffic came again, in the same mix of
        use cases, and how far what the baseline would have cost may lie from what is said of it; None where too few
        independent calls exist to tell.
    baseline_usd, paid_usd : float
        What the counted calls would have cost, and what they cost; their difference is `saved_usd`.
    share, share_low, share_high : float or None
        Saved per dollar of the baseline; None where the baseline costs nothing.
    kind : str
        The method in a word or two: `experiment`, `off-policy`, `priced`, or several of them.
    """

    method: str
    n_calls: int
    n_unknown: int
    saved_usd: float
    low_usd: float | None
    high_usd: float | None
    baseline_usd: float
    paid_usd: float
    share: float | None
    share_low: float | None = None
    share_high: float | None = None
    kind: str = "priced"


@dataclass(frozen=True)
class Part:
    """A part of a saving, found by one method, independent of all other parts.

    Attributes
    ----------
    residual : callable
        Takes a ratio; returns saved − ratio·baseline over the part's calls, with its error.
    """

    kind: str
    method: str
    n_calls: int
    n_unknown: int
    baseline_usd: float
    paid_usd: float
    residual: Callable[[float], Estimate]


def sum_of(parts: Sequence[Part]) -> Saving:
    """Return the saving of all parts together."""
    total = _together(part.residual(0.0) for part in parts)
    baseline, paid = (sum(values) for values in zip(*((p.baseline_usd, p.paid_usd) for p in parts), strict=True))
    saved, share = total.interval(), _share_saved(parts, baseline, paid)
    counts = sum(part.n_calls for part in parts), sum(part.n_unknown for part in parts)
    method = "; and ".join(dict.fromkeys(part.method for part in parts))
    kind = " and ".join(dict.fromkeys(part.kind for part in parts))
    return Saving(method, *counts, baseline - paid, saved.low, saved.high, baseline, paid, *share, kind)


def _share_saved(
    parts: Sequence[Part], baseline: float, paid: float
) -> tuple[float | None, float | None, float | None]:
    """Return the share of the baseline that was saved, with its limits, by the delta method."""
    if baseline <= 0.0:
        return None, None, None
    ratio = 1.0 - paid / baseline
    error = scaled(_together(part.residual(ratio) for part in parts), 1.0 / baseline)
    return error._replace(value=ratio).interval()


def _together(parts: Iterable[Estimate]) -> Estimate:
    """Return the sum; a part of a single session beside others counts as uncertain by all that it is."""
    found = list(parts)
    if len(found) > 1:
        found = [part if part.freedom > 0.0 else Estimate(part.value, abs(part.value), 1.0) for part in found]
    return combined(found, [1.0] * len(found))


def total_of(groups: Sequence[ServedCalls], values: Sequence[FloatArray]) -> Estimate:
    """Return the sum of the calls' values, its error taken inside each use case: the mix of use cases is given."""
    parts = [_total([groups[i] for i in stratum], [values[i] for i in stratum]) for stratum in _strata(groups)]
    return combined(parts, [1.0] * len(parts))


def _total(groups: Sequence[ServedCalls], values: Sequence[FloatArray]) -> Estimate:
    if len(groups) == 1:
        sums, counts = (groups[0].by_unit(each) for each in (values[0], np.ones(groups[0].n_calls)))
    else:
        unit = sessions_joined(groups)
        sums = np.bincount(unit, np.concatenate(values)).astype(np.float64)
        counts = np.bincount(unit).astype(np.float64)
    return scaled(ratio_estimate(sums, counts), sum(group.n_calls for group in groups))


def _strata(groups: Sequence[ServedCalls]) -> list[list[int]]:
    """Return the positions of the use cases with calls, small ones joined until each has `MIN_STRATUM` units."""
    strata: list[list[int]] = []

    def size(stratum: list[int]) -> int:
        if len(stratum) == 1:
            return groups[stratum[0]].n_units
        return int(sessions_joined([groups[i] for i in stratum]).max()) + 1

    for i in sorted((i for i, group in enumerate(groups) if group.n_calls), key=lambda i: groups[i].n_units):
        if strata and size(strata[-1]) < MIN_STRATUM:
            strata[-1].append(i)
        else:
            strata.append([i])
    if len(strata) > 1 and size(strata[-1]) < MIN_STRATUM:
        last = strata.pop()
        strata[-1] += last
    return strata


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """Return an estimate times a number."""
    return Estimate(estimate.value * factor, estimate.error * abs(factor), estimate.freedom)
