"""Savings against a baseline that was drawn by lot: the experiment of a holdout, and the off-policy estimate.

Both say by how much the baseline's calls cost more than its price list foresaw, which takes the luck of long and short
requests out; whatever the list foresees, it is the lot that makes them right.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimizer.analysis.estimators import Estimate as Judged
from optimizer.analysis.estimators import LoggedCalls, Options, Predicted, doubly_robust
from optimizer.analysis.intervals import ratio_estimate
from optimizer.analysis.saved_calls import Part, Saving, sum_of
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
    missed, odds = held.by_unit(missed), held.by_unit(odds)
    more = ratio_estimate(missed, odds)
    # The others' own luck is as unknown as their mean: the mean of few is compared with that of many.
    error = more.error * math.sqrt(1.0 + held.n_units / rest.n_units)
    freedom = min(_freedom((missed - more.value * odds) ** 2), more.freedom)
    n, n_unknown = rest.n_calls, group.n_calls - known.n_calls
    baseline, paid = float(foreseen[~held_out].sum()) + n * more.value, float(rest.paid_usd.sum())
    return Part("experiment", _EXPERIMENT, n, n_unknown, baseline, paid, n * error, freedom)


def off_policy(group: ServedCalls, options: Options | None = None) -> tuple[Part | None, Judged]:
    """Return one use case's saving over drawn calls, where the baseline could be drawn too, and the estimate behind it.

    The part is None where the estimate is refused, which says why. Sessions begin with their draw.
    """
    known = group.take(~np.isnan(group.paid_usd))
    foreseen, n = _foreseen_usd(known), known.n_calls
    logged = _logged(known, known.paid_usd - foreseen)
    only_baseline = np.tile([1.0, 0.0], (n, 1))
    # The price list is the model, with what it was short of until then; it needs no fitting.
    short = np.column_stack([_short_until(logged), np.zeros(n)])
    ahead = Predicted(short, np.ones_like(short), np.ones(n, dtype=np.bool_))
    # Not stabilised: long requests cost more than their list price foresees and are drawn by other shares, so draws
    # weighed by their precision would be about short ones.
    found = doubly_robust(logged, only_baseline, replace(options or Options(), stabilised=False), ahead=ahead)
    if found.value is None:
        return None, found
    error, freedom = _error_of_sum(logged, short[:, 0])
    baseline, paid = float(foreseen.sum()) + n * found.value, float(known.paid_usd.sum())
    method = _OFF_POLICY.format(ess=found.ess)
    return Part("off-policy", method, n, group.n_calls - n, baseline, paid, error, freedom), found


def _short_until(logged: LoggedCalls) -> FloatArray:
    """Return, for each call, the mean reward of the baseline's draws before the call's own draw; 0 where none was."""
    drawn = logged.drawn & (logged.arm == 0)
    weight = np.where(drawn, 1.0 / np.where(drawn, logged.propensity, 1.0), 0.0)
    total, n = np.cumsum(weight * logged.reward), np.cumsum(weight)
    before = np.divide(total - weight * logged.reward, n - weight, out=np.zeros_like(n), where=n - weight > 0.5)
    return np.asarray(before[logged.draw])


def _error_of_sum(logged: LoggedCalls, foreseen: FloatArray) -> tuple[float, float]:
    """Return the standard error of what the baseline would have cost on these very calls, and degrees of freedom.

    With d the draw of the baseline, of chance p, and r all that it and the turns which went with it cost beyond what
    was foreseen, the sum is off by Σ(d/p − 1)r, whose variance Σ(1 − p)r²/p is estimated from the draws by
    Σd(1 − p)r²/p² (Horvitz & Thompson 1952). Where it was sure to be drawn, nothing is in doubt.
    """
    missed = np.bincount(logged.draw, logged.reward - foreseen, minlength=logged.n_calls)
    drawn = logged.drawn & (logged.arm == 0)
    p = logged.propensity[drawn]
    parts = (1.0 - p) / p**2 * missed[drawn] ** 2
    return math.sqrt(float(parts.sum())), _freedom(parts)


def _freedom(squares: FloatArray) -> float:
    """Return the degrees of freedom of a sum of squares: few that are large tell little (Satterthwaite 1946)."""
    fourth = float((squares**2).sum())
    return max(2.0 * float(squares.sum()) ** 2 / fourth - 1.0, 1.0) if fourth > 0.0 else math.inf


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
    lengths = known.answer_tokens[~np.isnan(known.answer_tokens)]
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
