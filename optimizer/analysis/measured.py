"""Savings against a baseline that was drawn by lot: the experiment of a holdout, and the off-policy estimate.

Both say by how much the baseline's calls cost more than its price list foresaw, which takes the luck of long and short
requests out; whatever the list foresees, it is the lot that makes them right.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from optimizer.analysis.estimators import Estimate as Judged
from optimizer.analysis.estimators import LoggedCalls, Options, Predicted, doubly_robust
from optimizer.analysis.intervals import Estimate, combined, ratio_estimate
from optimizer.analysis.saved_calls import Part, Saving, ServedCall, dollars, scaled, sum_of, total_of, units
from optimizer.decision.belief import FloatArray

MIN_HELD_OUT = 20  # sessions, or calls without one, on either side of an experiment


def experiment(calls: Iterable[ServedCall], *, min_held_out: int = MIN_HELD_OUT) -> Saving | None:
    """Return what the optimised calls saved against the held-out ones, which the incumbent served by lot.

    Hand in only calls that were drawn (no pins, rules or warm-up): only those were allotted by chance, and only of use
    cases whose incumbent is their baseline.

    Returns
    -------
    Saving or None
        Over the optimised calls; None where a use case has fewer than `min_held_out` sessions (or calls without one)
        on either side.
    """
    by_use_case: dict[str, list[ServedCall]] = defaultdict(list)
    for call in calls:
        by_use_case[call.use_case].append(call)
    parts = [experiment_part(group, min_held_out=min_held_out) for group in by_use_case.values()]
    found = [part for part in parts if part is not None]
    return sum_of(found) if found and len(found) == len(parts) else None


def experiment_part(calls: Sequence[ServedCall], *, min_held_out: int = MIN_HELD_OUT) -> Part | None:
    """Return one use case's experiment over its optimised calls; None where either side is too small."""
    known = [call for call in calls if call.paid_usd is not None]
    foreseen = _foreseen_usd(known)
    held = np.array([call.held_out for call in known], dtype=np.bool_)
    held_calls = [call for call in known if call.held_out]
    rest = [call for call in known if not call.held_out]
    if min(len(set(units(held_calls))), len(set(units(rest)))) < min_held_out:
        return None
    odds = np.array([_odds_of_rest(call) for call in held_calls])
    missed = odds * (dollars(held_calls) - foreseen[held])
    more, paid, n = ratio_estimate(missed, odds, units(held_calls)), dollars(rest), len(rest)
    baseline = float(foreseen[~held].sum()) + n * more.value

    def residual(ratio: float) -> Estimate:
        own = total_of(rest, (1.0 - ratio) * foreseen[~held] - paid)
        return combined([own, scaled(more, n)], [1.0, 1.0 - ratio])

    return Part("experiment", _EXPERIMENT, n, len(calls) - len(known), baseline, float(paid.sum()), residual)


def off_policy(calls: Sequence[ServedCall], options: Options | None = None) -> tuple[Part | None, Judged]:
    """Return one use case's saving over drawn calls, where the baseline could be drawn too, and the estimate behind it.

    The part is None where the estimate is refused, which says why. Calls must be in order of time, and sessions begin
    with their draw.
    """
    known = [call for call in calls if call.paid_usd is not None]
    foreseen, paid = _foreseen_usd(known), dollars(known)
    logged = _logged(known, paid - foreseen)
    only_baseline = np.tile([1.0, 0.0], (len(known), 1))
    # The price list is the model, and needs no fitting.
    nothing = np.zeros((len(known), 2))
    ahead = Predicted(nothing, np.ones_like(nothing), np.ones(len(known), dtype=np.bool_))
    # Not stabilised: long requests cost more than their list price foresees and are drawn by other shares, so draws
    # weighed by their precision would be about short ones.
    found = doubly_robust(logged, only_baseline, replace(options or Options(), stabilised=False), ahead=ahead)
    if found.value is None or found.error is None:
        return None, found
    n, more = len(known), Estimate(found.value, found.error, found.ess - 1.0)

    def residual(ratio: float) -> Estimate:
        own = total_of(known, (1.0 - ratio) * foreseen - paid)
        return combined([own, scaled(more, n)], [1.0, 1.0 - ratio])

    baseline = float(foreseen.sum()) + n * found.value
    method = _OFF_POLICY.format(ess=found.ess)
    return Part("off-policy", method, n, len(calls) - n, baseline, float(paid.sum()), residual), found


_EXPERIMENT = (
    "experiment: mean cost of the held-out calls, which the incumbent served by lot, each weighed by the odds of its "
    "lot, less the mean cost of the others, per use case, times the number of the others; both are compared after "
    "taking off what the baseline's price list foresees for each call's own input, which makes the limits narrower "
    "and is not relied on"
)
_OFF_POLICY = (
    "off-policy estimate: what the baseline would have cost on all calls, from those for which it was drawn, by their "
    "propensities (doubly robust, worth {ess:,.0f} calls of the baseline); its price list for each call's own input "
    "makes the limits narrower and is not relied on"
)


def _odds_of_rest(call: ServedCall) -> float:
    """Return how many optimised calls a held-out one stands for; 1 where every call had the same chance."""
    if call.draw is None:
        return 1.0
    return (1.0 - call.draw.held_share) / call.draw.held_share


def _foreseen_usd(known: Sequence[ServedCall]) -> FloatArray:
    """Return the baseline's price for every call's own input and a mean output; 0 for all where that is unknown.

    The output is the mean over whoever served, so that it does not hang on who was drawn.
    """
    outputs = [call.output_tokens for call in known if call.output_tokens is not None]
    mean = sum(outputs) / len(outputs) if outputs else None
    found = [call.baseline_usd(mean) for call in known]
    return np.zeros(len(known)) if None in found else np.array(found, dtype=np.float64)


def _logged(calls: Sequence[ServedCall], reward: FloatArray) -> LoggedCalls:
    draws = [call.draw for call in calls if call.draw is not None]
    share = np.array([draw.baseline_share for draw in draws])
    arm = np.array([0 if draw.baseline else 1 for draw in draws], dtype=np.intp)
    propensity = np.where(arm == 0, share, 1.0 - share)
    names = {unit: number for number, unit in enumerate(dict.fromkeys(units(calls)))}
    return LoggedCalls(
        arm=arm,
        propensity=np.where([draw.first for draw in draws], propensity, np.nan),
        reward=reward,
        context=np.zeros(len(calls), dtype=np.intp),
        unit=np.array([names[unit] for unit in units(calls)], dtype=np.intp),
        time_s=np.array([draw.at_s for draw in draws]),
        distribution=np.column_stack([share, 1.0 - share]),
    )
