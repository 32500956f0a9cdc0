"""What came of a call, checked and priced: token counts, money, ratings, each refused by name where it is wrong."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from optimizer.domain import MOST_TOKENS, NANO_USD, Candidate, CostSource, Usage
from optimizer.errors import InvalidRating, InvalidRequest

_OPENAI = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
_LONGEST_WORD = 40


def as_usage(usage: Usage | Mapping[str, int] | None) -> Usage | None:
    """Return token counts, given in our names or in OpenAI's; None where they are unknown.

    Raises
    ------
    InvalidRequest
        If a count is negative, no whole number, absurdly large, or of an unknown name; the error names it.
    """
    if usage is None:
        return None
    if isinstance(usage, Usage):
        return _bounded(usage)
    given = {_OPENAI.get(name, name): count for name, count in usage.items() if name != "total_tokens"}
    try:
        counts = Usage(**given)
    except ValidationError as error:
        raise refused(error, "usage.") from None
    return _bounded(counts)


def _bounded(counts: Usage) -> Usage:
    for name, count in counts:
        if count > MOST_TOKENS:
            raise InvalidRequest(f"usage.{name}", f"must be at most {MOST_TOKENS:,} tokens")
    return counts


def refused(error: ValidationError, prefix: str = "", names: Mapping[str, str] | None = None) -> InvalidRequest:
    """Return the first problem, by the caller's name for the field and without the value that it had."""
    first: Any = error.errors(include_input=False, include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return InvalidRequest(prefix + (names or {}).get(path, path), str(first["msg"]))


def checked_amount(field: str, value: float | None, most: float) -> float | None:
    """Return an amount from 0 to the most that can be true, or None."""
    if value is not None and not (isinstance(value, int | float) and 0 <= value <= most):
        raise InvalidRequest(field, f"must be a number from 0 to {most:,.0f}")
    return value


def checked_word(error: str | None) -> str | None:
    """Return the kind of an error: one word, so that no message with a prompt in it can reach the ledger."""
    if error is not None and not (
        0 < len(error) <= _LONGEST_WORD and error.replace("_", "").replace("-", "").isalnum()
    ):
        raise InvalidRequest("error", "one short word such as timeout, rate_limit or server_error, never a message")
    return error


def checked_rating(value: float | bool) -> float:
    """Return a rating in [0, 1]."""
    if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise InvalidRating("value", "a rating is a number in [0, 1], or a boolean")
    return float(value)


def cost_of(candidate: Candidate, usage: Usage | None, reported_usd: float | None) -> tuple[int | None, CostSource]:
    """Return the cost in nano-dollars and where it is known from."""
    if reported_usd is not None:
        return round(reported_usd * NANO_USD), "reported"
    if usage is not None:
        priced = candidate.price.cost_usd(usage.input_tokens, usage.output_tokens, usage.cached_tokens)
        if priced is not None:
            return round(priced * NANO_USD), "priced"
    return None, "unknown"
