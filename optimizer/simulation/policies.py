"""The policies of replay by name, and one replay of any of them."""

from optimizer.decision.chain import Chain
from optimizer.domain import Objective
from optimizer.errors import InvalidRequest, UnknownModel
from optimizer.simulation.replay import Played, Policy, ReplaySettings, play
from optimizer.simulation.stream import Stream
from optimizer.simulation.thompson import Thompson

FIXED = "fixed:"
NAMES = ("thompson",)


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
    return play(stream, _policy(stream, name, objective, settings), objective, settings, seed)


def _policy(stream: Stream, name: str, objective: Objective, settings: ReplaySettings) -> Policy:
    check_policy(name)
    chain = Chain(objective, settings.guard or None, settings.holdout, settings.exploration)
    return Thompson(stream, chain, coldest=settings.temperature)
