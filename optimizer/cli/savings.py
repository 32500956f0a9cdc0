"""`optimizer savings`: dollars saved against the baselines, with limits, and how each figure was found."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from optimizer.analysis.parts import Report
from optimizer.analysis.savings import Saving
from optimizer.cli.app import App, Verb
from optimizer.cli.moments import moment_or_age
from optimizer.cli.output import console, share, short_usd, show_json, show_table
from optimizer.cli.report import report_of, would_have_saved

Json = dict[str, Any]


@click.command(cls=Verb, epilog="optimizer savings --since 30d")
@click.option("--since", callback=moment_or_age, metavar="24h|DATE", help="Calls from then on.  [default: all]")
@click.option("--until", callback=moment_or_age, metavar="24h|DATE", help="Calls before then.  [default: now]")
@click.option("--use-case", metavar="NAME", help="This use case only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def savings(app: App, since: datetime | None, until: datetime | None, use_case: str | None, *, as_json: bool) -> None:
    """Say what was saved against each use case's baseline, with 95% limits and the method.

    A holdout makes it an experiment where the incumbent is the baseline; else the baseline's own draws are used, where
    they are many enough; else each call is priced at the baseline's price list. In observe mode: what would have been
    saved. `optimizer report` shows the same numbers.
    """
    found = report_of(app, since, until, use_case)
    if as_json:
        show_json(_as_dict(found))
    else:
        _show(found)


def _as_dict(report: Report) -> Json:
    whole = report.to_dict()
    kept = ("use_case", "baseline", "baseline_retired", "incumbent", "saving", "observed")
    judging = report.judging
    return {
        **{name: whole[name] for name in ("at", "since", "until", "saving")},
        "use_cases": [{name: part[name] for name in kept} for part in whole["use_cases"]],
        "judging_cost_usd": None if judging is None else judging.cost_usd,
        "n_reused": report.totals.n_reused,
    }


def _show(report: Report) -> None:
    if report.saving is None:
        console().print("No call in this period has a known cost and a baseline to compare it with.")
    else:
        columns = ("use case", "baseline", "calls>", "paid>", "saved>", "saved, 95% interval>", "share>", "method")
        rows = [(u.use_case, u.baseline or "", *_cells(u.saving)) for u in report.use_cases if u.saving is not None]
        show_table(columns, [*rows, ("total", "", *_cells(report.saving))], title="Saved against the baseline")
    for line in _lines(report):
        console().print(line)


def _cells(saving: Saving) -> tuple[str, ...]:
    low, high = saving.low_usd, saving.high_usd
    limits = "too few calls" if low is None or high is None else f"{short_usd(low)} to {short_usd(high)}"
    return (
        f"{saving.n_calls:,}",
        short_usd(saving.paid_usd),
        short_usd(saving.saved_usd),
        limits,
        share(saving.share),
        saving.kind,
    )


def _lines(report: Report) -> Iterator[str]:
    for use_case in report.use_cases:
        if use_case.saving is not None:
            yield f"{use_case.use_case}: {use_case.saving.method}."
    if report.saving is not None and report.saving.n_unknown:
        yield f"{report.saving.n_unknown:,} served calls are left out: a cost, price or length is unknown."
    retired = dict.fromkeys(u.baseline for u in report.use_cases if u.baseline_retired and u.baseline)
    if retired:
        yield f"Retired baselines, which nobody could call today, at their last known price: {', '.join(retired)}."
    if report.judging is not None:
        yield f"Judging cost {short_usd(report.judging.cost_usd)}, which is not taken off the saving."
    if report.totals.n_reused:
        yield f"{report.totals.n_reused:,} calls got another call's reply at no cost, and are in no saving."
    for use_case in report.use_cases:
        if use_case.observed is not None:
            yield f"{use_case.use_case}, observe mode: {would_have_saved(use_case.observed)}"
