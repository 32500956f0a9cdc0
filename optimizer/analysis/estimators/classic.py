"""The plain estimators: inverse propensities (IPS), the same self-normalised (SNIPS), and the direct method (DM)."""

import math
from dataclasses import dataclass

import numpy as np

from optimizer.analysis.estimators.estimate import Estimate, Overlap
from optimizer.analysis.estimators.logged import LoggedCalls, check_target
from optimizer.analysis.estimators.options import Options
from optimizer.analysis.estimators.outcomes import OutcomeSums
from optimizer.analysis.estimators.predicted import Predicted, predicted, standardised
from optimizer.analysis.estimators.resampling import bootstrap, time_blocks
from optimizer.analysis.estimators.weights import importance_weights, off_support, overlap
from optimizer.analysis.intervals import Interval, ratio_estimate
from optimizer.decision.belief import FloatArray


def ips(
    calls: LoggedCalls, target: FloatArray, options: Options | None = None, *, ahead: Predicted | None = None
) -> Estimate:
    """Return the mean reward of a target by inverse propensities: Σ w·r/(chance of being rated)/n.

    Unbiased where propensities and chances are right and everything the target chooses could be drawn; what could
    not be drawn counts as reward 0. The interval is over sessions, by the normal approximation (Student's t).
    Where the chance of being rated is learned, the first calls only teach and are left out.
    """
    options = options or Options()
    calls, target, weights = _weighted(calls, target, options, ahead)
    found = overlap(calls, weights, off_support(calls, target))
    if (reason := found.refusal(options.min_ess)) is not None:
        return Estimate.refusal(_IPS, found, reason)
    rewards = np.where(calls.rated, weights * np.nan_to_num(calls.reward), 0.0)
    mean = ratio_estimate(_by_unit(calls, rewards), _by_unit(calls, np.ones(calls.n_calls)))
    return _estimate(_IPS, mean.interval(options.level), mean.error, found)


def snips(
    calls: LoggedCalls, target: FloatArray, options: Options | None = None, *, ahead: Predicted | None = None
) -> Estimate:
    """Return the mean reward of a target by self-normalised inverse propensities: Σ w·r / Σ w over the rated calls.

    Slightly biased, bounded by the rewards seen, indifferent to a shift of them. What could not be drawn counts like
    the rest. The interval is the delta method's over sessions.
    """
    options = options or Options()
    calls, target, weights = _weighted(calls, target, options, ahead)
    found = overlap(calls, weights, off_support(calls, target))
    if (reason := found.refusal(options.min_ess)) is not None:
        return Estimate.refusal(_SNIPS, found, reason)
    known = np.where(calls.rated, weights, 0.0)
    mean = ratio_estimate(_by_unit(calls, known * np.nan_to_num(calls.reward)), _by_unit(calls, known))
    return _estimate(_SNIPS, mean.interval(options.level), mean.error, found)


def direct_method(
    calls: LoggedCalls,
    target: FloatArray,
    options: Options | None = None,
    *,
    rng: np.random.Generator,
    n_resamples: int = 200,
) -> Estimate:
    """Return what a model fitted on all rewards expects of a target; only as good as the model.

    The interval is a time-blocked bootstrap of the fit, and knows nothing of what the model cannot express. It is
    never refused for want of overlap: a model says something of everything.
    """
    options = options or Options()
    check_target(calls, target)
    weights = importance_weights(calls, target)
    found = overlap(calls, weights, off_support(calls, target))
    if not calls.rated.any():
        return Estimate.refusal(_DM, found, "no reward is known")
    parts = _parts(calls, target)
    every = np.ones(parts.n_calls.size)
    if every.size < 2:
        return Estimate.refusal(_DM, found, "all calls are of one session")
    low, high, error = bootstrap(
        every.size, lambda times: _modelled(parts, times), rng, level=options.level, n_resamples=n_resamples
    )
    return Estimate(_DM, _modelled(parts, every), low, high, error, found)


@dataclass(frozen=True)
class _Parts:
    """Stretches of the log, along the first axis of every array: what a model is fitted on, and what it is asked for.

    `asked` has the target's choices by context and arm, `where` the features that it makes them at, by arm.
    """

    sums: OutcomeSums
    asked: FloatArray
    where: FloatArray
    n_calls: FloatArray


def _parts(calls: LoggedCalls, target: FloatArray) -> _Parts:
    features, n_arms = standardised(calls), target.shape[1]
    n_contexts = int(calls.context.max()) + 1
    drawn, shares, block = calls.arm[calls.draw], target[calls.draw], time_blocks(calls)
    sums, asked, where = [], [], []
    for number in range(int(block.max()) + 1):
        at = np.flatnonzero(block == number)
        told = at[calls.rated[at]]
        none = OutcomeSums.empty(n_contexts, n_arms, features.shape[1])
        sums.append(none.after(calls.context[told], drawn[told], features[told], calls.reward[told]))
        asked.append(np.zeros((n_contexts, n_arms)))
        np.add.at(asked[-1], calls.context[at], shares[at])
        where.append(features[at].T @ shares[at])
    n_calls = np.bincount(block).astype(np.float64)
    return _Parts(OutcomeSums.stacked(sums), np.stack(asked), np.stack(where), n_calls)


def _modelled(parts: _Parts, times: FloatArray) -> float:
    """Return the target's mean reward by the model of a log that has each part so many times."""
    sums = parts.sums.counted(times)
    if sums.n.sum() <= 0.0:
        return math.nan
    model = sums.fit()
    asked, where = (np.tensordot(times, each, 1) for each in (parts.asked, parts.where))
    return float((asked * model.cell).sum() + (where * model.slopes).sum()) / float(times @ parts.n_calls)


_IPS = "inverse propensities (IPS), sessions as units; what could not be drawn counts as 0"
_SNIPS = "self-normalised inverse propensities (SNIPS), delta method over sessions"
_DM = "direct method: a model of the rewards, fitted on all of them, with a time-blocked bootstrap of the fit"


def _weighted(
    calls: LoggedCalls, target: FloatArray, options: Options, ahead: Predicted | None
) -> tuple[LoggedCalls, FloatArray, FloatArray]:
    """Return calls, target and weights over the chance of being rated, without calls whose chance nobody could know."""
    check_target(calls, target)
    weights, given = importance_weights(calls, target), options.chance_of(calls.n_calls)
    if given is not None:
        return calls, target, weights / given
    if calls.rated.all():
        return calls, target, weights
    ahead = ahead or predicted(calls, target.shape[1])
    kept = ahead.usable
    weights = weights / ahead.chance[np.arange(calls.n_calls), calls.arm[calls.draw]]
    return calls.take(kept), target[kept], weights[kept]


def _by_unit(calls: LoggedCalls, values: FloatArray) -> FloatArray:
    return np.bincount(calls.unit_number, values).astype(np.float64)


def _estimate(method: str, interval: Interval, error: float, found: Overlap) -> Estimate:
    return Estimate(method, *interval, error, found)
