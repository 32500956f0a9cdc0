"""The policies of replay by name, and one replay of any of them."""

from optimizer.decision.chain import Chain
from optimizer.domain import Objective
from optimizer.errors import InvalidRequest, UnknownModel
from optimizer.simulation.baselines import EPSILON, ByContext, Constant, LinUCB, Rules, greedy_values, ucb1_values
from optimizer.simulation.bounds import BOUNDS, hindsight
from optimizer.simulation.replay import Played, Policy, ReplaySettings, play
from optimizer.simulation.stream import Stream
from optimizer.simulation.thompson import Thompson

FIXED = "fixed:"
LEARNERS = ("thompson", "epsilon-greedy", "ucb1", "linucb")
NAMES = (*LEARNERS, "random", *BOUNDS)


def check_policy(name: str) -> str:
    """Return the name of a policy as it is written, or say which there are."""
    if name in NAMES or (name.startswith(FIXED) and name != FIXED):
        return name
    raise InvalidRequest("policy", f"{name!r} is none of {', '.join(NAMES)}, {FIXED}<model>")


def check_models(name: str, models: tuple[str, ...]) -> None:
    """Refuse a fixed model that the tables do not have."""
    model = name.removeprefix(FIXED)
    if name.startswith(FIXED) and model not in models:
        raise UnknownModel(model, models)


def replay(stream: Stream, name: str, objective: Objective, settings: ReplaySettings, seed: int) -> Played:
    """Return what came of a policy, by name, on the order of `seed`."""
    check_policy(name)
    check_models(name, stream.models)
    if name in BOUNDS:
        return hindsight(stream, name, objective, settings, seed)
    return play(stream, _policy(stream, name, objective, settings), objective, settings, seed)


def _policy(stream: Stream, name: str, objective: Objective, settings: ReplaySettings) -> Policy:
    if name.startswith(FIXED):
        return Constant.fixed(stream, name.removeprefix(FIXED))
    if name == "random":
        return Constant.random(stream)
    rules = Rules(objective, settings.holdout, settings.exploration)
    if name == "epsilon-greedy":
        rules = Rules(objective, settings.holdout, max(EPSILON, settings.exploration))
        return ByContext(stream, rules, greedy_values)
    if name == "ucb1":
        return ByContext(stream, rules, ucb1_values)
    if name == "linucb":
        return LinUCB(stream, rules, settings.clock)
    chain = Chain(objective, settings.guard or None, settings.holdout, settings.exploration)
    return Thompson(stream, chain, coldest=settings.temperature)
