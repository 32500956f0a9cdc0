"""What was saved: against a baseline priced on the calls that were served, or against a holdout that was measured."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.analysis.intervals import Estimate, combined, mean_estimate
from optimizer.decision.belief import FloatArray
from optimizer.domain import Price

Lengths = Mapping[tuple[str, str], tuple[float, int]]  # (use case, baseline) → mean output tokens, calls

MIN_SERVED = 30  # calls from which the baseline's own output length is trusted
MIN_STRATUM = 10  # sessions, or calls without one, from which a use case has an error of its own
MIN_HELD_OUT = 20  # sessions, or calls without one, on either side of an experiment


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
        Whether the call was kept for the incumbent as an experiment.
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
        use cases; None where too few independent calls exist to tell.
    baseline_usd, paid_usd : float
        What the counted calls would have cost, and what they cost; their difference is `saved_usd`.
    share, share_low, share_high : float or None
        Saved per dollar of the baseline; None where the baseline costs nothing.
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


def priced_counterfactual(calls: Iterable[ServedCall], *, min_served: int = MIN_SERVED) -> Saving:
    """Return what the calls saved against their baselines, at the baselines' prices.

    A baseline would have read each call's own input, at its own price in force. It would have written as much as it
    wrote on average where it served at least `min_served` calls of that use case, else as much as the model that
    served. What the baseline served itself saved nothing. Calls of one session count as one independent unit, and the
    limits include the uncertainty of the baseline's average length, but none of an assumed one.
    """
    calls = list(calls)
    known = [call for call in calls if _baseline_usd(call, 0.0) is not None and call.paid_usd is not None]
    lengths = _own_lengths(known, min_served)
    would = np.array([_would_usd(call, lengths) for call in known])
    paid = np.array([call.paid_usd or 0.0 for call in known])
    # Besides its own saving, a baseline's call that was longer than average raises what all others are priced at.
    moved = would + np.array(_pulls(known, lengths))
    baseline = float(would.sum())
    total = _total(known, moved - paid)
    share = None
    if baseline > 0.0:
        ratio = total.value / baseline
        share = _scaled(_total(known, moved - paid - ratio * moved), 1.0 / baseline)._replace(value=ratio)
    counts, method = (len(known), len(calls) - len(known)), _counterfactual_method(known, lengths)
    return _saving(method, counts, (baseline, float(paid.sum())), total, share)


def experiment(calls: Iterable[ServedCall], *, min_held_out: int = MIN_HELD_OUT) -> Saving | None:
    """Return what the optimised calls saved against the held-out ones, which the incumbent served by lot.

    Per use case, the difference of the mean costs times the number of optimised calls, summed; no price and no length
    is assumed. Hand in only calls that were drawn (no pins, rules or warm-up): only those were allotted by chance.

    Returns
    -------
    Saving or None
        Over the optimised calls; None where a use case has fewer than `min_held_out` sessions (or calls without one)
        on either side.
    """
    calls = list(calls)
    known = [call for call in calls if call.paid_usd is not None]
    parts: list[Estimate] = []
    rest_costs: list[float] = []
    for use_case in dict.fromkeys(call.use_case for call in known):
        held, rest = ([c for c in known if c.use_case == use_case and c.held_out is side] for side in (True, False))
        if min(_n_units(held), _n_units(rest)) < min_held_out:
            return None
        parts += [_scaled(_mean_cost(held), len(rest)), _scaled(_mean_cost(rest), -len(rest))]
        rest_costs += [call.paid_usd or 0.0 for call in rest]
    if not parts:
        return None
    total = combined(parts, [1.0] * len(parts))
    baseline = combined(parts[::2], [1.0] * (len(parts) // 2))
    share = _share_of(combined(parts[1::2], [-1.0] * (len(parts) // 2)), baseline) if baseline.value > 0.0 else None
    return _saving(
        _EXPERIMENT, (len(rest_costs), len(calls) - len(known)), (baseline.value, sum(rest_costs)), total, share
    )


_EXPERIMENT = (
    "experiment: mean cost of the held-out calls, which the incumbent served by lot, less the mean cost of the "
    "others, per use case, times the number of the others; nothing is assumed of prices or lengths"
)


def _counterfactual_method(known: Sequence[ServedCall], lengths: Lengths) -> str:
    """Say how the lengths of the baseline's answers were had, where they were needed at all."""
    pairs = {(call.use_case, call.baseline) for call in known if call.model_id != call.baseline}
    own = sorted(f"{baseline} in {use_case}" for use_case, baseline in pairs if (use_case, baseline) in lengths)
    borrowed = sorted(
        f"{baseline} in {use_case}" for use_case, baseline in pairs if (use_case, baseline) not in lengths
    )
    text = "priced counterfactual: the baseline's price in force times each call's own input"
    if own:
        text += f", plus the baseline's own mean output ({', '.join(own)})"
    if borrowed:
        text += f", plus the output of the model that served, for want of enough own calls ({', '.join(borrowed)})"
    return text + "; less what was paid"


