"""From observe mode's notes to what the optimizer would have saved, had it been let."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from optimizer.analysis.counterfactual import SPREAD
from optimizer.analysis.intervals import Estimate, combined
from optimizer.analysis.parts import ObserveReport
from optimizer.ledger.outcomes import ObservedChoices

_FREEDOM = 4.0  # of the models' lengths, of which nobody knows more than how far they usually lie apart


def observed_by_use_case(choices: Iterable[ObservedChoices]) -> Mapping[str, ObserveReport]:
    """Return use case → what the optimizer would have chosen there by itself."""
    notes: dict[str, list[ObservedChoices]] = defaultdict(list)
    for choice in choices:
        notes[choice.decision.use_case].append(choice)
    return {use_case: observed(noted) for use_case, noted in notes.items()}


def observed(noted: Sequence[ObservedChoices]) -> ObserveReport:
    """Return what would have been chosen and saved, at expected costs.

    The limits are over sessions, and calls without one; the lengths of models that did not serve are as uncertain as
    models usually differ.
    """
    drawn = Counter[str]()
    sums = _Sums()
    for choice in noted:
        drawn[choice.drawn_model_id] += choice.n_calls
        sums.add(choice)
    low, high = sums.limits()
    return ObserveReport(
        drawn.total(), dict(drawn.most_common()), sums.n_unknown, sums.served_usd, sums.drawn_usd, low, high
    )


@dataclass
class _Sums:
    n_unknown: int = 0
    served_usd: float = 0.0
    drawn_usd: float = 0.0
    # Calls without a session that share a decision save alike: dollars and how often, instead of one by one.
    alone: list[tuple[float, int]] = field(default_factory=list)
    by_session: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls_of_session: Counter[str] = field(default_factory=Counter)
    unheard_usd: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, choice: ObservedChoices) -> None:
        standings, n = choice.decision.by_model, choice.n_calls
        served, other = (standings[m].expected_cost_usd for m in (choice.model_id, choice.drawn_model_id))
        if served is None or other is None:
            self.n_unknown += n
            return
        self.served_usd += n * served
        self.drawn_usd += n * other
        if choice.drawn_model_id != choice.model_id:
            self.unheard_usd[choice.drawn_model_id] += n * other
        if choice.session_id is None:
            self.alone.append((served - other, n))
        else:
            self.by_session[choice.session_id] += n * (served - other)
            self.calls_of_session[choice.session_id] += n

    def limits(self) -> tuple[float | None, float | None]:
        """Return the 95% limits of the dollars saved; None where fewer than two sessions or calls were noted."""
        usd = np.array([saved for saved, _ in self.alone] + list(self.by_session.values()))
        times = np.array([n for _, n in self.alone] + [1] * len(self.by_session), dtype=np.float64)
        calls = np.array([1.0] * len(self.alone) + [self.calls_of_session[name] for name in self.by_session])
        n_units = float(times.sum())
        if n_units < 2.0:
            return None, None
        total = self.served_usd - self.drawn_usd
        missed = usd - total / float(times @ calls) * calls
        error = math.sqrt(n_units / (n_units - 1.0) * float(times @ missed**2))
        doubt = SPREAD * math.sqrt(sum(each**2 for each in self.unheard_usd.values()))
        found = combined([Estimate(total, error, n_units - 1.0), Estimate(0.0, doubt, _FREEDOM)], [1.0, 1.0])
        return found.interval()[1:]
