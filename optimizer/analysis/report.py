"""The report: how far learning has come, what calls cost and saved, how good they were, who served; as data."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from optimizer.analysis.accounts import Accounts, BaselinePrices, read_accounts
from optimizer.analysis.advice import headlines, next_steps, paces, unrated
from optimizer.analysis.observed import observed_by_use_case
from optimizer.analysis.parts import (
    AlarmReport,
    Figures,
    LimitReport,
    ModelReport,
    ObserveReport,
    Report,
    UseCaseReport,
)
from optimizer.catalog import Catalog
from optimizer.decision.evidence import LATENCY, QUALITY, TTFT
from optimizer.decision.pacing import LimitUse
from optimizer.domain import JUDGING, NANO_USD
from optimizer.engine.deciding import headline
from optimizer.engine.pacing import limit_uses, outlooks, targets_of
from optimizer.engine.snapshot import chain_of, make_snapshot
from optimizer.errors import UnknownUseCase
from optimizer.ledger.alarms import RaisedAlarm, read_alarms
from optimizer.ledger.calls import recent_calls
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import read_evidence
from optimizer.ledger.health import read_health
from optimizer.ledger.limits import limit_status, spending_limits
from optimizer.ledger.outcomes import observed_between
from optimizer.ledger.prices import read_prices
from optimizer.ledger.served import Told, unheard
from optimizer.ledger.totals import Totals, totals_between
from optimizer.routes import Route, Routes, effective_routes
from optimizer.settings import Settings

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 50  # calls among which the latest one of a user is looked for
END = datetime(9999, 1, 1, tzinfo=UTC)


def make_report(
    database: Database,
    settings: Settings,
    catalog: Catalog,
    now: datetime,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    use_case: str | None = None,
    source: str = "settings",
    told: Told = unheard,
) -> Report:
    """Return the report on calls decided in [since, until), of one use case or alias or of all.

    Parameters
    ----------
    told : callable
        Hears how many served calls were read, now and then.

    Raises
    ------
    UnknownUseCase
        If neither the settings nor the ledger know it.
    """
    name = None if use_case is None else settings.names.get(use_case, use_case)
    catalog = catalog.with_prices(read_prices(database))
    start, end = since or BEGINNING, until or END
    routes = effective_routes(settings, catalog, now, source=source)
    prices = BaselinePrices(settings, catalog, routes)
    with ThreadPoolExecutor(1) as beside:  # the database's own sums take as long again, and leave a core free
        adding = beside.submit(totals_between, database, start, end, use_case=name)
        accounts = read_accounts(database, prices, start, end, use_case=name, told=told)
        totals = adding.result()
    if name is not None and name not in settings.use_cases and not totals:
        raise UnknownUseCase(name, tuple(settings.names))
    observed = observed_by_use_case(observed_between(database, start, end, use_case=name))
    alarms = read_alarms(database)
    uses = limit_uses(limit_status(database, spending_limits(settings), now))
    learned = _learned(database, routes, uses, now, alarms)
    by_use_case: dict[str, list[Totals]] = defaultdict(list)
    for each in totals:
        by_use_case[each.use_case].append(each)
    judging = [] if name is not None or JUDGING in routes.by_use_case else by_use_case.pop(JUDGING, [])
    parts = tuple(
        _use_case(key, rows, routes.by_use_case.get(key), learned.headlines.get(key, ""), accounts, observed.get(key))
        for key, rows in by_use_case.items()
    )
    metrics = {key: _metric(routes.by_use_case.get(key)) for key in (*by_use_case, JUDGING)}
    users = _figures((t for rows in by_use_case.values() for t in rows), metrics)
    call_id = _latest(database, name, since, by_use_case)
    nobody_rates = unrated(parts, routes, learned.n_ratings)
    limits = tuple(limit for limit in learned.limits if name is None or limit.use_case in (None, name))
    n_learned = sum(n for key, n in learned.n_ratings.items() if name in (None, key))
    return Report(
        now,
        since,
        until,
        (*headlines(users, parts, settings.flags, n_learned=n_learned, unrated=nobody_rates), *paces(limits)),
        _figures(totals, metrics),
        accounts.saving(),
        parts,
        tuple(next_steps(users, parts, routes, call_id)),
        limits,
        _figures(judging, metrics) if judging else None,
        tuple(state for state in read_health(database) if state.state != "closed"),
        _alarms(alarms, start, end, None if name is None else routes.by_use_case.get(name)),
    )


def _latest(database: Database, use_case: str | None, since: datetime | None, counted: Container[str]) -> str | None:
    """Return the id of the latest call that is a user's."""
    latest = recent_calls(database, use_case=use_case, since=since, limit=_LATEST)
    return next((call.selection.call_id for call in latest if call.selection.use_case in counted), None)


