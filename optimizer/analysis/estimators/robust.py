"""The doubly robust estimator (DR): contexts as strata, and weights that keep its variance level in adaptive logs."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from optimizer.analysis.estimators.estimate import Estimate, Overlap
from optimizer.analysis.estimators.logged import LoggedCalls, check_target
from optimizer.analysis.estimators.options import Options
from optimizer.analysis.estimators.predicted import Predicted, predicted
from optimizer.analysis.estimators.weights import importance_weights, overlap, supported
from optimizer.decision.belief import BoolArray, FloatArray

_MIN_UNITS = 10  # sessions from which a context has a mean of its own


def doubly_robust(
    calls: LoggedCalls, target: FloatArray, options: Options | None = None, *, ahead: Predicted | None = None
) -> Estimate:
    """Return the mean reward of a target: what a model expects, corrected by importance-weighted residuals.

    Every call has a corrected reward, m + w·(r − q)/(chance of being rated): q is what a model fitted on earlier calls
    only expected of the drawn arm, m of the target's choice. Its mean is right if the propensities are, whatever the
    model, and, where rewards are missing, if either the model or the chance of being rated is right.

    - *Contexts are strata.* A context's calls are averaged among those at which all that the target chooses could be
      drawn (before that, as in a warm-up, the log says nothing), and contexts are weighed by all their calls. Inside a
      context the mean reward must not hang on when.
    - *Weights.* Corrected rewards are weighed by 1/√(Σπ²/p), known at the draw, so that each adds as much variance:
      without that the t-statistic of an adaptive log is not normal, for arms that did badly early on are drawn less.
    - *Off support.* Contexts in which fewer than ten sessions could have been drawn for the target rest on the model
      alone. The interval is widened by their share times how far the other contexts' means lie apart; past
      `options.max_off_support` the estimate is refused.
    - *Sessions* are the units of the variance; later turns carry the weight of their draw.

    Parameters
    ----------
    target : ndarray, shape (n_calls, n_arms)
        Probabilities of the policy to be judged at every call; fixed without these calls' rewards, such as on
        earlier ones.
    ahead : Predicted, optional
        Predictions made elsewhere, each without the rewards of its own and later calls.

    References
    ----------
    Dudík, Langford & Li (2011); Hadad, Hirshberg, Zhan, Wager & Athey (2021), PNAS 118(15); Zhan, Hadad, Hirshberg &
    Athey (2021), KDD (contextual StableVar, with contexts as strata); Bibaut et al. (2021), NeurIPS.
    """
    options = options or Options()
    check_target(calls, target)
    if ahead is None:
        ahead = predicted(calls, target.shape[1], rated_chance=options.chance_of(calls.n_calls))
    weights = importance_weights(calls, target)
    level = _levelling(calls, target, ahead.usable & supported(calls, target), options.stabilised)
    strata = _strata(calls, target, weights, level, ahead)
    chance = ahead.chance[np.arange(calls.n_calls), calls.arm[calls.draw]]
    used = weights * level * strata.informed[calls.context] / chance
    found = overlap(calls, used, float(strata.share[~strata.informed].sum()), shown=weights)
    method = _STABILISED if options.stabilised and calls.distribution is not None else _PLAIN
    reason = found.refusal(options.min_ess) or _too_far_off(found, options)
    if reason is not None:
        return Estimate.refusal(method, found, reason)
    value, error, freedom = _mean(calls, strata)
    reach = float(stdtrit(freedom, 0.5 + options.level / 2.0)) * error
    return Estimate(method, value, value - reach, value + reach, error, found)


def robust_difference(
    calls: LoggedCalls,
    target: FloatArray,
    other: FloatArray,
    options: Options | None = None,
    *,
    ahead: Predicted | None = None,
) -> Estimate:
    """Return by how much a target's mean reward is above another policy's, on the same calls.

    The difference of two doubly robust estimates without weights of precision, each as `doubly_robust` makes it, with
    the error of that difference: where both choose alike, a call tells as much of the one as of the other and adds
    nothing, so policies that are close to one another are told apart long before their own limits part. The first calls
    only teach, and are compared nowhere. Refused where either is.

    Parameters
    ----------
    target, other : ndarray, shape (n_calls, n_arms)
        As the target of `doubly_robust`; `other` may be what was drawn from.
    """
    options = options or Options()
    check_target(calls, target)
    check_target(calls, other)
    if ahead is None:
        ahead = predicted(calls, target.shape[1], rated_chance=options.chance_of(calls.n_calls))
    plain = replace(options, stabilised=False)
    either = [doubly_robust(calls, each, plain, ahead=ahead) for each in (target, other)]
    weakest = next((each for each in either if each.refused), min(either, key=lambda each: each.ess))
    if weakest.refused is not None:
        return Estimate.refusal(_DIFFERENCE, weakest.overlap, weakest.refused)
    one, two = (_plain_strata(calls, each, ahead) for each in (target, other))
    apart = _Strata(one.share, one.mean - two.mean, one.informed & two.informed, one.residual - two.residual)
    value, error, freedom = _mean(calls, apart)
    reach = float(stdtrit(freedom, 0.5 + options.level / 2.0)) * error
    return Estimate(_DIFFERENCE, value, value - reach, value + reach, error, weakest.overlap)


_BASIS = "doubly robust (DR) with a model fitted on earlier calls only, contexts as strata, sessions as units"
_PLAIN = f"{_BASIS}; Student's t"
_DIFFERENCE = f"difference of two policies on the same calls, {_BASIS}; Student's t"
_STABILISED = f"{_BASIS}, draws weighed to equal variance; Student's t"


def _too_far_off(found: Overlap, options: Options) -> str | None:
    if found.off_support is None or found.off_support <= options.max_off_support:
        return None
    return (
        f"{found.off_support:.0%} of the calls are of contexts where this policy's choices were hardly ever possible; "
        f"at most {options.max_off_support:.0%} may rest on a model alone: explore more, or judge a policy closer to "
        "what served"
    )


def _levelling(calls: LoggedCalls, target: FloatArray, usable: BoolArray, stabilised: bool) -> FloatArray:
    """Return the weight of each call's corrected reward: 0 where it says nothing, else 1 or 1/√(Σπ²/p)."""
    if calls.distribution is None or not stabilised:
        return usable.astype(np.float64)
    at = calls.draw
    shares, could = target[at], calls.distribution[at]
    spread = np.divide(shares**2, could, out=np.zeros_like(shares), where=could > 0.0).sum(axis=1)
    return np.where(usable, 1.0 / np.sqrt(np.where(usable, spread, 1.0)), 0.0)


