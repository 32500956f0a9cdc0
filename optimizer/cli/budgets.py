"""`optimizer budgets`: how every spending limit stands, and when it opens again."""

from datetime import datetime

import click

from optimizer.cli.app import App, Verb
from optimizer.cli.output import short_usd, show_json, show_table
from optimizer.decision.limits import OTHER_TENANTS
from optimizer.domain import NANO_USD
from optimizer.ledger.limits import LimitStatus, limit_status, spending_limits

_NONE_SET = """\
No spending limit is set, so nothing is ever refused for its cost. To set limits, write into the configuration file

  timezone: UTC
  routing:
    cost_limits: {hourly_usd: 5, daily_usd: 50, monthly_usd: 1000}   # for everything together
    tenant_limits: {acme: {daily_usd: 10}, "*": {daily_usd: 1}}      # * is each tenant that is not named
  use_cases:
    chat: {cost_limits: {daily_usd: 20}}

and name the file by --config. Each limit may be set alone."""


@click.command(cls=Verb, epilog="optimizer budgets --config optimizer.yaml")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def budgets(app: App, *, as_json: bool) -> None:
    """Show every spending limit: what is spent and reserved in its present window, what is left, when it opens again.

    Windows are calendar hours, days and months of the `timezone` in the configuration.
    """
    limits, now = spending_limits(app.settings), app.now()
    found: list[LimitStatus] = []
    if limits:
        with app.ledger() as database:
            found = limit_status(database, limits, now)
    if as_json:
        show_json(
            {
                "at": now.isoformat(),
                "timezone": app.settings.timezone,
                "limits": [status.to_dict() for status in found],
            }
        )
    elif found:
        _show(found, now, app.settings.timezone)
    else:
        click.echo(_NONE_SET)


def _show(found: list[LimitStatus], now: datetime, timezone: str) -> None:
    columns = ("limit for", "per", "limit>", "spent>", "reserved>", "left>", "opens again")
    here = now.astimezone(found[0].opens_at.tzinfo)
    show_table(columns, map(_cells, found), title=f"Spending limits at {here:%Y-%m-%d %H:%M} ({timezone})")
    if any(status.scope.name == OTHER_TENANTS for status in found):
        click.echo("tenant * is each tenant without limits of its own of whom this window knows nothing yet.")


def _cells(status: LimitStatus) -> tuple[str, ...]:
    amounts = status.limit_nano_usd, status.spent_nano_usd, status.reserved_nano_usd, status.left_nano_usd
    dollars = (short_usd(amount / NANO_USD) for amount in amounts)
    return (str(status.scope), status.window, *dollars, f"{status.opens_at:%Y-%m-%d %H:%M}")
