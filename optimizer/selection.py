"""What a decision came to: one draw from its distribution, and why, in words."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optimizer.decided import Decision, Standing
from optimizer.domain import Request

__all__ = ["Decision", "Selection", "Standing"]


@dataclass(frozen=True, slots=True)
class Selection:
    """One call's model, how likely it was, and everything it was chosen by.

    Attributes
    ----------
    call_id : str
        UUIDv7.
    model_id : str
        Who shall serve the call.
    drawn_model_id : str
        Who was drawn; differs from `model_id` only where something overrode the draw.
    propensity : float or None
        Probability of `drawn_model_id` at decision time; None on later turns of a session, which were not drawn.
    overridden_by : str or None
        `pin`, `rule:<name>`, `session`, `flag:routing`, `observe`, `cap`, `failover`, `cache` or `in_flight`.
    held_out : bool
        Whether the call belongs to the holdout, which the incumbent serves.
    prompt_hmac : str or None
        Keyed hash of the prompt, where somebody noted it.
    """

    call_id: str
    decided_at: datetime
    request: Request
    decision: Decision = field(repr=False)
    model_id: str
    drawn_model_id: str
    propensity: float | None
    overridden_by: str | None = None
    held_out: bool = False
    prompt_hmac: str | None = None

    @property
    def use_case(self) -> str:
        """The use case, aliases resolved."""
        return self.decision.use_case

    @property
    def segment(self) -> str:
        """The segment of the use case; empty where it has none."""
        return self.decision.segment

    @property
    def provider(self) -> str:
        """The gateway that the model is reached through."""
        return self.decision.by_model[self.model_id].candidate.gateway

    @property
    def max_tokens(self) -> int | None:
        """Upper limit of completion tokens to ask for."""
        return self.decision.max_tokens

    @property
    def temperature(self) -> float | None:
        """Sampling temperature to ask for; None where the model does not accept one or the use case sets none."""
        accepts = self.decision.by_model[self.model_id].candidate.accepts_temperature
        return None if accepts is False else self.decision.temperature

    @property
    def fallback_models(self) -> tuple[str, ...]:
        """Models to try, in order, after the candidates."""
        return self.decision.fallback_models

    @property
    def distribution(self) -> dict[str, float]:
        """Model → probability; sums to 1."""
        return self.decision.distribution

    @property
    def expected_quality(self) -> float | None:
        """Posterior mean quality of the chosen model, in [0, 1]."""
        return self.decision.by_model[self.model_id].expected_quality

    @property
    def quality_interval(self) -> tuple[float | None, float | None]:
        """95% interval of the chosen model's quality."""
        standing = self.decision.by_model[self.model_id]
        return standing.quality_low, standing.quality_high

    @property
    def expected_cost_usd(self) -> float | None:
        """Expected cost of the call, or None where a price is unknown."""
        return self.decision.by_model[self.model_id].expected_cost_usd

    @property
    def expected_latency_ms(self) -> float | None:
        """Median latency of the chosen model here, or None where nothing was measured."""
        return self.decision.by_model[self.model_id].expected_latency_ms

    @property
    def policy_version(self) -> str:
        """Hash of the settings and code that decided."""
        return self.decision.policy_version

    def explain(self, *, stood_in: str | None = None) -> str:
        """Return, in plain words, why this model was chosen.

        Parameters
        ----------
        stood_in : str, optional
            Who served in the end, where that was somebody else, such as `gpt-4o-mini through openrouter`.
        """
        return _explanation(self, stood_in)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return _as_dict(self)


_OVERRIDES = {
    "pin": "The request named this model itself.",
    "session": "The session stays with the model that it began with, so nothing was drawn.",
    "flag:routing": "Routing is switched off (LLM_ROUTING_ENABLED), so the incumbent serves.",
    "observe": "Observe mode (LLM_COST_OPTIMIZATION is off): the incumbent serves, the draw is only noted.",
    "cap": "A spending limit stood in the way of the model drawn.",
    "failover": "The one chosen failed, and this one stood in.",
    "cache": "The reply is an earlier call's, from the cache: it cost nothing, and teaches nothing.",
    "in_flight": "An equal call was in flight, and its reply is this one's, too: it teaches nothing.",
}
_EVEN_CHANCE = 1e-12


