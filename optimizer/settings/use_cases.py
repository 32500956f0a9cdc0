"""What is set per use case: who may serve it, what is asked of the choice, and how ratings are read."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from optimizer.domain import Family, Gateway, Objective, RewardRule, Share, parse_quality
from optimizer.errors import InvalidRequest
from optimizer.settings.sections import CostLimits
from optimizer.settings.values import Duration, Name, Names, OneOrMore, Section


def _objective(text: str) -> str:
    try:
        return str(Objective.parse(text))
    except InvalidRequest as error:
        raise ValueError(str(error).removeprefix("objective: ")) from None


def _required_quality(value: object) -> object:
    if value is None:
        return None
    try:
        parse_quality(str(value), field="required_quality")
    except InvalidRequest as error:
        raise ValueError(str(error).removeprefix("required_quality: ")) from None
    return str(value)


def _as_candidate(value: object) -> object:
    return {"model_id": value} if isinstance(value, str) else value


class CandidateSettings(Section):
    """A model of the catalogue that may serve; without a provider, the first gateway that has a key and offers it."""

    model_id: Name
    provider: Gateway | None = None


class Metrics(Section):
    """Which metric is the quality, which others may be rated, and which of them turn a failed call into 0.

    `labels` gives words their value, such as `good: 1.0`, so that feedback may be a word.
    """

    quality: Name = "quality"
    others: Names = ()
    gates: Names = ()
    labels: dict[Name, Share] = Field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that may be rated, the quality first."""
        return tuple(dict.fromkeys((self.quality, *self.others, *self.gates)))


class Judge(Section):
    """A model that rates a sample of the replies by a rubric, under a metric of the use case."""

    model: Name
    sample: Annotated[Share, Field(gt=0.0)] = 0.1
    rubric: Annotated[str, Field(min_length=1)]
    metric: Name | None = None


class UseCase(Section):
    """One kind of request. Shares are numbers in [0, 1].

    Attributes
    ----------
    incumbent : str or None
        Who would serve without us, always one of the candidates; the first of them where none is named.
    baseline : tuple of str
        What savings are measured against: the first; it may be retired.
    objective : str
        Such as `average:97%`; `required_quality`, where set, asks for `floor` instead.
    guard : float or None
        Share of calls that unproven models get under `floor`; None or 0 switches the guard off.
    segments : str or None
        File of a fitted segmenter, relative to the configuration file's folder.
    """

    candidates: Annotated[tuple[Annotated[CandidateSettings, BeforeValidator(_as_candidate)], ...], Field(min_length=1)]
    incumbent: Name | None = None
    baseline: OneOrMore = ()
    fallback_models: Names = ()
    objective: Annotated[str, AfterValidator(_objective)] = "average:97%"
    required_quality: Annotated[str | None, BeforeValidator(_required_quality)] = None
    quality_min: Share | None = None
    max_latency_ms: PositiveFloat | None = None
    max_tokens: PositiveInt | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    expected_output_tokens: PositiveInt | None = None
    half_life: Duration = timedelta(days=14)
    temperature_of_exploration: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    exploration: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.02
    guard: Annotated[float, Field(ge=0.0, lt=1.0)] | None = 0.1
    holdout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.02
    cost_limits: CostLimits = CostLimits()
    metrics: Metrics = Metrics()
    judge: Judge | None = None
    aliases: Names = ()
    family: Family | None = None
    segments: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_model(cls, given: object) -> object:
        """Read `model_id` with its `provider` as the only candidate."""
        if not isinstance(given, Mapping) or "model_id" not in given:
            return given
        if "candidates" in given:
            raise ValueError("give candidates or one model_id, not both")
        rest = {key: value for key, value in given.items() if key not in {"model_id", "provider"}}
        one = {key: given[key] for key in ("model_id", "provider") if key in given}
        return {**rest, "candidates": [one]}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        models = [candidate.model_id for candidate in self.candidates]
        if repeated := sorted({model for model in models if models.count(model) > 1}):
            raise ValueError(f"candidates names {', '.join(repeated)} twice")
        if self.judge is not None and (self.judge.metric or self.metrics.quality) not in self.metrics.names:
            raise ValueError(f"judge.metric must be one of metrics: {', '.join(self.metrics.names)}")
        return self

    @property
    def asks(self) -> Objective:
        """The objective in force: `floor` at the required quality where one is set."""
        return Objective.floor(self.required_quality) if self.required_quality else Objective.parse(self.objective)

    @property
    def reward_rule(self) -> RewardRule:
        """How ratings become what is learned."""
        return RewardRule(self.metrics.quality, self.metrics.gates)