@dataclass(frozen=True)
class _Strata:
    """Contexts: share of the calls, mean reward, and whether that is more than the model's.

    `residual` has each call's part in the error of its context's mean, times the context's share.
    """

    share: FloatArray
    mean: FloatArray
    informed: BoolArray
    residual: FloatArray


def _plain_strata(calls: LoggedCalls, target: FloatArray, ahead: Predicted) -> _Strata:
    usable = (ahead.usable & supported(calls, target)).astype(np.float64)
    return _strata(calls, target, importance_weights(calls, target), usable, ahead)


def _strata(
    calls: LoggedCalls, target: FloatArray, weights: FloatArray, level: FloatArray, ahead: Predicted
) -> _Strata:
    at, every, context = calls.draw, np.arange(calls.n_calls), calls.context
    drawn = calls.arm[at]
    missed = np.where(calls.rated, np.nan_to_num(calls.reward) - ahead.reward[every, drawn], 0.0)
    expected = (target[at] * ahead.reward).sum(axis=1)
    corrected = expected + weights * missed / ahead.chance[every, drawn]

    def by_context(values: FloatArray) -> FloatArray:
        return np.bincount(context, values, minlength=int(context.max()) + 1).astype(np.float64)

    units = by_context(((level > 0.0) & _heads(calls)).astype(np.float64))
    informed = units >= _MIN_UNITS
    n_usable = by_context(ahead.usable.astype(np.float64))
    overall = float(expected[ahead.usable].mean()) if ahead.usable.any() else 0.0
    total = by_context(np.where(ahead.usable, expected, 0.0))
    modelled = np.where(n_usable > 0.0, total / np.maximum(n_usable, 1.0), overall)
    precision = np.where(informed, by_context(level), 1.0)
    mean = np.where(informed, by_context(level * corrected) / precision, modelled)
    share = by_context(np.ones(calls.n_calls)) / calls.n_calls
    few = np.sqrt(np.where(informed, units / np.maximum(units - 1.0, 1.0), 0.0))
    residual = level * (corrected - mean[context]) * (share * few / precision)[context]
    return _Strata(share, mean, informed, residual)


def _heads(calls: LoggedCalls) -> BoolArray:
    """Return which calls are the first of their session."""
    heads = np.zeros(calls.n_calls, dtype=np.bool_)
    heads[np.unique(calls.unit_number, return_index=True)[1]] = True
    return heads


def _mean(calls: LoggedCalls, strata: _Strata) -> tuple[float, float, float]:
    """Return the mean over all calls, its standard error, and degrees of freedom."""
    value = float(strata.share @ strata.mean)
    number, n = calls.unit_number, calls.n_calls
    within = np.bincount(number, strata.residual)
    between = np.bincount(number, strata.mean[calls.context] - value) / n
    off = float(strata.share[~strata.informed].sum())
    known = strata.share * strata.informed
    typical = float(known @ strata.mean) / max(float(known.sum()), 1e-12)
    square_off = off**2 * float(known @ (strata.mean - typical) ** 2) / max(float(known.sum()), 1e-12)
    square = float((within**2).sum())
    error = math.sqrt(square + float((between**2).sum()) + square_off)
    # Satterthwaite: a sum of squares is as sure as 2(Σr²)²/Σr⁴ of equal ones, so a few heavy draws tell little.
    fourth = float((within**4).sum())
    freedom = max(2.0 * square**2 / fourth - 1.0, 1.0) if fourth > 0.0 else float(max(calls.n_units - 1, 1))
    return value, error, freedom
