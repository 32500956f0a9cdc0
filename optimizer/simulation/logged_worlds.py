"""Logs of a world that is not the engine's own model, made by the engine's decision code, for checks of estimators.

Quality hangs on what the request looks like by curves, on a session's hidden difficulty and on the model, thumbs in
some contexts and stars in others; who rates hangs on the call. None of it is a Beta, additive, or told to the engine.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.decision.chain import Chain
from optimizer.decision.choice import draw
from optimizer.domain import Objective
from optimizer.settings.use_cases import UseCase
from optimizer.simulation.knowledge import Clock, Knowledge
from optimizer.simulation.recorded import ReplayTable
from optimizer.simulation.stream import Stream, make_stream
from optimizer.simulation.thompson import Thompson

MODELS = ("large", "medium", "small", "tiny")
CONTEXTS = ("chat", "code", "search")
_SHARES = (0.4, 0.25, 0.35)
_STARS = np.array([False, True, True])  # by context; the others get thumbs
_TURNS = 1.25  # mean calls of a session
_USD_PER_MTOK = np.array([[10.0, 30.0], [2.0, 8.0], [0.6, 2.4], [0.15, 0.6]])  # input, output
# Log odds of a good reply, by context and model; what one unit of the request's two features adds to them, by model.
_MERIT = np.array([[1.9, 1.8, 1.7, 0.8], [1.6, 1.65, 1.1, 0.3], [2.0, 1.95, 1.85, 1.6]])
_HARDER = np.array([-0.3, -0.5, -0.7, -0.9])
_WILLING = np.array([0.0, 0.3, -0.4])  # log odds of being rated, by context
_REFRESH = 20


@dataclass(frozen=True)
class Traffic:
    """Calls in the order in which they come, with what every model would have answered.

    Attributes
    ----------
    context, session : ndarray of int, shape (n_calls,)
        Sessions are numbered in the order of their first calls; a session keeps its context.
    features : ndarray, shape (n_calls, 2)
        Known before the choice: the logarithm of the length, standardised, and a trait of the text.
    quality, cost_usd : ndarray, shape (n_calls, n_arms)
    context_tokens, output_tokens : ndarray, shape (n_calls,)
    """

    context: IntArray
    session: IntArray
    features: FloatArray
    quality: FloatArray
    cost_usd: FloatArray
    context_tokens: FloatArray
    output_tokens: FloatArray


@dataclass(frozen=True)
class Log:
    """What the engine left behind, call by call.

    Attributes
    ----------
    arm : ndarray of int, shape (n_calls,)
    propensity : ndarray, shape (n_calls,)
        NaN on later turns of a session.
    distribution : ndarray, shape (n_calls, n_arms)
        What was drawn from, or would have been on a later turn.
    reward : ndarray, shape (n_calls,)
        NaN where nobody rated.
    cell : ndarray of int, shape (n_calls,)
        Contexts and lengths that the engine decides alike.
    """

    traffic: Traffic
    arm: IntArray
    propensity: FloatArray
    distribution: FloatArray
    reward: FloatArray
    cost_usd: FloatArray
    cell: IntArray


def traffic(seed: int, n_calls: int) -> Traffic:
    """Return calls of the world; the same seed gives the same ones."""
    rng = np.random.default_rng((seed, 1))
    turns = rng.geometric(1.0 / _TURNS, size=n_calls)
    session = np.repeat(np.arange(n_calls), turns)[:n_calls]
    context = rng.choice(len(CONTEXTS), size=n_calls, p=_SHARES)[session]
    features = rng.normal(size=(n_calls, 2)) * [0.6, 1.0] + np.stack(
        [0.8 * rng.normal(size=n_calls)[session], np.zeros(n_calls)], axis=1
    )
    hidden = 0.8 * rng.normal(size=n_calls)[session]
    tokens = np.round(900.0 * np.exp(0.5 * features[:, 0]))
    answer = np.round(250.0 * np.exp(0.4 * rng.normal(size=n_calls)))
    cost = (np.stack([tokens, answer], axis=1) @ _USD_PER_MTOK.T) / 1e6
    return Traffic(context, session, features, _quality(rng, context, features, hidden), cost, tokens, answer)


def _quality(rng: np.random.Generator, context: IntArray, features: FloatArray, hidden: FloatArray) -> FloatArray:
    """Return thumbs or stars for every model's answer: a curve in the features, no straight line."""
    length, trait = features[:, :1], features[:, 1:]
    merit = _MERIT[context] + _HARDER * length + 0.5 * np.sin(2.0 * trait + np.arange(len(MODELS))) - hidden[:, None]
    good = expit(merit)
    thumbs = rng.random(good.shape) < good
    stars = np.rint(4.0 * np.clip(good + 0.22 * rng.normal(size=good.shape), 0.0, 1.0)) / 4.0
    useless = rng.random(good.shape) < 0.05
    return np.asarray(np.where(_STARS[context][:, None], np.where(useless, 0.0, stars), thumbs), dtype=np.float64)


