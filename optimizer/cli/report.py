"""`optimizer report`: how far learning has come, what calls cost and saved, how good they were, and who served them."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import click

from optimizer.analysis.parts import Figures, ObserveReport, Report, UseCaseReport
from optimizer.analysis.report import make_report
from optimizer.analysis.savings import Saving
from optimizer.cli.app import App, Verb
from optimizer.cli.moments import moment_or_age
from optimizer.cli.output import console, reading, share, short_usd, show_json, show_table
from optimizer.errors import MissingExtra
from optimizer.ledger.health import WHOLE_GATEWAY


@click.command(cls=Verb, epilog="optimizer report --since 24h --use-case code_generation --html report.html")
@click.option("--since", callback=moment_or_age, metavar="24h|DATE", help="Calls from then on.  [default: all]")
@click.option("--until", callback=moment_or_age, metavar="24h|DATE", help="Calls before then.  [default: now]")
@click.option("--use-case", metavar="NAME", help="This use case only.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write one page, which loads nothing from elsewhere.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def report(
    app: App,
    since: datetime | None,
    until: datetime | None,
    use_case: str | None,
    *,
    html: Path | None,
    as_json: bool,
) -> None:
    """Report on the calls of a period: learning, cost, savings, quality, speed, and who served."""
    found = report_of(app, since, until, use_case)
    if html is not None:
        _write(html, _page(app, found))
    if as_json:
        show_json(found.to_dict())
    elif html is None:
        _show(found)


def _page(app: App, report: Report) -> str:
    try:
        from optimizer.analysis.figure_tables import read_figure_tables
        from optimizer.analysis.report_html import report_page
    except MissingExtra:
        raise MissingExtra("report --html", "analysis") from None
    with app.ledger() as database:
        tables = read_figure_tables(database, app.settings, app.catalog, report, source=_source(app))
    return report_page(report, tables)


def _source(app: App) -> str:
    return "environment" if app.config is None else str(app.config)


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"The report is in {path}.", err=True)


def report_of(app: App, since: datetime | None, until: datetime | None, use_case: str | None) -> Report:
    """Return the report on the calls of a period in the app's ledger."""
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since must be earlier than --until")
    with app.ledger() as database, reading("Reading served calls") as told:
        return make_report(
            database,
            app.settings,
            app.catalog,
            app.now(),
            since=since,
            until=until,
            use_case=use_case,
            source=_source(app),
            told=told,
        )


def _show(report: Report) -> None:
    _lines(report.headlines)
    _lines(
        f"Drift: {alarm.meaning}, since {alarm.since:%Y-%m-%d %H:%M} UTC; what it showed before weighs less."
        for alarm in report.alarms
    )
    if report.use_cases:
        _show_money(report)
        _show_quality(report)
        _show_models(report)
        for use_case in report.use_cases:
            _show_observed(use_case)
    _show_breakers(report)
    _lines(("", "Where to look next:", *(f"  {step}" for step in report.next_steps)))


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        console().print(line)


def _show_money(report: Report) -> None:
    columns = ("use case", "calls>", "cost>", "unknown\ncost>", "saved>", "saved, 95% interval>", "share>")
    rows = [(u.use_case, *_money(u.figures, u.saving)) for u in report.use_cases]
    rows.append(("total", *_money(report.totals, report.saving)))
    if report.judging is not None:
        rows.append(("of which judging", *_money(report.judging, None)[:3], "", "", ""))
    click.echo()
    show_table(columns, rows, title=_period("Cost", report))
    if report.saving is not None:
        unknown = report.saving.n_unknown
        _lines((f"Saved by {report.saving.method}.",))
        if unknown:
            _lines((f"{unknown:,} served calls are left out of the saving: a cost, price or length is unknown.",))
        if report.judging is not None:
            _lines((f"Judging cost {short_usd(report.judging.cost_usd)}, which is not taken off the saving.",))
    retired = dict.fromkeys(u.baseline for u in report.use_cases if u.baseline_retired and u.baseline)
    if retired:
        _lines((f"Retired baselines, which nobody could call today, at their last known price: {', '.join(retired)}.",))


def _period(title: str, report: Report) -> str:
    since = "the first call" if report.since is None else f"{report.since:%Y-%m-%d %H:%M} UTC"
    until = "now" if report.until is None else f"{report.until:%Y-%m-%d %H:%M} UTC"
    return f"{title}, from {since} until {until}"


