"""One decision: the distribution over a use case's candidates, where each of them stands, and what it was made by."""

from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import blake2b

from pydantic import TypeAdapter

from optimizer.domain import Candidate


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
        The quality asked for, as a number in [0, 1], where the objective has one; lowered where a limit sank a floor.
    price : float or None
        λ: quality given up per dollar saved; for `floor` only where a limit lowered it: λ of a budget of that size.
    holdout, exploration : float
        Share kept for the incumbent as an experiment, and share spread over all that is left in.
    output_tokens : int
        Completion tokens that had to fit into the window beside the prompt.
    headline : str
        What a person should know first, such as that no ratings exist yet.
    lowered : bool
        Whether a limit of spending made the choice worse than what was asked.
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
    lowered: bool = False

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
