"""The words of a report: how far learning has come, said first, and where to look next, said last."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from optimizer.analysis.parts import Figures, LimitReport, UseCaseReport
from optimizer.calling.checks import CHECKS
from optimizer.routes import Routes
from optimizer.settings import Flags

_WELL_RATED = 0.02  # share of calls; below, learning takes its time


def unrated(use_cases: Sequence[UseCaseReport], routes: Routes, n_learned: Mapping[str, int]) -> list[str]:
    """Return the use cases that nobody rates: no rating until now, no judge, and a quality that no free check tells.

    Parameters
    ----------
    n_learned : mapping of str to int
        Use case → ratings of its quality that its evidence holds.
    """
    found = []
    for use_case in use_cases:
        route = routes.by_use_case.get(use_case.use_case)
        if route is None or n_learned.get(use_case.use_case) or use_case.figures.n_rated:
            continue
        judge, metrics = route.settings.judge, route.settings.metrics
        is_judged = judge is not None and (judge.metric or metrics.quality) == metrics.quality
        if not is_judged and metrics.quality not in CHECKS:
            found.append(use_case.use_case)
    return found


def headlines(
    figures: Figures,
    use_cases: Sequence[UseCaseReport],
    flags: Flags,
    *,
    n_learned: float,
    unrated: Sequence[str] = (),
) -> Iterator[str]:
    """Yield what a person should know first.

    Parameters
    ----------
    n_learned : float
        Ratings that the evidence of these use cases holds.
    unrated : sequence of str
        Use cases without any rating source.
    """
    if not figures.n_calls:
        yield "No calls in this period."
    elif not n_learned and not figures.n_rated:
        yield f"0 ratings of {figures.n_calls:,} calls."
    elif not n_learned:
        yield f"{figures.n_rated:,} ratings wait: they count once it is recorded what came of their calls."
    else:
        yield f"{figures.n_rated:,} of {figures.n_calls:,} calls are rated."
    if unrated:
        yield (
            f"Nothing can be learned: no rating source for {', '.join(unrated)}; "
            "rate calls, set `judge`, or name a free check as quality."
        )
    if figures.n_reused:
        yield f"{figures.n_reused:,} calls got another call's reply (cache, in flight), which cost and taught nothing."
    if figures.n_failovers:
        yield f"{figures.n_failovers:,} calls were served by another model than the one chosen (failover)."
    if not flags.routing:
        yield "Routing is off (LLM_ROUTING_ENABLED): every call goes to its use case's incumbent."
    elif not flags.cost_optimization:
        yield "Observe mode (LLM_COST_OPTIMIZATION is off): incumbents serve, our own choices are only noted."
    for use_case in use_cases:
        if use_case.headline:
            yield f"{use_case.use_case}: {use_case.headline}."


def paces(limits: Iterable[LimitReport]) -> Iterator[str]:
    """Yield how every limit is kept."""
    for limit in limits:
        line = f"{limit.name[0].upper()}{limit.name[1:]}, {_usd(limit.limit_usd)}: {_usd(limit.spent_usd)} spent"
        if limit.expected_usd is not None:
            line += f", on pace for {_usd(limit.expected_usd)} by {limit.ends_at:%Y-%m-%d %H:%M %Z}"
        yield line + (f"; it holds back {', '.join(limit.held)}." if limit.held else ".")


def _usd(usd: float) -> str:
    if usd >= 1.0 or usd == 0.0:
        return f"${usd:,.2f}"
    return "$" + np.format_float_positional(usd, precision=2, unique=False, fractional=False, trim="-")


def next_steps(
    figures: Figures, use_cases: Sequence[UseCaseReport], routes: Routes, latest_call: str | None
) -> Iterator[str]:
    """Yield where to look next, the most useful first."""
    if latest_call is None:
        yield "optimizer select USE_CASE: make a first choice"
        return
    if figures.n_rated < _WELL_RATED * figures.n_calls or not figures.n_rated:
        yield f"optimizer rate {latest_call} 0.9: rate calls; people, checks and judges all count"
    if unserved := figures.n_calls - figures.n_served:
        yield f"{unserved:,} calls have no served attempt on record: tell what came of them with record()"
    if figures.n_unknown_costs:
        yield f"{figures.n_unknown_costs:,} attempts of unknown cost: give record() their usage or cost_usd"
    for use_case in use_cases:
        route = routes.by_use_case.get(use_case.use_case)
        if route is None:
            yield f"{use_case.use_case}: is in the ledger, but not in the configuration"
        elif route.retired:
            yield f"{use_case.use_case}: no longer served, left out: {', '.join(route.retired)}"
    yield f"optimizer explain {latest_call}: why the latest call went where it did"
    yield "optimizer config check: who may serve what, at which price"
