"""What savings come as: parts that add up, each with its error, and the sum."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.analysis.intervals import Estimate, combined


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
        Sum over the counted calls. What they cost is known; limits tell how far what the baseline would have cost on
        these very calls may lie from what is said of it; None where too few independent calls exist to tell.
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


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a saving, found by one method, independent of all other parts.

    Attributes
    ----------
    baseline_usd, paid_usd : float
        What the part's calls would have cost, and what they cost; the second is known.
    error, freedom : float
        Standard error of `baseline_usd`, and its degrees of freedom; infinite where it is known, 0 where the error is
        not.
    """

    kind: str
    method: str
    n_calls: int
    n_unknown: int
    baseline_usd: float
    paid_usd: float
    error: float
    freedom: float

    @property
    def saved(self) -> Estimate:
        """Dollars saved."""
        return Estimate(self.baseline_usd - self.paid_usd, self.error, self.freedom)


def sum_of(parts: Sequence[Part]) -> Saving:
    """Return the saving of all parts together."""
    baseline, paid = (math.fsum(values) for values in zip(*((p.baseline_usd, p.paid_usd) for p in parts), strict=True))
    total = combined([part.saved for part in parts], [1.0] * len(parts))._replace(value=baseline - paid)
    counts = sum(part.n_calls for part in parts), sum(part.n_unknown for part in parts)
    method = "; and ".join(dict.fromkeys(part.method for part in parts))
    kind = " and ".join(dict.fromkeys(part.kind for part in parts))
    low, high = total.interval()[1:] if counts[0] else (None, None)
    return Saving(
        method, *counts, baseline - paid, low, high, baseline, paid, *_share_saved(total, baseline, paid), kind
    )


def _share_saved(total: Estimate, baseline: float, paid: float) -> tuple[float | None, float | None, float | None]:
    """Return the share of the baseline that was saved, with its limits, by the delta method."""
    if baseline <= 0.0:
        return None, None, None
    return Estimate(1.0 - paid / baseline, total.error * (paid / baseline) / baseline, total.freedom).interval()
