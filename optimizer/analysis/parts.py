"""The parts of a report, as data that a program can read: figures, models, use cases, and the whole."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from optimizer.analysis.savings import Saving
from optimizer.ledger.health import BreakerState


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of calls came to; None is unknown.

    Attributes
    ----------
    n_calls, n_served : int
        Decided, and known to be served.
    n_failed_attempts : int
    cost_usd : float or None
        Of the attempts of known cost; `n_unknown_costs` counts the others, which are in no sum.
    n_rated, mean_rating : int, float or None
        Calls whose quality was rated, before gates, and the mean.
    n_reused : int
        Calls that got another call's reply, at no cost.
    n_failovers : int
        Calls that another model served than the one chosen.
    """

    n_calls: int
    n_served: int
    n_failed_attempts: int
    cost_usd: float | None
    n_unknown_costs: int
    n_rated: int
    mean_rating: float | None
    n_reused: int = 0
    n_failovers: int = 0


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model's part in a use case: the calls it was chosen for, and their share."""

    model_id: str
    share: float
    figures: Figures


@dataclass(frozen=True, slots=True)
class ObserveReport:
    """What the optimizer would have chosen by itself while observe mode let the incumbent serve.

    Attributes
    ----------
    choices : mapping of str to int
        Model → calls it was drawn for.
    n_unknown : int
        Calls left out of the sums, because the expected cost of one of the two models is unknown.
    expected_cost_usd, chosen_cost_usd : float
        Expected cost of those who served, and of those who were drawn.
    low_usd, high_usd : float or None
        95% limits of what would have been saved; None where too few calls were noted.
    """

    n_calls: int
    choices: Mapping[str, int]
    n_unknown: int
    expected_cost_usd: float
    chosen_cost_usd: float
    low_usd: float | None = None
    high_usd: float | None = None

    @property
    def would_have_saved_usd(self) -> float:
        """Dollars, at expected costs: what the models drawn would really have cost, nobody knows."""
        return self.expected_cost_usd - self.chosen_cost_usd


@dataclass(frozen=True, slots=True)
class AlarmReport:
    """A model that is not what it was before `since`; `meaning` says how, in words."""

    model_id: str
    since: datetime
    subject: str
    direction: str
    meaning: str


@dataclass(frozen=True, slots=True)
class UseCaseReport:
    """One use case; what the settings say of it is None where they have it no more.

    Attributes
    ----------
    headline : str
        How far learning has come; empty where it is under way.
    baseline_retired : bool
        Whether the baseline is served no more, so that its price is the last one known.
    asked_quality : float or None
        The floor as a number; of a relative one, against the incumbent's mean rating in this period.
    """

    use_case: str
    headline: str
    objective: str | None
    incumbent: str | None
    baseline: str | None
    baseline_retired: bool
    figures: Figures
    asked_quality: float | None
    saving: Saving | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    models: tuple[ModelReport, ...]
    observed: ObserveReport | None


@dataclass(frozen=True, slots=True)
class LimitReport:
    """A limit of spending in its present window, and how it is kept.

    Attributes
    ----------
    expected_usd : float or None
        What will be spent when the window ends, as choices are made now; None where no call is known to go by.
    held : tuple of str
        Use cases whose choices it makes worse than asked.
    use_case : str or None
        Whose limit it is; None is the limit over everything.
    """

    name: str
    limit_usd: float
    spent_usd: float
    ends_at: datetime
    expected_usd: float | None
    held: tuple[str, ...]
    use_case: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, with the lines that a person should read first and last.

    Attributes
    ----------
    totals : Figures
        Of all calls, those of judges included.
    judging : Figures or None
        Of the calls of judges, which are in no use case's figures and in no saving; None where there are none.
    breakers : tuple of BreakerState
        Those that are not closed.
    """

    at: datetime
    since: datetime | None
    until: datetime | None
    headlines: tuple[str, ...]
    totals: Figures
    saving: Saving | None
    use_cases: tuple[UseCaseReport, ...]
    next_steps: tuple[str, ...]
    limits: tuple[LimitReport, ...] = ()
    judging: Figures | None = None
    breakers: tuple[BreakerState, ...] = ()
    alarms: tuple[AlarmReport, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "at": self.at.isoformat(),
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "headlines": list(self.headlines),
            "totals": asdict(self.totals),
            "saving": self.saving and asdict(self.saving),
            "use_cases": [_use_case_dict(use_case) for use_case in self.use_cases],
            "next_steps": list(self.next_steps),
            "judging": self.judging and asdict(self.judging),
            "breakers": [_breaker_dict(state) for state in self.breakers],
            "limits": [asdict(limit) | {"ends_at": limit.ends_at.isoformat()} for limit in self.limits],
            "alarms": [asdict(alarm) | {"since": alarm.since.isoformat()} for alarm in self.alarms],
        }


def _breaker_dict(state: BreakerState) -> dict[str, Any]:
    until = state.open_until
    return asdict(state) | {"changed_at": state.changed_at.isoformat(), "open_until": until and until.isoformat()}


def _use_case_dict(use_case: UseCaseReport) -> dict[str, Any]:
    found = asdict(use_case)
    found |= found.pop("figures")
    found["models"] = [model | model.pop("figures") for model in found["models"]]
    if use_case.observed is not None:
        found["observed"]["would_have_saved_usd"] = use_case.observed.would_have_saved_usd
    return found
