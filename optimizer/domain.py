"""The nouns: objective, price, candidate, use case, request, usage, attempt and feedback, frozen and validated once."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from optimizer.errors import InvalidRequest

ObjectiveKind = Literal["quality", "floor", "average", "value", "budget"]
Gateway = Literal["portkey", "openrouter", "direct"]
CostTier = Literal["economy", "standard", "premium"]
CostSource = Literal["reported", "priced", "estimated", "unknown"]
Reuse = Literal["cache", "in_flight"]
Family = Literal["code", "tools", "reasoning", "knowledge", "chat", "writing", "long_context", "instruction"]

NANO_USD = 1_000_000_000
# More than any window has, any call costs or lasts. Evidence adds up squares: 64 bits hold those of 90,000 such calls.
MOST_TOKENS = 10_000_000
MOST_USD = 1_000_000.0
MOST_MS = 1e9
JUDGING = "judge"  # the use case under which calls of judges are counted, apart from those that they judge
DEFAULT_FLOOR = 0.8
_OF_QUALITY: dict[str, ObjectiveKind] = {"floor": "floor", "average": "average"}
_OF_DOLLARS: dict[str, ObjectiveKind] = {"value": "value", "budget": "budget"}


def finite_share(value: float) -> float:
    """Return `value` if it is a number in [0, 1]; NaN and infinities are refused."""
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ValueError("must be a number in [0, 1]")
    return value


Share = Annotated[float, AfterValidator(finite_share)]


@dataclass(frozen=True, slots=True)
class Objective:
    """What a use case asks of the choice, as `floor:97%`, `value:0.05` and the like.

    Attributes
    ----------
    kind : {"quality", "floor", "average", "value", "budget"}
        `floor` is the cheapest good enough; the others score quality minus a price times cost.
    amount : float or None
        A quality in [0, 1] for `floor` and `average`, a share of the incumbent's when `relative`; dollars per unit of
        quality for `value`; dollars per call for `budget`; None for `quality`.
    relative : bool
        Whether `amount` is a share of the incumbent's mean quality.
    """

    kind: ObjectiveKind
    amount: float | None = None
    relative: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `quality`, `floor`, `floor:0.9`, `floor:97%`, `average:97%`, `value:0.05` or `budget:0.0005`.

        Raises
        ------
        InvalidRequest
            If the text is none of these, or its number is out of range.
        """
        kind, _, number = text.strip().partition(":")
        if kind == "quality" and not number:
            return cls("quality")
        if kind == "floor" and not number:
            return cls("floor", DEFAULT_FLOOR)
        if kind in _OF_QUALITY:
            return cls(_OF_QUALITY[kind], *parse_quality(number, field="objective"))
        if kind in _OF_DOLLARS:
            return cls(_OF_DOLLARS[kind], _positive_usd(text, number))
        raise InvalidRequest(
            "objective",
            f"{text!r} is none of quality, floor:0.9, floor:97%, average:0.9, average:97%, value:0.05, budget:0.0005",
        )

    @classmethod
    def floor(cls, required_quality: float | str) -> Self:
        """Return the `floor` objective for a required quality, a number in [0, 1] or a share such as `97%`."""
        amount, relative = parse_quality(required_quality, field="required_quality")
        return cls("floor", amount, relative)

    def __str__(self) -> str:
        """Return the text that `parse` reads back."""
        if self.amount is None:
            return self.kind
        return f"{self.kind}:{self.amount * 100:.12g}%" if self.relative else f"{self.kind}:{self.amount:.12g}"


def parse_quality(value: float | str, *, field: str) -> tuple[float, bool]:
    """Return a required quality as (amount, whether it is relative to the incumbent).

    Raises
    ------
    InvalidRequest
        If `value` is no number in [0, 1] and no percentage in (0%, 100%].
    """
    text = str(value).strip()
    relative = text.endswith("%")
    try:
        amount = float(Decimal(text.removesuffix("%")) / (100 if relative else 1))
    except InvalidOperation:
        raise InvalidRequest(field, f"{text!r} is neither a number in [0, 1] nor a percentage such as 97%") from None
    if not math.isfinite(amount) or not 0.0 <= amount <= 1.0:
        raise InvalidRequest(field, f"{text!r} is out of range: a number in [0, 1], or up to 100% of the incumbent's")
    return amount, relative


def _positive_usd(text: str, number: str) -> float:
    try:
        amount = float(Decimal(number))
    except InvalidOperation:
        raise InvalidRequest("objective", f"{text!r} needs dollars after the colon, such as 0.05") from None
    if not (math.isfinite(amount) and amount > 0):
        raise InvalidRequest("objective", f"{text!r} needs a positive number of dollars")
    return amount


