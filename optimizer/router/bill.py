"""What an attempt may cost at most, for limits, and what one cost that ended in the middle."""

import math
from dataclasses import dataclass

from optimizer.domain import NANO_USD, Candidate, CostSource, Usage
from optimizer.errors import ConnectionBroken, GatewayError, GatewayTimeout, InvalidReply, StreamBroken

UNLIMITED_OUTPUT_TOKENS = 4_096  # asked for under a limit where nobody, not even the model, has one
# What broke on the way may have been served and charged; an error's status says that nothing was.
_MAY_BE_CHARGED = (ConnectionBroken, GatewayTimeout, InvalidReply, StreamBroken)


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that an attempt may cost with the `max_tokens` wanted, and with the fewest that are acceptable."""

    most_nano_usd: int
    least_nano_usd: int
    max_tokens: int


def worst_case(
    candidate: Candidate, input_tokens: int, max_tokens: int | None, *, least_tokens: int, n_choices: int = 1
) -> WorstCase | None:
    """Return what an attempt may cost at most; None where the model's price is unknown.

    Parameters
    ----------
    input_tokens : int
        Of the prompt, on the high side.
    max_tokens : int or None
        Completion tokens that the caller or the use case allows.
    """
    known = [limit for limit in (max_tokens, candidate.max_output_tokens) if limit is not None]
    most = min(known, default=UNLIMITED_OUTPUT_TOKENS)
    least = min(least_tokens, most)
    costs = [candidate.price.cost_usd(input_tokens, n_choices * tokens) for tokens in (most, least)]
    if costs[0] is None or costs[1] is None:
        return None
    return WorstCase(_up(costs[0]), _up(costs[1]), most)


def affordable_tokens(candidate: Candidate, input_tokens: int, granted_nano_usd: int, n_choices: int = 1) -> int:
    """Return how many completion tokens a granted amount pays for, beside the prompt."""
    prompt = candidate.price.cost_usd(input_tokens, 0.0) or 0.0
    per_token = candidate.price.per_token(input_tokens)[2] or 0.0
    left = granted_nano_usd / NANO_USD - prompt
    if per_token <= 0.0:
        return candidate.max_output_tokens or UNLIMITED_OUTPUT_TOKENS
    return max(int(left / (per_token * n_choices) + 1e-6), 0)


def cost_of_part(candidate: Candidate, input_tokens: int, output_tokens: int) -> tuple[Usage, int | None, CostSource]:
    """Return usage and cost of an attempt that ended in the middle, estimated from what was sent and received."""
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    usd = candidate.price.cost_usd(input_tokens, output_tokens)
    return (usage, None, "unknown") if usd is None else (usage, round(usd * NANO_USD), "estimated")


def may_be_charged(error: GatewayError) -> bool:
    """Return whether an attempt that failed so may cost something all the same."""
    return isinstance(error, _MAY_BE_CHARGED)


def _up(usd: float) -> int:
    return math.ceil(usd * NANO_USD)