def _baseline_usd(call: ServedCall, output_tokens: float | None) -> float | None:
    """Return what the baseline would have charged for an output of this length; None where something is unknown."""
    if call.input_tokens is None or call.output_tokens is None or output_tokens is None:
        return None
    return call.baseline_price.cost_usd(call.input_tokens, output_tokens, call.cached_tokens)


def _own_lengths(known: Sequence[ServedCall], min_served: int) -> Lengths:
    """Return (use case, baseline) → its own mean output tokens and the number of its calls, where it served enough."""
    served: dict[tuple[str, str], list[int]] = {}
    for call in known:
        if call.model_id == call.baseline and call.output_tokens is not None:
            served.setdefault((call.use_case, call.baseline), []).append(call.output_tokens)
    return {key: (sum(n) / len(n), len(n)) for key, n in served.items() if len(n) >= min_served}


def _would_usd(call: ServedCall, lengths: Lengths) -> float:
    if call.model_id == call.baseline:
        return call.paid_usd or 0.0
    length = lengths.get((call.use_case, call.baseline), (call.output_tokens, 0))[0]
    return _baseline_usd(call, length) or 0.0


def _pulls(known: Sequence[ServedCall], lengths: Lengths) -> list[float]:
    """Return by how many dollars each of the baseline's own calls moves the sum through its average length."""
    per_token: dict[tuple[str, str], float] = {}
    for call in known:
        if call.model_id != call.baseline:
            key = call.use_case, call.baseline
            per_token[key] = per_token.get(key, 0.0) + (call.baseline_price.per_token(call.input_tokens or 0)[2] or 0.0)

    def pull(call: ServedCall) -> float:
        key = call.use_case, call.baseline
        if call.model_id != call.baseline or key not in lengths:
            return 0.0
        mean, n = lengths[key]
        return per_token.get(key, 0.0) / n * ((call.output_tokens or 0) - mean)

    return [pull(call) for call in known]


def _total(calls: Sequence[ServedCall], values: FloatArray) -> Estimate:
    """Return the sum of the calls' values, its error taken inside each use case: the mix of use cases is given."""
    parts = []
    for group in _strata(calls):
        clusters = [_unit(i, calls[i]) for i in group]
        parts.append(_scaled(mean_estimate(values[group], clusters), len(group)))
    return combined(parts, [1.0] * len(parts))


def _strata(calls: Sequence[ServedCall]) -> list[list[int]]:
    """Return the positions of the calls by use case, with small ones joined until each has `MIN_STRATUM` units."""
    by_use_case: dict[str, list[int]] = {}
    for i, call in enumerate(calls):
        by_use_case.setdefault(call.use_case, []).append(i)

    def n_units(group: list[int]) -> int:
        return len({_unit(i, calls[i]) for i in group})

    strata: list[list[int]] = []
    for group in sorted(by_use_case.values(), key=n_units):
        if strata and n_units(strata[-1]) < MIN_STRATUM:
            strata[-1] += group
        else:
            strata.append(group)
    if len(strata) > 1 and n_units(strata[-1]) < MIN_STRATUM:
        last = strata.pop()
        strata[-1] += last
    return strata


def _unit(position: int, call: ServedCall) -> Hashable:
    """Return what is independent of all else: the session, or the call itself."""
    return position if call.session_id is None else call.session_id


def _n_units(calls: Sequence[ServedCall]) -> int:
    return len({_unit(i, call) for i, call in enumerate(calls)})


def _mean_cost(calls: Sequence[ServedCall]) -> Estimate:
    return mean_estimate([call.paid_usd or 0.0 for call in calls], [_unit(i, call) for i, call in enumerate(calls)])


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(estimate.value * factor, estimate.error * abs(factor), estimate.freedom)


def _share_of(paid: Estimate, baseline: Estimate) -> Estimate:
    """Return 1 − paid/baseline of two independent estimates, by the delta method."""
    ratio = paid.value / baseline.value
    parts = combined([paid, baseline], [-1.0 / baseline.value, ratio / baseline.value])
    return parts._replace(value=1.0 - ratio)


def _saving(
    method: str, counts: tuple[int, int], dollars: tuple[float, float], total: Estimate, share: Estimate | None
) -> Saving:
    (baseline, paid), saved = dollars, total.interval()
    shared = share.interval() if share is not None else (None, None, None)
    return Saving(method, *counts, baseline - paid, saved.low, saved.high, baseline, paid, *shared)