class Noun(BaseModel):
    """A frozen value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Price:
    """What a model charges, in dollars per million tokens; None means unknown, never free.

    Above `long_over_tokens` input tokens, the whole request is charged at the long-context prices.
    """

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_usd_per_mtok: float | None = None
    long_over_tokens: int | None = None
    long_input_usd_per_mtok: float | None = None
    long_output_usd_per_mtok: float | None = None

    def per_token(self, input_tokens: float) -> tuple[float | None, float | None, float | None]:
        """Return dollars per (uncached input, cached input, output) token for a request of this length.

        Cached tokens without a price of their own cost as much as uncached ones.
        """
        long = self.long_over_tokens is not None and input_tokens > self.long_over_tokens
        input_price = self.long_input_usd_per_mtok if long else self.input_usd_per_mtok
        output_price = self.long_output_usd_per_mtok if long else self.output_usd_per_mtok
        cached_price = self.cached_usd_per_mtok if self.cached_usd_per_mtok is not None and not long else input_price
        return tuple(None if price is None else price / 1e6 for price in (input_price, cached_price, output_price))  # type: ignore[return-value]

    def cost_usd(self, input_tokens: float, output_tokens: float, cached_tokens: float = 0.0) -> float | None:
        """Return the cost of one call in dollars, or None where a price that it needs is unknown.

        `input_tokens` counts all input, `cached_tokens` the part of it that came from the provider's cache.
        """
        per_input, per_cached, per_output = self.per_token(input_tokens)
        if per_input is None or per_output is None or per_cached is None:
            return None
        return per_input * (input_tokens - cached_tokens) + per_cached * cached_tokens + per_output * output_tokens


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """What a model charges through a gateway from a moment on, and where that was found; the moment is aware."""

    model_id: str
    gateway: Gateway
    from_at: datetime
    price: Price
    source: str


class Candidate(Noun):
    """A model offered to a use case, with what must be known about it to decide; None is unknown.

    `context_window_tokens` counts prompt and completion together.
    """

    model_id: str
    gateway: Gateway = "portkey"
    context_window_tokens: PositiveInt | None = None
    max_output_tokens: PositiveInt | None = None
    supports_tools: bool | None = None
    supports_json_schema: bool | None = None
    supports_vision: bool | None = None
    accepts_temperature: bool | None = None
    price: Price = Price()
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class RewardRule:
    """How ratings of a call become what is learned: which metric is the quality, and which gates turn it into 0.

    A gate is a metric of values in [0, 1]; a call whose gate is rated below one half has failed.
    """

    quality: str = "quality"
    gates: tuple[str, ...] = ()


class Usage(Noun):
    """Tokens of one call; `input_tokens` includes `cached_tokens`, `output_tokens` includes `reasoning_tokens`."""

    input_tokens: NonNegativeInt
    output_tokens: NonNegativeInt
    cached_tokens: NonNegativeInt = 0
    reasoning_tokens: NonNegativeInt = 0


class Request(Noun):
    """What is known about a call before a model is chosen."""

    use_case: str
    context_tokens: NonNegativeInt
    context_tokens_high: NonNegativeInt | None = None  # where the length is an estimate: its 95th percentile
    required_quality: float | str | None = None
    objective: str | None = None
    needs_tools: bool = False
    needs_json_schema: bool = False
    needs_vision: bool = False
    cost_tier: CostTier | None = None
    session_id: str | None = Field(default=None, min_length=1, max_length=200)
    tenant: str | None = Field(default=None, min_length=1, max_length=200)
    tags: tuple[tuple[str, str], ...] = ()
    features: tuple[float, ...] | None = None
    max_cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    expected_output_tokens: PositiveInt | None = None
    model: str | None = None  # a pin

    @property
    def window_tokens(self) -> int:
        """Tokens of the prompt that a window must have room for."""
        return max(self.context_tokens, self.context_tokens_high or 0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP attempt at a call, or one `record` by a caller who made the call alone.

    Attributes
    ----------
    model_id, gateway : str
        Who was asked.
    at : datetime
        When the attempt ended, aware UTC.
    served : bool
        Whether this attempt's reply is the one the caller got.
    error_kind : str or None
        A short word such as `timeout`; None if it succeeded. Never free text.
    cost_nano_usd : int or None
        Billionths of a dollar; None is unknown.
    reused : {"cache", "in_flight"} or None
        Where the reply is another call's: it cost nothing, and teaches nothing.
    """

    call_id: str
    model_id: str
    gateway: str
    at: datetime
    number: int = 0
    served: bool = True
    status: int | None = None
    error_kind: str | None = None
    provider: str | None = None
    model_version: str | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    usage: Usage | None = None
    cost_nano_usd: int | None = None
    cost_source: CostSource = "unknown"
    reused: Reuse | None = None


CALLS_QUALITY = ""  # in place of a metric: the quality of the call's use case, where nobody can tell yet which


@dataclass(frozen=True, slots=True)
class Feedback:
    """One rating of a call by one rater: `value` in [0, 1], or None to withdraw it."""

    call_id: str
    metric: str
    rater: str
    value: float | None
    at: datetime = field(compare=False)