def _money(figures: Figures, saving: Saving | None) -> tuple[str, ...]:
    counts = f"{figures.n_calls:,}", short_usd(figures.cost_usd), f"{figures.n_unknown_costs:,}"
    if saving is None:
        return (*counts, "unknown", "", "")
    low, high = saving.low_usd, saving.high_usd
    limits = "too few calls" if low is None or high is None else f"{short_usd(low)} to {short_usd(high)}"
    return (*counts, short_usd(saving.saved_usd), limits, share(saving.share))


def _show_quality(report: Report) -> None:
    columns = ("use case", "rated>", "mean>", "asked for", "failed>", "p50 / p95 ms>")
    rows = [
        (
            u.use_case,
            f"{u.figures.n_rated:,}",
            "" if u.figures.mean_rating is None else f"{u.figures.mean_rating:.3f}",
            _asked(u),
            f"{u.figures.n_failed_attempts:,}",
            f"{_ms(u.latency_p50_ms)} / {_ms(u.latency_p95_ms)}",
        )
        for u in report.use_cases
    ]
    click.echo()
    show_table(columns, rows, title="Quality and speed")


def _asked(use_case: UseCaseReport) -> str:
    if use_case.objective is None:
        return "not configured"
    amount = use_case.objective.removeprefix("average:").removeprefix("floor:")
    if not amount.endswith("%"):
        return use_case.objective
    now = "" if use_case.asked_quality is None else f": {use_case.asked_quality:.3f}"
    return f"{amount} of {use_case.incumbent}{now}"


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _show_models(report: Report) -> None:
    columns = ("model", "use case", "calls>", "share>", "cost>", "unknown\ncost>", "rated>", "mean>")
    rows = [
        (
            m.model_id,
            u.use_case,
            f"{m.figures.n_calls:,}",
            share(m.share),
            short_usd(m.figures.cost_usd),
            f"{m.figures.n_unknown_costs:,}",
            f"{m.figures.n_rated:,}",
            "" if m.figures.mean_rating is None else f"{m.figures.mean_rating:.3f}",
        )
        for u in report.use_cases
        for m in u.models
    ]
    click.echo()
    show_table(columns, rows, title="Who was chosen", n_whole=2)


def _show_breakers(report: Report) -> None:
    if not report.breakers:
        return
    rows = [
        (
            each.gateway,
            "all" if each.model_id == WHOLE_GATEWAY else each.model_id,
            each.state.replace("_", "-"),
            f"{each.changed_at:%Y-%m-%d %H:%M:%S}",
            f"{each.error_kind or 'unknown'}, {each.n_failures} in a row",
            _until(each.open_until, report.at),
        )
        for each in report.breakers
    ]
    click.echo()
    columns = ("gateway", "model", "breaker", "since (UTC)", "why", "until (UTC)")
    show_table(columns, rows, title="Kept away from, because they failed", n_whole=2)


def _until(until: datetime | None, now: datetime) -> str:
    if until is None:
        return "a trial call"
    return f"{until:%Y-%m-%d %H:%M:%S}{'; the next call tries it' if until <= now else ''}"


def _show_observed(use_case: UseCaseReport) -> None:
    observed = use_case.observed
    if observed is None:
        return
    rows = [(model, f"{n:,}", share(n / observed.n_calls)) for model, n in observed.choices.items()]
    click.echo()
    title = f"{use_case.use_case}, observe mode: what the optimizer's own choice would have been"
    show_table(("model", "calls>", "share>"), rows, title=title)
    _lines((would_have_saved(observed),))


def would_have_saved(observed: ObserveReport) -> str:
    """Return what the optimizer would have saved, in words."""
    saved, of = (short_usd(usd) for usd in (observed.would_have_saved_usd, observed.expected_cost_usd))
    if observed.low_usd is not None and observed.high_usd is not None:
        saved += f" ± {short_usd((observed.high_usd - observed.low_usd) / 2)} (95%)"
    unknown = f" {observed.n_unknown:,} calls of unknown expected cost are left out." if observed.n_unknown else ""
    return f"It would have saved {saved} of {of} at expected cost: an expectation, not a measurement.{unknown}"