def _explanation(selection: Selection, stood_in: str | None) -> str:
    """Return what a person reads: who serves, what was asked, how likely each was, who was left out and why."""
    decision = selection.decision
    chosen = f"{selection.model_id} through {selection.provider}"
    lines = [f"{chosen} serves this {decision.use_case} call."]
    if stood_in is not None:
        lines = [f"{stood_in} served this {decision.use_case} call; {chosen} was chosen. {_OVERRIDES['failover']}"]
    if decision.headline:
        lines.append(decision.headline + ".")
    lines += ["", *_why(selection), "", _asked(decision), *_weighing(decision), ""]
    lines += _table(decision)
    if decision.exclusions:
        lines += ["", "Left out:"]
        lines += [f"  {model}: {reason}" for model, reason in decision.exclusions.items()]
    lines += ["", f"Call {selection.call_id}, decided at {selection.decided_at:%Y-%m-%d %H:%M:%S %Z}."]
    return "\n".join(lines)


def _why(selection: Selection) -> list[str]:
    decision = selection.decision
    lines = []
    if selection.overridden_by is not None:
        kind, _, name = selection.overridden_by.partition("rule:")
        lines.append(_OVERRIDES.get(kind, f"The rule {name!r} decided."))
        if selection.propensity is not None and selection.drawn_model_id != selection.model_id:
            lines.append(f"By itself the draw would have been {selection.drawn_model_id}.")
    elif selection.held_out:
        lines.append(f"It belongs to the {decision.holdout:.0%} of calls that stay on it, to measure what others save.")
    elif selection.propensity is not None:
        lines.append(f"It was drawn; its chance was {_percent(selection.propensity)}.")
    lines.append(_expected(decision.by_model[selection.model_id]))
    incumbent = decision.by_model.get(decision.incumbent)
    if incumbent is not None and selection.model_id != decision.incumbent:
        lines.append(f"{decision.incumbent}, who would serve without us: " + _expected(incumbent).lower())
    return lines


def _expected(standing: Standing) -> str:
    cost = "unknown" if standing.expected_cost_usd is None else f"${standing.expected_cost_usd:.6f} a call"
    return f"Expected quality {_quality(standing)} from {standing.n_ratings:.0f} ratings; expected cost {cost}."


def _quality(standing: Standing) -> str:
    if standing.expected_quality is None or standing.quality_low is None or standing.quality_high is None:
        return "unknown"
    return f"{standing.expected_quality:.2f} ({standing.quality_low:.2f} to {standing.quality_high:.2f})"


def _asked(decision: Decision) -> str:
    kind, _, amount = decision.objective.partition(":")
    wanted = amount
    if amount.endswith("%"):
        # A lowered floor is no longer that share.
        now = "" if decision.threshold is None or decision.lowered else f", {decision.threshold:.3f} now"
        wanted = f"{amount} of {decision.incumbent}'s{now}"
    return {
        "quality": "Asked: the best quality, whatever it costs.",
        "floor": f"Asked: the cheapest model whose quality is at least {wanted}.",
        "average": f"Asked: a mean quality over the traffic of at least {wanted}, for as little money as possible.",
        "value": f"Asked: the best value, where quality from 0 to 1 is worth ${amount}.",
        "budget": f"Asked: the best quality for ${amount} a call on average.",
    }[kind]


def _weighing(decision: Decision) -> list[str]:
    alone = decision.distribution.get(decision.incumbent) == 1.0
    if decision.price is None or (alone and decision.headline and not decision.lowered):
        return []  # nothing is weighed while the incumbent serves alone
    if decision.lowered:
        worth = f"; at that, 0.01 more quality is worth ${0.01 / decision.price:.2g} a call" if decision.price else ""
        return [f"A limit of spending leaves less than was asked{worth}."]
    if decision.price == 0.0:
        return ["So cost plays no part in the choice now."]
    return [f"So 0.01 more quality is worth up to ${0.01 / decision.price:.2g} a call."]