def _alarms(
    raised: Iterable[RaisedAlarm], start: datetime, end: datetime, route: Route | None
) -> tuple[AlarmReport, ...]:
    """Return the alarms raised in a period, of the candidates of a route where one is asked for."""
    models = None if route is None else {candidate.model_id for candidate in route.candidates}
    return tuple(
        AlarmReport(each.alarm.model_id, each.since, each.alarm.subject, each.alarm.direction, str(each.alarm))
        for each in raised
        if start <= each.raised_at < end and (models is None or each.alarm.model_id in models)
    )


@dataclass(frozen=True)
class _Learned:
    """How far learning has come: use case → its headline, and ratings that count; and how limits are kept by it."""

    headlines: Mapping[str, str]
    n_ratings: Mapping[str, int]
    limits: tuple[LimitReport, ...]


def _learned(
    database: Database, routes: Routes, uses: Sequence[LimitUse], now: datetime, alarms: Iterable[RaisedAlarm]
) -> _Learned:
    rows = read_evidence(database, without=(LATENCY, TTFT))  # most rows, and none of what is said here
    free = make_snapshot(now, routes, rows, alarms=[raised.alarm for raised in alarms])
    snapshot = replace(free, targets=targets_of(free, rows, uses))
    n_ratings: Counter[str] = Counter()
    for key, sums in rows.items():
        is_rating = key.measure.startswith(QUALITY)
        if is_rating and key.measure == QUALITY + _metric(routes.by_use_case.get(key.use_case)):
            n_ratings[key.use_case] += sums.n
    lines = {
        name: headline(snapshot, route, snapshot.settle(route, chain_of(route)))
        for name, route in routes.by_use_case.items()
    }
    limits = tuple(
        LimitReport(o.use.name, o.use.limit_usd, o.use.spent_usd, o.use.ends_at, o.expected_usd, o.held, o.use.use_case)
        for o in outlooks(snapshot, rows, uses)
    )
    return _Learned(lines, n_ratings, limits)


def _use_case(
    name: str,
    totals: Sequence[Totals],
    route: Route | None,
    first_line: str,
    accounts: Accounts,
    observed: ObserveReport | None,
) -> UseCaseReport:
    metric = {name: _metric(route)}
    figures = _figures(totals, metric)
    models = tuple(ModelReport(t.model_id, t.n_calls / figures.n_calls, _figures([t], metric)) for t in totals)
    latencies = accounts.latencies.get(name, np.empty(0))
    p50, p95 = (float(ms) for ms in np.percentile(latencies, (50, 95))) if latencies.size else (None, None)
    return UseCaseReport(
        name,
        first_line,
        None if route is None else str(route.objective),
        None if route is None else route.incumbent,
        None if route is None else route.baseline,
        route is not None and route.baseline in accounts.retired,
        figures,
        None if route is None else _asked(route, models),
        accounts.saving({name}),
        p50,
        p95,
        models,
        observed,
    )


def _metric(route: Route | None) -> str:
    return "quality" if route is None else route.settings.metrics.quality


def _figures(totals: Iterable[Totals], metrics: Mapping[str, str]) -> Figures:
    totals = list(totals)
    ratings = [t.ratings[metrics[t.use_case]] for t in totals if metrics[t.use_case] in t.ratings]
    n_rated = sum(rating.n_calls for rating in ratings)
    n_known = sum(t.n_known_costs for t in totals)
    return Figures(
        sum(t.n_calls for t in totals),
        sum(t.n_served for t in totals),
        sum(t.n_failed_attempts for t in totals),
        sum(t.cost_nano_usd for t in totals) / NANO_USD if n_known else None,
        sum(t.n_unknown_costs for t in totals),
        n_rated,
        sum(rating.n_calls * rating.mean for rating in ratings) / n_rated if n_rated else None,
        sum(t.n_reused for t in totals),
        sum(t.n_failovers for t in totals),
    )


def _asked(route: Route, models: Iterable[ModelReport]) -> float | None:
    objective = route.objective
    if objective.kind not in ("floor", "average") or objective.amount is None:
        return None
    if not objective.relative:
        return objective.amount
    means = {model.model_id: model.figures.mean_rating for model in models}
    mean = means.get(route.incumbent)
    return None if mean is None else objective.amount * mean
