"""A ledger opened at its last call: the report, what is believed, figures' tables, and one call worth explaining."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from optimizer.analysis.figure_tables import FigureTables, read_figure_tables
from optimizer.analysis.parts import Report, UseCaseReport
from optimizer.analysis.report import make_report
from optimizer.analysis.saved_calls import Saving
from optimizer.catalog import load_catalog
from optimizer.engine.snapshot import Snapshot, make_snapshot
from optimizer.errors import LedgerUnavailable
from optimizer.ledger.alarms import read_alarms
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader
from optimizer.ledger.prices import read_prices
from optimizer.ledger.schema import open_database
from optimizer.routes import effective_routes
from optimizer.settings import load_settings

LEDGER = "ORCHESTRA_LEDGER"
HOW_TO_MAKE_ONE = f"`optimizer demo` makes one; {LEDGER} names another"
_PLACES = ("optimizer.db", "../optimizer.db", "demo.db", "../demo.db")
_LOOKED_AT = 300  # calls among which one worth explaining is looked for


@dataclass(frozen=True)
class Book:
    """What a ledger held when it was read.

    Attributes
    ----------
    at : datetime
        Just after the last call, where beliefs and the report stand, however long ago that is.
    tables : FigureTables
        What each figure of that name is drawn from.
    example : StoredCall
        A late call that was drawn, went to another model than the incumbent, and was rated, if there is one.
    """

    where: str
    at: datetime
    report: Report
    snapshot: Snapshot
    tables: FigureTables
    example: StoredCall


def find_ledger(environ: Mapping[str, str]) -> str:
    """Return the ledger that the environment names, else optimizer.db or a demo's, here or one folder up."""
    if given := environ.get(LEDGER):
        return given
    return next((place for place in _PLACES if Path(place).exists()), _PLACES[0])


def read_book(ledger: str, config: str | Path | None = None) -> Book:
    """Return everything in a ledger, a SQLite file or a database URL, by the settings it was written under.

    Raises
    ------
    LedgerUnavailable
        If it does not exist or no call in it was ever answered; the message says how to make one.
    """
    path = None if config is None else Path(config)
    settings, catalog = load_settings(path, {}), load_catalog()
    database = opened(ledger)
    try:
        calls = recent_calls(database, limit=_LOOKED_AT)
        if not any(call.served for call in calls):
            raise LedgerUnavailable(f"{database.where} holds no calls; `optimizer demo` makes a day of them")
        at = calls[0].selection.decided_at + timedelta(seconds=1)
        routes = effective_routes(settings, catalog.with_prices(read_prices(database)), at)
        reader = EvidenceReader(database)
        reader.refresh()
        report = make_report(database, settings, catalog, at)
        return Book(
            database.where,
            at,
            report,
            make_snapshot(at, routes, reader.rows, alarms=[raised.alarm for raised in read_alarms(database)]),
            read_figure_tables(database, settings, catalog, report),
            max(calls, key=_worth_explaining),
        )
    finally:
        database.close()


def in_words(book: Book) -> str:
    """Return the three answers, in a line each: where the money went, who was chosen, and what is believed."""
    return "\n".join((_money(book.report), _choice(book), _belief(book)))


def opened(ledger: str) -> Database:
    """Return a ledger that exists already, to be closed by whoever asked; the error says how to make one."""
    try:
        return open_database(ledger, create=False)
    except LedgerUnavailable as error:
        raise LedgerUnavailable(f"{error} ({HOW_TO_MAKE_ONE})") from None


def _worth_explaining(call: StoredCall) -> tuple[bool, ...]:
    selection = call.selection
    return (
        selection.propensity is not None,
        selection.model_id != selection.decision.incumbent,
        bool(call.feedback),
    )


def _money(report: Report) -> str:
    figures, saving = report.totals, report.saving
    parts = sorted(report.use_cases, key=lambda part: -(part.figures.cost_usd or 0.0))
    first, cost = parts[0], figures.cost_usd or 0.0
    text = f"Money: {figures.n_calls:,} calls cost ${cost:,.2f}"
    if cost:
        text += f", {(first.figures.cost_usd or 0.0) / cost:.0%} of it for {first.use_case}"
    if saving is None or saving.share is None:
        return text + "."
    return text + f"; their baselines would have cost ${saving.baseline_usd:,.2f}, so {_share(saving)} was saved."


def _share(saving: Saving) -> str:
    if saving.share_low is None or saving.share_high is None:
        return f"{saving.share:.0%}"
    return f"{saving.share:.0%} (95%: {saving.share_low:.0%} to {saving.share_high:.0%})"


def _choice(book: Book) -> str:
    parts = book.report.use_cases
    moved = [part for part in parts if part.models and _most_chosen(part) != part.incumbent]
    text = f"Choice: {len(moved)} of {len(parts)} use cases were served mostly by another model than their incumbent"
    return (
        text + (": " + ", ".join(f"{part.use_case} by {_most_chosen(part)}" for part in moved) if moved else "") + "."
    )


def _most_chosen(part: UseCaseReport) -> str:
    return max(part.models, key=lambda model: model.share).model_id


def _belief(book: Book) -> str:
    belief, axes = book.snapshot.belief, book.snapshot.axes
    figures = book.report.totals
    known = [
        (name, str(axes.models[arm]))
        for name, route in book.snapshot.routes.by_use_case.items()
        for arm in book.snapshot.arms(route.candidates)
        if belief.n[book.snapshot.context(name, ""), arm] >= 20
    ]
    n_all = sum(len(route.candidates) for route in book.snapshot.routes.by_use_case.values())
    return (
        f"Belief: {figures.n_rated:,} rated calls tell much (20 ratings or more) of {len(known)} of {n_all} pairs of "
        "use case and model; the others rest on what models and use cases have in common, and on public benchmarks."
    )