def rated_chance(calls: Traffic, arm: IntArray, rate: float) -> FloatArray:
    """Return the probability that each call is rated, from what is known about it; about `rate` on average."""
    if rate >= 1.0:
        return np.ones(len(arm))
    leaning = _WILLING[calls.context] + 0.5 * calls.features[:, 0] + 0.3 * (arm == 0)
    return np.asarray(expit(np.log(rate / (1.0 - rate)) - 0.25 + leaning))


def log_calls(seed: int, n_calls: int, rate: float) -> Log:
    """Return a log of the engine's decision code at the settings that users get, learning as it goes."""
    calls = traffic(seed, n_calls)
    stream = _stream(calls)
    known, policy = Knowledge(stream, Clock()), _policy(stream)
    chances, uniforms = np.random.default_rng((seed, 2)).random((2, n_calls))
    arm, distribution = np.zeros(n_calls, dtype=np.intp), np.zeros((n_calls, len(MODELS)))
    first = np.searchsorted(calls.session, calls.session)
    rated: BoolArray = np.zeros(n_calls, dtype=np.bool_)
    for start in range(0, n_calls, _REFRESH):
        block = np.arange(start, min(start + _REFRESH, n_calls))
        known.advance(start)
        distribution[block] = policy.shares(known, block)
        for call in block.tolist():
            arm[call] = draw(distribution[call], uniforms[call]) if first[call] == call else arm[first[call]]
        rated[block] = chances[block] < rated_chance(calls, arm, rate)[block]
        known.take_replies(block, arm[block], block)
        told = block[rated[block]]
        known.take_ratings(told, arm[told], told)
    at = np.arange(n_calls)
    return Log(
        calls,
        arm,
        np.where(first == at, distribution[at, arm], np.nan),
        distribution,
        np.where(rated, calls.quality[at, arm], np.nan),
        calls.cost_usd[at, arm],
        stream.row,
    )


def _policy(stream: Stream) -> Thompson:
    user = UseCase.model_validate({"candidates": list(MODELS)})
    chain = Chain(Objective.parse(user.objective), user.guard, user.holdout, user.exploration)
    return Thompson(stream, chain, coldest=user.temperature_of_exploration)


def _stream(calls: Traffic) -> Stream:
    n = len(calls.context)
    table = ReplayTable(
        name="world",
        models=MODELS,
        prompts=tuple(str(number) for number in range(n)),
        use_cases=tuple(CONTEXTS[number] for number in calls.context.tolist()),
        quality=calls.quality,
        cost_usd=calls.cost_usd,
        input_tokens=np.repeat(calls.context_tokens[:, None], len(MODELS), axis=1),
        output_tokens=np.repeat(calls.output_tokens[:, None], len(MODELS), axis=1),
        context_tokens=calls.context_tokens,
        input_usd=_USD_PER_MTOK[:, 0] / 1e6,
        output_usd=_USD_PER_MTOK[:, 1] / 1e6,
    )
    return make_stream([table], incumbent=MODELS[0])


def true_means(n_calls: int = 400_000, seed: int = 1_000_000) -> tuple[FloatArray, FloatArray]:
    """Return each context's share of the calls, and the mean quality of every model in it, to about a thousandth."""
    calls = traffic(seed, n_calls)
    share = np.bincount(calls.context, minlength=len(CONTEXTS)) / n_calls
    means = [calls.quality[calls.context == number].mean(axis=0) for number in range(len(CONTEXTS))]
    return share, np.array(means)
