"""Which candidates can serve a request at all, and why the others cannot, in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from optimizer.domain import Candidate, Request
from optimizer.errors import ContextTooLong, NoEligibleCandidate, UnknownPrice

WITHIN_TARGET = 0.9  # share of calls that must meet a latency target
LATENCY_CALLS = 20.0  # measured calls from which that share is believed


@dataclass(frozen=True, slots=True)
class Limits:
    """What eligibility asks beyond the request's own needs.

    Attributes
    ----------
    needs_cost : bool
        Whether the objective or a cap cannot do without a known price.
    max_latency_ms : float or None
        Latency that nine calls in ten must meet.
    output_tokens : int
        Completion tokens that must fit into the window beside the prompt.
    troubled : mapping of str to str
        Model → why a breaker keeps calls away from it.
    """

    needs_cost: bool = True
    max_latency_ms: float | None = None
    output_tokens: int = 0
    troubled: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of one candidate here: expected cost (NaN is unknown), and how fast its calls were."""

    cost_usd: float = math.nan
    n_timed: float = 0.0
    within_target: float = 1.0


def exclusions(
    request: Request, candidates: Sequence[Candidate], measured: Mapping[str, Measured], limits: Limits
) -> dict[str, str]:
    """Return model → why it cannot serve this request, for those that cannot.

    A latency target excludes slow models, and a breaker models in trouble, only while another is left: too slow is
    better than no answer, and a model in trouble may answer yet.
    """
    reasons: dict[str, str] = {}
    slow: dict[str, str] = {}
    troubled: dict[str, str] = {}
    for candidate in candidates:
        known = measured.get(candidate.model_id, Measured())
        reason = _window(request, candidate, limits) or _needs(request, candidate) or _cost(request, known, limits)
        if reason is not None:
            reasons[candidate.model_id] = reason
        elif trouble := limits.troubled.get(candidate.model_id):
            troubled[candidate.model_id] = trouble
        elif late := _latency(known, limits):
            slow[candidate.model_id] = late
    if len(reasons) + len(troubled) < len(candidates):
        reasons |= troubled
    if len(reasons) + len(slow) < len(candidates):
        reasons |= slow
    return reasons


def refusal(use_case: str, request: Request, candidates: Sequence[Candidate], reasons: Mapping[str, str]) -> Exception:
    """Return the error that says best why nobody is eligible."""
    windows = [candidate.context_window_tokens for candidate in candidates]
    if windows and all(window is not None and request.window_tokens >= window for window in windows):
        return ContextTooLong(use_case, reasons, "shorten the context or add a candidate with a longer window")
    if reasons and all(reason.startswith("price unknown") for reason in reasons.values()):
        return UnknownPrice(use_case, reasons, "give the models prices, or use the objective `quality` without a cap")
    return NoEligibleCandidate(use_case, reasons)


def _window(request: Request, candidate: Candidate, limits: Limits) -> str | None:
    window = candidate.context_window_tokens
    needed = request.window_tokens + limits.output_tokens
    if window is None or needed <= window:
        return None
    beside = f" and {limits.output_tokens:,} for the answer" if limits.output_tokens else ""
    return f"its window of {window:,} tokens is too short for {request.window_tokens:,}{beside}"


def _needs(request: Request, candidate: Candidate) -> str | None:
    for needed, supported, name in (
        (request.needs_tools, candidate.supports_tools, "tool calls"),
        (request.needs_json_schema, candidate.supports_json_schema, "JSON schemas"),
        (request.needs_vision, candidate.supports_vision, "images"),
    ):
        if needed and not supported:
            return f"{'no support' if supported is False else 'support unknown'} for {name}"
    return None


def _cost(request: Request, known: Measured, limits: Limits) -> str | None:
    if math.isnan(known.cost_usd):
        return "price unknown" if limits.needs_cost or request.max_cost_usd is not None else None
    if request.max_cost_usd is not None and known.cost_usd > request.max_cost_usd:
        return f"expected to cost ${known.cost_usd:.6f}, above the cap of ${request.max_cost_usd:.6f}"
    return None


def _latency(known: Measured, limits: Limits) -> str | None:
    if limits.max_latency_ms is None or known.n_timed < LATENCY_CALLS or known.within_target >= WITHIN_TARGET:
        return None
    return f"only {known.within_target:.0%} of its calls met the target of {limits.max_latency_ms:,.0f} ms"
