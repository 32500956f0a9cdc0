"""Every figure's table, read from a ledger at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import polars as pl

from optimizer.analysis.accounts import BaselinePrices
from optimizer.analysis.figure_tables.buckets import Period, evidence_table
from optimizer.analysis.figure_tables.limits import Paced, spend_against_budget
from optimizer.analysis.figure_tables.quality import beliefs, calibration, frontier_of_models
from optimizer.analysis.figure_tables.saving import money, savings_build_up
from optimizer.analysis.figure_tables.traffic import latency, share_over_time
from optimizer.analysis.parts import Report
from optimizer.analysis.report import BEGINNING, END
from optimizer.catalog import Catalog
from optimizer.decision.pacing import LimitUse
from optimizer.engine.pacing import limit_uses, targets_of
from optimizer.engine.snapshot import make_snapshot
from optimizer.ledger.alarms import read_alarms
from optimizer.ledger.calls import rated_calls
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader
from optimizer.ledger.limits import limit_status, spending_limits
from optimizer.ledger.prices import read_prices
from optimizer.routes import Routes, effective_routes
from optimizer.settings import Settings

MOST_RATED = 10_000  # rated calls that calibration looks at, the latest ones


@dataclass(frozen=True)
class FigureTables:
    """A table for each figure of that name."""

    money: pl.DataFrame
    savings_build_up: pl.DataFrame
    spend_against_budget: pl.DataFrame
    share_over_time: pl.DataFrame
    latency: pl.DataFrame
    frontier: pl.DataFrame
    beliefs: pl.DataFrame
    calibration: pl.DataFrame


def read_figure_tables(
    database: Database, settings: Settings, catalog: Catalog, report: Report, *, source: str = "settings"
) -> FigureTables:
    """Return the tables of a report's period and use case; beliefs and limits stand where the report does."""
    catalog = catalog.with_prices(read_prices(database))
    routes = effective_routes(settings, catalog, report.at, source=source)
    reader = EvidenceReader(database)
    reader.refresh()
    everything = evidence_table(reader.rows)
    # Those that the report is on, without judges, whose calls are nobody's.
    evidence = everything.filter(pl.col("use_case").is_in([part.use_case for part in report.use_cases]))
    period = Period(report.since, report.until)
    prices = BaselinePrices(settings, catalog, routes)
    uses = limit_uses(limit_status(database, spending_limits(settings), report.at))
    alarms = [raised.alarm for raised in read_alarms(database)]
    free = make_snapshot(report.at, routes, reader.rows, alarms=alarms)
    snapshot = replace(free, targets=targets_of(free, reader.rows, uses))
    believed = beliefs(snapshot, evidence)
    return FigureTables(
        money(report),
        savings_build_up(evidence, report, prices.price, period),
        spend_against_budget(everything, _paced(report, uses, routes), report.at, ZoneInfo(settings.timezone)),
        share_over_time(evidence, {name: route.incumbent for name, route in routes.by_use_case.items()}, period),
        latency(evidence, period),
        frontier_of_models(believed),
        believed,
        _calibration(database, settings, report),
    )


def _paced(report: Report, uses: Iterable[LimitUse], routes: Routes) -> list[Paced]:
    expected = {limit.name: limit.expected_usd for limit in report.limits}
    half_lives = {name: route.settings.half_life for name, route in routes.by_use_case.items()}
    return [Paced(use, expected[use.name], half_lives) for use in uses if use.name in expected]


def _calibration(database: Database, settings: Settings, report: Report) -> pl.DataFrame:
    names = [part.use_case for part in report.use_cases]
    found = rated_calls(database, report.since or BEGINNING, report.until or END, use_cases=names, limit=MOST_RATED)
    return calibration(found, {name: settings.reward_rule(name) for name in names})
