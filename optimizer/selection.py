"""What a decision came to: the distribution over candidates, one draw from it, and why, in words."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from hashlib import blake2b
from typing import Any

from pydantic import TypeAdapter

from optimizer.domain import Candidate, Request


@dataclass(frozen=True)
class Standing:
    """One candidate in one decision: what was believed of it and what each step did to its share.

    Attributes
    ----------
    exclusion : str or None
        Why the candidate was not eligible, in words; None where it was.
    expected_quality, quality_low, quality_high : float or None
        Posterior mean and 95% interval (at full spread), in [0, 1].
    expected_cost_usd, expected_latency_ms : float or None
        Of one call; None is unknown.
    n_ratings : float
        Faded ratings behind the belief of this cell.
    steps : tuple of (str, float)
        The candidate's share after each step of the chain, in order; the last one is its propensity.
    """

    candidate: Candidate
    exclusion: str | None = None
    expected_quality: float | None = None
    quality_low: float | None = None
    quality_high: float | None = None
    expected_cost_usd: float | None = None
    expected_latency_ms: float | None = None
    n_ratings: float = 0.0
    steps: tuple[tuple[str, float], ...] = ()

    @property
    def share(self) -> float:
        """Probability that a draw takes this candidate."""
        return self.steps[-1][1] if self.steps else 0.0


@dataclass(frozen=True)
class Decision:
    """The distribution over one use case's candidates, shared by all requests that are alike.

    Attributes
    ----------
    threshold : float or None
        The quality asked for, as a number in [0, 1], where the objective has one.
    price : float or None
        λ: quality given up per dollar saved; None for `floor`.
    holdout, exploration : float
        Share kept for the incumbent as an experiment, and share spread over all that is left in.
    output_tokens : int
        Completion tokens that had to fit into the window beside the prompt.
    headline : str
        What a person should know first, such as that no ratings exist yet.
    """

    use_case: str
    segment: str
    objective: str
    required_quality: str | None
    standings: tuple[Standing, ...]
    incumbent: str
    threshold: float | None = None
    price: float | None = None
    holdout: float = 0.0
    exploration: float = 0.0
    policy_version: str = ""
    price_version: str = ""
    segmenter_version: str = ""
    headline: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    fallback_models: tuple[str, ...] = ()
    output_tokens: int = 0

    @cached_property
    def distribution(self) -> dict[str, float]:
        """Model → probability, of every eligible candidate; sums to 1."""
        return {s.candidate.model_id: s.share for s in self.standings if s.exclusion is None}

    @cached_property
    def exclusions(self) -> dict[str, str]:
        """Model → why it was not eligible."""
        return {s.candidate.model_id: s.exclusion for s in self.standings if s.exclusion is not None}

    @cached_property
    def by_model(self) -> dict[str, Standing]:
        """Model → its standing."""
        return {s.candidate.model_id: s for s in self.standings}

    @cached_property
    def json(self) -> str:
        """Everything as JSON text, made once however many calls share the decision; `parse` reads it back."""
        return _decisions().dump_json(self, exclude_defaults=True).decode()

    @cached_property
    def digest(self) -> str:
        """Name of this very decision, 32 hexadecimal characters of its JSON's hash."""
        return blake2b(self.json.encode(), digest_size=16).hexdigest()

    @classmethod
    def parse(cls, text: str) -> "Decision":
        """Return the decision that `json` wrote."""
        return _decisions().validate_json(text)


@cache
def _decisions() -> TypeAdapter[Decision]:
    return TypeAdapter(Decision)


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
        `pin`, `rule:<name>`, `session`, `flag:routing`, `observe`, `cap` or `failover`.
    held_out : bool
        Whether the call belongs to the holdout, which the incumbent serves.
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

    def explain(self) -> str:
        """Return, in plain words, why this model was chosen."""
        return _explanation(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return _as_dict(self)


def _explanation(selection: Selection) -> str:
    """Return the paragraph and the table that a person reads."""
    return selection.model_id  # replaced once the decision is whole


def _as_dict(selection: Selection) -> dict[str, Any]:
    return {"call_id": selection.call_id}
