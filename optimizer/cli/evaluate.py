"""`optimizer evaluate`: the dry run of another policy or configuration on the calls that a ledger holds."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import click

from optimizer.analysis.dry_run import DryRun, Figure, PolicyResult, dry_run
from optimizer.analysis.dry_run_log import COST, LATENCY, QUALITY
from optimizer.analysis.dry_run_policy import CONFIGURED, check_policy, read_policy
from optimizer.cli.app import App, Verb
from optimizer.cli.moments import moment_or_age
from optimizer.cli.output import console, progress, share, short_usd, show_json, show_table
from optimizer.domain import JUDGING
from optimizer.errors import InvalidRequest, UnknownUseCase
from optimizer.ledger.calls import StoredCall, calls_between
from optimizer.ledger.database import Database

_WEEK = timedelta(days=7)
_SHARES_SHOWN = 3


def _policies(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(check_policy(name) for name in names))
    except InvalidRequest as error:
        raise click.BadParameter(str(error).removeprefix("policy: ")) from None


@click.command(cls=Verb, epilog="optimizer evaluate --policy average:95% --policy fixed:gpt-4o-mini --since 14d")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    callback=_policies,
    metavar="NAME",
    help="fixed:<model>, random, incumbent, logged, configured (as --config says), or an objective for all use cases, "
    "such as average:95%, floor:0.9, quality, value:0.05 or budget:0.001; may be repeated.  [default: configured]",
)
@click.option("--since", callback=moment_or_age, metavar="24h|DATE", help="Calls from then on.  [default: 7d]")
@click.option("--until", callback=moment_or_age, metavar="24h|DATE", help="Calls before then.  [default: now]")
@click.option("--use-case", metavar="NAME", help="This use case only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def evaluate(
    app: App,
    policies: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    use_case: str | None,
    *,
    as_json: bool,
) -> None:
    """Estimate what another policy, or the settings in --config, would have cost and earned on logged calls.

    Nothing is called. Each policy says from which distribution it would have drawn each call; what that would have
    cost, how good and how fast it would have been, follows from what was really drawn, by the propensities (doubly
    robust). Where the log says too little of a policy, the estimate is refused, and why is said. Policies that learn
    know, hour by hour, what was known before.
    """
    end = until or app.now()
    start = since or end - _WEEK
    if start >= end:
        raise click.UsageError("--since must be earlier than --until")
    with app.ledger() as database:
        calls = _calls(app, database, start, end, use_case)
        wanted = {name: read_policy(database, app.settings, app.catalog, name) for name in policies or (CONFIGURED,)}
        rules = {name: each.reward_rule for name, each in app.settings.use_cases.items()}
        with progress("deciding", 2 * len(calls) * len(wanted)) as told:
            n_told = 0

            def one_more() -> None:
                nonlocal n_told
                n_told += 1
                told(n_told)

            found = dry_run(calls, wanted, rules, one_more)
    if as_json:
        show_json({"since": start.isoformat(), "until": end.isoformat(), **found.to_dict()})
    else:
        _show(found, start, end)


def _calls(app: App, database: Database, start: datetime, end: datetime, use_case: str | None) -> Sequence[StoredCall]:
    name = None if use_case is None else app.settings.names.get(use_case, use_case)
    calls = list(calls_between(database, start, end, use_case=name))
    if not calls and name is not None and name not in app.settings.use_cases and name != JUDGING:
        raise UnknownUseCase(name, tuple(app.settings.names))
    return calls


def _show(found: DryRun, start: datetime, end: datetime) -> None:
    if not found.happened:
        console().print("No call in this period was drawn, so nothing can be said of another policy.")
    else:
        columns = ("use case", "policy", "calls>", "cost>", "95%>", "quality>", "95%>", "ms>", "95%>", "worth>", "off>")
        rows = [_cells(each) for each in _by_use_case(found)]
        title = f"Dry run, {start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} UTC"
        show_table((*columns, "chosen"), rows, title=title, n_whole=2)
        for line in dict.fromkeys(_refusals(found)):
            console().print(line)
        console().print(
            "worth: as many calls of the policy itself would tell as much; off: its choices that could not be drawn. "
            "Quality of what happened is the mean of the ratings, which not every call got; estimates allow for that."
        )
    for why, n in sorted(found.left_out.items()):
        console().print(f"{n:,} calls left out: {why}.")


def _by_use_case(found: DryRun) -> list[PolicyResult]:
    """Return what happened, then every policy, in each use case."""
    return [
        each
        for happened in found.happened
        for each in (happened, *(row for row in found.policies if row.use_case == happened.use_case))
    ]


def _cells(row: PolicyResult) -> tuple[str, ...]:
    top = sorted(row.share.items(), key=lambda item: -(item[1].value or 0.0))[:_SHARES_SHOWN]
    chosen = ", ".join(f"{model} {figure.value or 0.0:.0%}" for model, figure in top)
    return (
        row.use_case,
        row.policy,
        f"{row.n_calls:,}",
        *_limits(row.total_usd, short_usd),
        *_limits(row.figures[QUALITY], lambda value: f"{value:.3f}"),
        *_limits(row.figures[LATENCY], lambda value: f"{value:,.0f}"),
        "" if row.ess is None else f"{row.ess:,.0f}",
        "" if row.off_support is None else share(row.off_support),
        chosen,
    )


def _limits(figure: Figure, written: Callable[[float], str]) -> tuple[str, str]:
    if figure.value is None:
        return "refused" if figure.refused else "unknown", ""
    if figure.low is None or figure.high is None:
        return written(figure.value), ""
    return written(figure.value), f"{written(figure.low)} to {written(figure.high)}"


def _refusals(found: DryRun) -> list[str]:
    """Return a line for each policy and use case that something is refused of, with the first reason."""
    names, lines = {COST: "cost", QUALITY: "quality", LATENCY: "latency"}, []
    for row in found.policies:
        refused = {names[measure]: figure.refused for measure, figure in row.figures.items() if figure.refused}
        if refused:
            lines.append(f"{row.use_case}, {row.policy}: no {', '.join(refused)}: {next(iter(refused.values()))}.")
    return lines
