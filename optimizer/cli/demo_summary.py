"""What a demo's day came to, as plain JSON types: the ledger's own report, beside the truth that the world knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from optimizer.analysis.parts import Figures, ModelReport, UseCaseReport
from optimizer.analysis.report import make_report
from optimizer.analysis.savings import Saving
from optimizer.ledger.database import Database
from optimizer.ledger.totals import Totals, totals_between
from optimizer.settings import Settings
from optimizer.simulation.demo import STREAMED, Played
from optimizer.simulation.events import (
    CHEAPER,
    CHEAPER_BY,
    CHEAPER_FROM,
    LOCKED,
    LOCKED_FROM,
    LOCKED_UNTIL,
    SHAKY,
    SHAKY_FROM,
    SHAKY_RATE,
    SHAKY_UNTIL,
    WORSE,
    WORSE_FROM,
)
from optimizer.simulation.truth import Truth, truth_of
from optimizer.simulation.world import World

_WINDOW = timedelta(hours=3)
Json = dict[str, Any]


@dataclass(frozen=True)
class DayBook:
    """A finished day: the world, its calls with the truth, and the ledger that the optimizer kept of them."""

    world: World
    settings: Settings
    database: Database
    played: Sequence[Played]


def summary(book: DayBook) -> Json:
    """Return what the day came to."""
    world, end = book.world, book.world.start + timedelta(days=1)
    report = make_report(book.database, book.settings, world.catalog, end, until=end)
    saving, calls = report.saving, book.played
    use_cases = [_use_case(part, _truth(book, part.use_case)) for part in report.use_cases]
    interesting = _interesting(book)
    return {
        "simulation": True,
        "seed": world.seed,
        "day": world.start.date().isoformat(),
        "n_calls": len(calls),
        "n_ratings": sum(call.n_ratings for call in calls),
        "attempts": _attempts(calls),
        "use_cases": use_cases,
        "total": _figures(report.totals, saving, truth_of(world, calls)),
        "saving_method": "" if saving is None else saving.method,
        "events": [_price_cut(book), _outage(book), _lockout(book), _decline(book)],
        "explain_call_id": interesting.call_id,
        "explain_why": _why(interesting),
    }


def _attempts(calls: Sequence[Played]) -> Json:
    """Return how calls fared on the way: which attempts failed, and who answered in the end."""
    n_attempts, n_served = sum(call.n_attempts for call in calls), sum(call.model_id is not None for call in calls)
    late = [call for call in calls if call.model_id is not None and call.n_attempts > 1]
    return {
        "n_attempts": n_attempts,
        "n_failed": n_attempts - n_served,
        "n_retried": sum(call.degraded_by is None for call in late),
        "n_other_model": sum(call.degraded_by in ("failover", "fallback_model") for call in calls),
        "n_other_gateway": sum(call.degraded_by == "fallback_gateway" for call in calls),
        "n_unserved": len(calls) - n_served,
        "n_streamed": sum(call.arrival.use_case in STREAMED for call in calls),
    }


def _truth(book: DayBook, use_case: str) -> Truth:
    return truth_of(book.world, [call for call in book.played if call.arrival.use_case == use_case])


def _use_case(part: UseCaseReport, truth: Truth) -> Json:
    return {
        "use_case": part.use_case,
        "objective": part.objective,
        "incumbent": part.incumbent,
        "baseline": part.baseline,
        **_figures(part.figures, part.saving, truth),
        "share": {model.model_id: model.share for model in _by_share(part.models)},
    }


def _by_share(models: Sequence[ModelReport]) -> list[ModelReport]:
    return sorted(models, key=lambda model: (-model.share, model.model_id))


def _figures(figures: Figures, saving: Saving | None, truth: Truth) -> Json:
    return {
        "n_calls": figures.n_calls,
        "n_unserved": truth.n_unserved,
        "cost_usd": figures.cost_usd,
        "n_unknown_costs": figures.n_unknown_costs,
        "saved_usd": saving and saving.saved_usd,
        "saved_low_usd": saving and saving.low_usd,
        "saved_high_usd": saving and saving.high_usd,
        "saved_share": saving and saving.share,
        "n_rated": figures.n_rated,
        "mean_rating": figures.mean_rating,
        "true_quality": truth.quality,
        "true_incumbent_quality": truth.incumbent_quality,
        "floor": truth.floor,
        "floor_holds": truth.holds,
        "true_cost_usd": truth.paid_usd,
        "true_baseline_usd": truth.baseline_usd,
    }


def _price_cut(book: DayBook) -> Json:
    before, after = _shares(book, CHEAPER, [CHEAPER_FROM - _WINDOW, CHEAPER_FROM, CHEAPER_FROM + _WINDOW])
    what = {"event": "price cut", "model": CHEAPER, "at": _hour(CHEAPER_FROM), "cheaper_by": CHEAPER_BY}
    return what | {"share_before": before, "share_after": after, "window_hours": _WINDOW / timedelta(hours=1)}


def _outage(book: DayBook) -> Json:
    chosen = [total for total in _totals(book, SHAKY_FROM, SHAKY_UNTIL) if total.model_id == SHAKY]
    return {
        "event": "bad half hour",
        "model": SHAKY,
        "at": _hour(SHAKY_FROM),
        "failure_rate": SHAKY_RATE,
        "n_chosen": sum(total.n_calls for total in chosen),
        "n_failed_attempts": sum(total.n_failed_attempts for total in chosen),
    }


def _lockout(book: DayBook) -> Json:
    start, end = (book.world.start + edge for edge in (LOCKED_FROM, LOCKED_UNTIL))
    meant = [call for call in book.played if start <= call.at < end]
    return {
        "event": "key refused",
        "gateway": LOCKED,
        "at": _hour(LOCKED_FROM),
        "until": _hour(LOCKED_UNTIL),
        "n_calls": len(meant),
        "n_unserved": sum(call.model_id is None for call in meant),
        "n_elsewhere": sum(call.gateway not in (None, LOCKED) for call in meant),
        "n_failed": sum(call.n_attempts - (call.model_id is not None) for call in meant),
        "n_later": sum(call.gateway not in (None, LOCKED) and call.at >= end for call in book.played),
    }


def _decline(book: DayBook) -> Json:
    edges = [WORSE_FROM + i * _WINDOW for i in (-1, 0, 1, 2)]
    before, after, late = _shares(book, WORSE, edges)
    noon, six, midnight = WORSE_FROM - timedelta(hours=6), WORSE_FROM, timedelta(days=1)
    return {
        "event": "decline",
        "model": WORSE,
        "at": _hour(WORSE_FROM),
        "share_before": before,
        "share_after": after,
        "share_late": late,
        "window_hours": _WINDOW / timedelta(hours=1),
        "true_quality_before": _quality_of(book, WORSE, noon, six),
        "true_quality_after": _quality_of(book, WORSE, six, midnight),
        "n_rated_before": _n_rated(book, WORSE, timedelta(), six),
        "n_rated_after": _n_rated(book, WORSE, six, midnight),
    }


def _shares(book: DayBook, model: str, edges: Sequence[timedelta]) -> list[float | None]:
    """Return the share of calls that a model was chosen for between each two times, as if of the same mix of use cases.

    Only use cases count that had calls in every window and the model as a candidate; their calls in all of the
    windows are the mix. None where there is no such use case.
    """
    windows = [_totals(book, start, end) for start, end in pairwise(edges)]
    names = [
        name
        for name, route in book.world.routes.items()
        if model in {candidate.model_id for candidate in route.candidates}
        and all(_n_calls(window, name) for window in windows)
    ]
    mix = {name: sum(_n_calls(window, name) for window in windows) for name in names}
    if not names:
        return [None] * len(windows)
    return [
        sum(mix[name] * _n_calls(window, name, model) / _n_calls(window, name) for name in names) / sum(mix.values())
        for window in windows
    ]


def _n_calls(window: Sequence[Totals], use_case: str, model: str | None = None) -> int:
    return sum(t.n_calls for t in window if t.use_case == use_case and model in (None, t.model_id))


def _n_rated(book: DayBook, model: str, start: timedelta, end: timedelta) -> int:
    metric = {name: route.settings.metrics.quality for name, route in book.world.routes.items()}
    chosen = [total for total in _totals(book, start, end) if total.model_id == model]
    return sum(t.ratings[metric[t.use_case]].n_calls for t in chosen if metric[t.use_case] in t.ratings)


def _totals(book: DayBook, start: timedelta, end: timedelta) -> list[Totals]:
    midnight = book.world.start
    return totals_between(book.database, midnight + start, midnight + end)


def _quality_of(book: DayBook, model: str, start: timedelta, end: timedelta) -> float | None:
    midnight = book.world.start
    mine = [call for call in book.played if call.model_id == model and start <= call.at - midnight < end]
    return truth_of(book.world, mine).quality


def _hour(since_midnight: timedelta) -> str:
    minutes = since_midnight // timedelta(minutes=1)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _interesting(book: DayBook) -> Played:
    """Return a call worth explaining: drawn late, for another model than the incumbent, and rated; else any."""

    def worth(call: Played) -> tuple[bool, ...]:
        incumbent = book.world.routes[call.arrival.use_case].incumbent
        drawn = call.model_id not in (None, incumbent) and call.degraded_by is None
        return call.call_id is not None, call.arrival.turn == 0, drawn, call.n_ratings > 0

    return max(book.played, key=lambda call: (worth(call), call.at))


def _why(call: Played) -> str:
    what = f"a call of {call.arrival.use_case} at {call.at:%H:%M}, served by {call.model_id or 'nobody'}"
    return f"{what}, rated" if call.n_ratings else what
