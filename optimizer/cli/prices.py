"""`optimizer prices`: what every model costs on a date, and when that is known to change."""

from datetime import UTC, datetime
from typing import Any

import click

from optimizer.catalog import Catalog
from optimizer.cli.app import App, Verb
from optimizer.cli.moments import moment
from optimizer.cli.output import show_json, show_table, usd


@click.command(cls=Verb, epilog="optimizer prices --at 2027-01-01 --model gemini-3.8-flash --model gpt-4o")
@click.option("--at", callback=moment, metavar="DATE", help="On this date or at this time, UTC.  [default: now]")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="This model only; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def prices(app: App, at: datetime | None, models: tuple[str, ...], *, as_json: bool) -> None:
    """Show the prices in force on a date, in dollars per million tokens."""
    at = at or app.now()
    lines = [_line(app.catalog, key, at) for key in models or app.catalog.models]
    if as_json:
        show_json({"at": at.isoformat(), "prices": lines})
        return
    show_table(
        ("model", "status", "input>", "output>", "cached>", "long context", "when", "next change", "OpenRouter>"),
        [_cells(line) for line in lines],
        title=f"Dollars per million tokens, input / output, in force on {at:%Y-%m-%d %H:%M} UTC",
    )


def _line(catalog: Catalog, key: str, at: datetime) -> dict[str, Any]:
    """Return all that is to be told of one model, as plain JSON types."""
    model, price = catalog[key], catalog.price(key, "portkey", at)
    openrouter = catalog.price(key, "openrouter", at)
    return {
        "model": key,
        "vendor": model.vendor,
        "status": model.status if model.servable(at) else "retired",
        "retires_on": None if model.retires_on is None else model.retires_on.isoformat(),
        "input_usd_per_mtok": price.input_usd_per_mtok,
        "output_usd_per_mtok": price.output_usd_per_mtok,
        "cached_usd_per_mtok": price.cached_usd_per_mtok,
        "long_over_tokens": price.long_over_tokens,
        "long_input_usd_per_mtok": price.long_input_usd_per_mtok,
        "long_output_usd_per_mtok": price.long_output_usd_per_mtok,
        "condition": catalog.price_condition(key, at),
        "next_change": _next_change(catalog, key, at),
        "openrouter_input_usd_per_mtok": openrouter.input_usd_per_mtok,
        "openrouter_output_usd_per_mtok": openrouter.output_usd_per_mtok,
        "prices_as_of": model.prices_as_of,
        "confidence": model.confidence,
    }


def _next_change(catalog: Catalog, key: str, at: datetime) -> dict[str, Any] | None:
    day = catalog.next_price_change(key, at)
    if day is None:
        return None
    price = catalog.price(key, "portkey", datetime(day.year, day.month, day.day, tzinfo=UTC))
    return {
        "on": day.isoformat(),
        "input_usd_per_mtok": price.input_usd_per_mtok,
        "output_usd_per_mtok": price.output_usd_per_mtok,
    }


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    over, change = line["long_over_tokens"], line["next_change"]
    return (
        line["model"],
        _status(line),
        usd(line["input_usd_per_mtok"]),
        usd(line["output_usd_per_mtok"]),
        "" if line["cached_usd_per_mtok"] is None else usd(line["cached_usd_per_mtok"]),
        f"{_pair(line, 'long_')} over {over:,}" if over else "",
        line["condition"] or "",
        f"{change['on']}: {_pair(change)}" if change else "",
        _pair(line, "openrouter_"),
    )


def _pair(line: dict[str, Any], which: str = "") -> str:
    dollars = line[f"{which}input_usd_per_mtok"], line[f"{which}output_usd_per_mtok"]
    return "unknown" if None in dollars else " / ".join(map(usd, dollars))


def _status(line: dict[str, Any]) -> str:
    if line["retires_on"] is None:
        return str(line["status"])
    return f"{line['status']} {'since' if line['status'] == 'retired' else 'until'} {line['retires_on']}"
