"""Savings against a baseline that was drawn by lot: the experiment of a holdout, and the off-policy estimate.

Both say by how much the baseline's calls cost more than its price list foresaw, which takes the luck of long and short
requests out; whatever the list foresees, it is the lot that makes them right.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimizer.analysis.estimators import Estimate as Judged
from optimizer.analysis.estimators import LoggedCalls, Options, Predicted, doubly_robust
from optimizer.analysis.intervals import Estimate, combined, ratio_estimate
from optimizer.analysis.saved_calls import Part, Saving, scaled, sum_of, total_of
from optimizer.analysis.served_calls import ServedCalls
from optimizer.decision.belief import FloatArray

MIN_HELD_OUT = 20  # sessions, or calls without one, on either side of an experiment


def experiment(groups: Sequence[ServedCalls], *, min_held_out: int = MIN_HELD_OUT) -> Saving | None:
    """Return what the optimised calls saved against the held-out ones, which the incumbent served by lot.

    Hand in only calls that were drawn (no pins, rules or warm-up): only those were allotted by chance, and only of use
    cases whose incumbent is their baseline.

    Returns
    -------
    Saving or None
        Over the optimised calls; None where a use case has fewer than `min_held_out` sessions (or calls without one)
        on either side.
    """
    parts = [experiment_part(group, min_held_out=min_held_out) for group in groups]
    found = [part for part in parts if part is not None]
    return sum_of(found) if found and len(found) == len(parts) else None


def experiment_part(group: ServedCalls, *, min_held_out: int = MIN_HELD_OUT) -> Part | None:
    """Return one use case's experiment over its optimised calls; None where either side is too small."""
    known = group.take(~np.isnan(group.paid_usd))
    foreseen, held_out = _foreseen_usd(known), known.draws.held_out
    held, rest = known.take(held_out), known.take(~held_out)
    if min(held.n_units, rest.n_units) < min_held_out:
        return None
    odds = _odds_of_rest(held)
    missed = odds * (held.paid_usd - foreseen[held_out])
    more, n = ratio_estimate(held.by_unit(missed), held.by_unit(odds)), rest.n_calls
    of_rest, paid = foreseen[~held_out], float(rest.paid_usd.sum())

    def residual(ratio: float) -> Estimate:
        own = total_of([rest], [(1.0 - ratio) * of_rest - rest.paid_usd])
        return combined([own, scaled(more, n)], [1.0, 1.0 - ratio])

    baseline, n_unknown = float(of_rest.sum()) + n * more.value, group.n_calls - known.n_calls
    return Part("experiment", _EXPERIMENT, n, n_unknown, baseline, paid, residual)


def off_policy(group: ServedCalls, options: Options | None = None) -> tuple[Part | None, Judged]:
    """Return one use case's saving over drawn calls, where the baseline could be drawn too, and the estimate behind it.

    The part is None where the estimate is refused, which says why. Sessions begin with their draw.
    """
    known = group.take(~np.isnan(group.paid_usd))
    foreseen, n = _foreseen_usd(known), known.n_calls
    logged = _logged(known, known.paid_usd - foreseen)
    only_baseline = np.tile([1.0, 0.0], (n, 1))
    # The price list is the model, and needs no fitting.
    nothing = np.zeros((n, 2))
    ahead = Predicted(nothing, np.ones_like(nothing), np.ones(n, dtype=np.bool_))
    # Not stabilised: long requests cost more than their list price foresees and are drawn by other shares, so draws
    # weighed by their precision would be about short ones.
    found = doubly_robust(logged, only_baseline, replace(options or Options(), stabilised=False), ahead=ahead)
    if found.value is None or found.error is None:
        return None, found
    more = Estimate(found.value, found.error, found.ess - 1.0)

    def residual(ratio: float) -> Estimate:
        own = total_of([known], [(1.0 - ratio) * foreseen - known.paid_usd])
        return combined([own, scaled(more, n)], [1.0, 1.0 - ratio])

    baseline, paid = float(foreseen.sum()) + n * found.value, float(known.paid_usd.sum())
    method = _OFF_POLICY.format(ess=found.ess)
    return Part("off-policy", method, n, group.n_calls - n, baseline, paid, residual), found


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


def _odds_of_rest(held: ServedCalls) -> FloatArray:
    """Return how many optimised calls each held-out one stands for; 1 where every call had the same chance."""
    share = np.where(held.draws.known, held.draws.held_share, 0.5)
    return (1.0 - share) / share


def _foreseen_usd(known: ServedCalls) -> FloatArray:
    """Return the baseline's price for every call's own input and a mean output; 0 for all where that is unknown.

    The output is the mean over whoever served, so that it does not hang on who was drawn.
    """
    lengths = known.output_tokens[~np.isnan(known.output_tokens)]
    found = known.baseline_usd(float(lengths.mean())) if lengths.size else np.full(known.n_calls, np.nan)
    return np.zeros(known.n_calls) if np.isnan(found).any() else found


def _logged(calls: ServedCalls, reward: FloatArray) -> LoggedCalls:
    draws = calls.draws
    share, arm = draws.baseline_share, np.where(draws.baseline, 0, 1)
    return LoggedCalls(
        arm=arm,
        propensity=np.where(draws.first, np.where(arm == 0, share, 1.0 - share), np.nan),
        reward=reward,
        context=np.zeros(calls.n_calls, dtype=np.intp),
        unit=np.arange(calls.n_calls) if calls.unit is None else calls.unit,
        time_s=draws.at_s,
        distribution=np.column_stack([share, 1.0 - share]),
    )