def _table(decision: Decision) -> list[str]:
    """Return one line per candidate, the likeliest first."""
    eligible = sorted((s for s in decision.standings if s.exclusion is None), key=lambda s: -s.share)
    width = max((len(s.candidate.model_id) for s in eligible), default=5)
    lines = [f"{'model':<{width}}  chance  quality (95%)          ratings     $ a call"]
    for standing in eligible:
        cost = "unknown" if standing.expected_cost_usd is None else f"{standing.expected_cost_usd:.6f}"
        row = f"{standing.candidate.model_id:<{width}}  {_percent(standing.share):>6}  {_quality(standing):<21}"
        row += f"  {standing.n_ratings:>7.0f}  {cost:>11}"
        note = _note(standing, decision)
        lines.append(f"{row}  {note}".rstrip())
    return lines


def _note(standing: Standing, decision: Decision) -> str:
    """Return what the steps after the vote did to a candidate's share, in words."""
    shares = dict(standing.steps)
    votes, notes = shares.get("votes", 0.0), []
    if standing.candidate.model_id == decision.incumbent:
        notes.append("incumbent")
        if shares.get("incumbent", 0.0) > votes:
            notes.append("serves more, to hold the floor while others are unproven")
        if decision.holdout:
            notes.append(f"{decision.holdout:.0%} kept on it as a comparison")
    if votes > 0 and shares.get("gate", votes) <= _EVEN_CHANCE:
        notes.append("unlikely to be good enough")
    if "guard" in shares and shares["guard"] < shares["gate"]:
        notes.append("not proven yet, so tried on few calls")
    if shares.get("exploration", 0.0) > 0 and votes > 0 and decision.exploration:
        notes.append(f"{decision.exploration:.0%} of all calls are spread to keep learning")
    return "; ".join(notes[:2])


def _percent(share: float) -> str:
    return "0%" if share == 0 else "<0.1%" if share < 0.001 else f"{share:.1%}"


def _as_dict(selection: Selection) -> dict[str, Any]:
    """Return the selection as JSON types, derived values included; features and tags as they were given."""
    decision = selection.decision
    low, high = selection.quality_interval
    return {
        "call_id": selection.call_id,
        "decided_at": selection.decided_at.isoformat(),
        "use_case": selection.use_case,
        "segment": selection.segment,
        "provider": selection.provider,
        "model_id": selection.model_id,
        "max_tokens": selection.max_tokens,
        "temperature": selection.temperature,
        "fallback_models": list(selection.fallback_models),
        "propensity": selection.propensity,
        "drawn_model_id": selection.drawn_model_id,
        "overridden_by": selection.overridden_by,
        "held_out": selection.held_out,
        "distribution": dict(decision.distribution),
        "expected_quality": selection.expected_quality,
        "quality_interval": [low, high],
        "expected_cost_usd": selection.expected_cost_usd,
        "expected_latency_ms": selection.expected_latency_ms,
        "objective": decision.objective,
        "required_quality": decision.required_quality,
        "threshold": decision.threshold,
        "price": decision.price,
        "holdout": decision.holdout,
        "exploration": decision.exploration,
        "incumbent": decision.incumbent,
        "lowered": decision.lowered,
        "headline": decision.headline,
        "policy_version": decision.policy_version,
        "price_version": decision.price_version,
        "segmenter_version": decision.segmenter_version,
        "candidates": [_standing_dict(standing) for standing in decision.standings],
    }


def _standing_dict(standing: Standing) -> dict[str, Any]:
    return {
        "model_id": standing.candidate.model_id,
        "provider": standing.candidate.gateway,
        "eligible": standing.exclusion is None,
        "exclusion": standing.exclusion,
        "share": standing.share,
        "steps": dict(standing.steps),
        "expected_quality": standing.expected_quality,
        "quality_interval": [standing.quality_low, standing.quality_high],
        "expected_cost_usd": standing.expected_cost_usd,
        "expected_latency_ms": standing.expected_latency_ms,
        "n_ratings": standing.n_ratings,
    }
