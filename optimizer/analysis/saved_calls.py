"""What savings are made of: served calls beside their baseline, parts of a saving that add up, and the sum."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.analysis.intervals import Estimate, combined, mean_estimate
from optimizer.decision.belief import FloatArray
from optimizer.domain import Price

MIN_STRATUM = 10  # sessions, or calls without one, from which a use case has an error of its own


@dataclass(frozen=True, slots=True)
class Draw:
    """The draw that settled a call: its own, or its session's.

    Attributes
    ----------
    first : bool
        Whether it was this call that was drawn, rather than an earlier one of its session.
    baseline, baseline_share : bool, float
        Whether the baseline was drawn, and how likely that was.
    held_out, held_share : bool, float
        Whether it was held out for the incumbent, and how likely that was; 0 where there was no experiment.
    incumbent : str
    at_s : float
        When the call was decided, seconds since the epoch.
    """

    first: bool
    baseline: bool
    baseline_share: float
    held_out: bool
    held_share: float
    incumbent: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ServedCall:
    """One served call and the baseline it is compared with; None is unknown.

    Attributes
    ----------
    use_case, model_id : str
        What was asked, and who served it.
    baseline, baseline_price : str, Price
        Who would have served it, and what that model charged at the time of the call.
    input_tokens, cached_tokens, output_tokens : int or None
        Of the served reply; input counts the cached ones too.
    paid_usd : float or None
        What the call cost, failed attempts included.
    session_id : str or None
        Calls of one session were decided together and resemble each other.
    held_out : bool
        Whether the call, or the draw of its session, was kept for the incumbent as an experiment.
    draw : Draw or None
        None where something stood above the draw, or it is not known.
    """

    use_case: str
    model_id: str
    baseline: str
    baseline_price: Price
    input_tokens: int | None
    output_tokens: int | None
    paid_usd: float | None
    cached_tokens: int = 0
    session_id: str | None = None
    held_out: bool = False
    draw: Draw | None = None

    def baseline_usd(self, output_tokens: float | None) -> float | None:
        """Return what the baseline would have charged for an output of this length; None where that is unknown."""
        if self.input_tokens is None or self.output_tokens is None or output_tokens is None:
            return None
        return self.baseline_price.cost_usd(self.input_tokens, output_tokens, self.cached_tokens)

    @property
    def priced(self) -> bool:
        """Whether both what was paid and what the baseline would charge are known."""
        return self.paid_usd is not None and self.baseline_usd(0.0) is not None


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


def total_of(calls: Sequence[ServedCall], values: FloatArray) -> Estimate:
    """Return the sum of the calls' values, its error taken inside each use case: the mix of use cases is given."""
    parts = []
    for group in _strata(calls):
        clusters = [_unit(i, calls[i]) for i in group]
        parts.append(scaled(mean_estimate(values[group], clusters), len(group)))
    return combined(parts, [1.0] * len(parts))


def _strata(calls: Sequence[ServedCall]) -> list[list[int]]:
    """Return the positions of the calls by use case, with small ones joined until each has `MIN_STRATUM` units."""
    by_use_case: dict[str, list[int]] = {}
    for i, call in enumerate(calls):
        by_use_case.setdefault(call.use_case, []).append(i)

    def size(group: list[int]) -> int:
        return len({_unit(i, calls[i]) for i in group})

    strata: list[list[int]] = []
    for group in sorted(by_use_case.values(), key=size):
        if strata and size(strata[-1]) < MIN_STRATUM:
            strata[-1] += group
        else:
            strata.append(group)
    if len(strata) > 1 and size(strata[-1]) < MIN_STRATUM:
        last = strata.pop()
        strata[-1] += last
    return strata


def units(calls: Iterable[ServedCall]) -> list[Hashable]:
    """Return for each call what is independent of all else: its session, or the call itself."""
    return [_unit(i, call) for i, call in enumerate(calls)]


def _unit(position: int, call: ServedCall) -> Hashable:
    return position if call.session_id is None else call.session_id


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """Return an estimate times a number."""
    return Estimate(estimate.value * factor, estimate.error * abs(factor), estimate.freedom)


def dollars(calls: Iterable[ServedCall]) -> FloatArray:
    """Return what calls cost, unknown ones as nothing."""
    return np.array([call.paid_usd or 0.0 for call in calls])
