"""An interval that holds at every moment at once: look as often as you like, and stop when you have seen enough."""

import math
from dataclasses import dataclass

import numpy as np

from optimizer.analysis.estimators.logged import LoggedCalls, check_target
from optimizer.analysis.estimators.options import Options
from optimizer.analysis.estimators.predicted import Predicted, predicted
from optimizer.analysis.estimators.weights import importance_weights, supported
from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.errors import InvalidRequest

_LONGEST_BET = 0.5
_MODEL_BOUND = 5.0  # widths below the rewards' range that a corrected reward may fall; less cuts the model, more costs


@dataclass(frozen=True)
class ConfidenceSequence:
    """Limits after each session (or call without one), all of which hold together with the confidence asked for.

    Attributes
    ----------
    method : str
        In words, with the bound that is used.
    call : ndarray of int, shape (n_looks,)
        Position of the first call of the session that each look adds.
    low, high : ndarray, shape (n_looks,)
        Only ever closer together.
    passed_over : float
        Share of the sessions that say nothing. Where that hangs on the context, the limits are of the rest's mix.
    """

    method: str
    call: IntArray
    low: FloatArray
    high: FloatArray
    passed_over: float


def confidence_sequence(
    calls: LoggedCalls,
    target: FloatArray,
    options: Options | None = None,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> ConfidenceSequence:
    """Return limits of a target's mean reward that are valid at any stopping time, under any logging policy.

    A session counts as one observation, the mean of its calls' rewards. Importance weights need no upper bound: each
    corrected reward is bounded from below alone, at five widths of the range below it, which the model's predictions
    are cut for. Sessions for which the target could not have been drawn are passed over.

    Parameters
    ----------
    bounds : (float, float)
        What a reward can be at least and at most, known beforehand.
    rated_chance : ndarray, shape (n_calls,), optional
        The chance that a reward becomes known, where that is known; a learned one is as good as its model.

    References
    ----------
    Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro (2022), Anytime-valid off-policy inference for contextual
    bandits, with k = 5 and predictable plug-in bets; Howard, Ramdas, McAuliffe & Sekhon (2021).
    """
    options = options or Options()
    check_target(calls, target)
    least, most = bounds
    if not least < most or np.nanmin(calls.reward) < least or np.nanmax(calls.reward) > most:
        raise InvalidRequest("bounds", "must hold every reward, the lower one first")
    scaled = calls.with_rewards((calls.reward - least) / (most - least))
    given = options.chance_of(calls.n_calls)
    ahead = predicted(scaled, target.shape[1], rated_chance=given)
    counted = supported(calls, target)
    if given is None and not calls.rated.all():
        counted = counted & ahead.usable  # before, nobody could know the chance of being rated
    heads, order = _looks(calls, counted)
    log_odds = math.log(2.0 / (1.0 - options.level))
    lower, upper = (
        _lower_limits(_per_unit(calls, _corrected(scaled, target, ahead, mirrored), counted)[order], log_odds)
        for mirrored in (False, True)
    )
    low, high = least + (most - least) * lower, most - (most - least) * upper
    return ConfidenceSequence(_METHOD, heads, low, high, 1.0 - heads.size / calls.n_units)


_METHOD = (
    "empirical-Bernstein confidence sequence of doubly robust corrected rewards; weights need no bound, since each "
    "corrected reward is bounded below by five widths of the range; a session counts as one observation"
)


def _looks(calls: LoggedCalls, counted: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the first counted call of every unit that has one, in order of time, and the numbers of those units."""
    at = np.flatnonzero(counted)
    units, first = np.unique(calls.unit_number[at], return_index=True)
    order = np.argsort(at[first], kind="stable")
    return np.asarray(at[first][order], dtype=np.intp), np.asarray(units[order], dtype=np.intp)


def _corrected(calls: LoggedCalls, target: FloatArray, ahead: Predicted, mirrored: bool) -> FloatArray:
    """Return each call's corrected reward, at least −k; of 1 − reward where mirrored."""
    at, every = calls.draw, np.arange(calls.n_calls)
    shares, drawn = target[at], calls.arm[at]
    expected = np.zeros_like(shares)
    if calls.distribution is not None:
        expected = np.clip(1.0 - ahead.reward if mirrored else ahead.reward, 0.0, 1.0)
        # q ≤ k·p·chance/π keeps weight·q/chance below k, whoever is drawn.
        room = _MODEL_BOUND * np.maximum(calls.distribution[at], 0.0) * ahead.chance
        expected = np.minimum(expected, np.divide(room, shares, out=np.ones_like(shares), where=shares > 0.0))
    reward = 1.0 - calls.reward if mirrored else calls.reward
    missed = np.where(calls.rated, np.nan_to_num(reward) - expected[every, drawn], 0.0) / ahead.chance[every, drawn]
    return np.asarray((shares * expected).sum(axis=1) + importance_weights(calls, target) * missed)


def _per_unit(calls: LoggedCalls, values: FloatArray, counted: BoolArray) -> FloatArray:
    number = calls.unit_number[counted]
    total = np.bincount(number, values[counted], minlength=calls.n_units)
    return np.asarray(total / np.maximum(np.bincount(number, minlength=calls.n_units), 1))


def _lower_limits(values: FloatArray, log_odds: float) -> FloatArray:
    """Return running lower limits of the mean, in [0, 1], of values that are at least −k and have no upper bound."""
    n = np.arange(1, values.size + 1)
    observed = (values + _MODEL_BOUND) / (1.0 + _MODEL_BOUND)
    before = np.concatenate([[0.0], np.cumsum(observed)[:-1]])
    guess = np.minimum(((_MODEL_BOUND + 0.5) / (1.0 + _MODEL_BOUND) + before) / n, 1.0)
    square = (observed - guess) ** 2
    spread = (0.25 / (1.0 + _MODEL_BOUND) ** 2 + np.concatenate([[0.0], np.cumsum(square)[:-1]])) / n
    bet = np.minimum(np.sqrt(2.0 * log_odds / (spread * n * np.log1p(n))), _LONGEST_BET)
    price = -np.log1p(-bet) - bet
    limit = (np.cumsum(bet * observed) - log_odds - np.cumsum(price * square)) / np.cumsum(bet)
    return np.asarray(np.clip(np.maximum.accumulate((1.0 + _MODEL_BOUND) * limit - _MODEL_BOUND), 0.0, 1.0))
