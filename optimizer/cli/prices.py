"""`optimizer prices` and `prices sync`: what models cost on a date, when that changes, and what lists say now."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

import click

from optimizer.catalog import Catalog
from optimizer.catalog.listed import PriceMove, price_move
from optimizer.cli.app import App, Verb, VerbGroup
from optimizer.cli.moments import moment
from optimizer.cli.output import show_json, show_table, usd
from optimizer.cli.price_lists import LISTS, PriceList, price_lists
from optimizer.domain import Gateway, Price
from optimizer.ledger.prices import append_prices
from optimizer.ledger.schema import open_database


@click.group(
    cls=VerbGroup,
    invoke_without_command=True,
    epilog="optimizer prices --at 2027-01-01 --model gemini-3.8-flash --model gpt-4o",
)
@click.option("--at", callback=moment, metavar="DATE", help="On this date or at this time, UTC.  [default: now]")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="This model only; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def prices(ctx: click.Context, at: datetime | None, models: tuple[str, ...], *, as_json: bool) -> None:
    """Show the prices in force on a date, in dollars per million tokens, as far as `prices sync` has seen them."""
    app: App = ctx.obj
    if ctx.invoked_subcommand is not None:
        if at is not None or models or as_json:
            raise click.UsageError(f"options of {ctx.invoked_subcommand} stand behind it")
        return
    at, catalog = at or app.now(), app.priced_catalog
    lines = [_line(catalog, key, at) for key in models or catalog.models]
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
        "openrouter_cached_usd_per_mtok": openrouter.cached_usd_per_mtok,
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


@prices.command(cls=Verb, epilog="optimizer prices sync --dry-run")
@click.option(
    "--gateway",
    "gateways",
    type=click.Choice(tuple(LISTS)),
    multiple=True,
    help="This gateway's list only.  [default: both]",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--force", is_flag=True, help="Believe what looks wrong, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def sync(ctx: click.Context, *, gateways: tuple[Gateway, ...], dry_run: bool, force: bool, as_json: bool) -> None:
    """Read the gateways' price lists, and keep what has changed in the ledger, from now on.

    No key is needed. Choices follow within a minute, in every process. What a list does not say stays as it was; a
    price that moved by more than 10×, or looks wrong otherwise, is not believed without --force. Exits with 1 where a
    list cannot be read; the other one counts all the same.
    """
    app: App = ctx.obj
    if not dry_run:
        open_database(app.database_url).close()  # a SQLite file that is not there is made
    catalog, at = app.priced_catalog, app.now()
    found = asyncio.run(price_lists(app.settings, catalog, gateways or tuple(LISTS), at, told=_tell))
    moves = [
        move
        for listed in found
        for key, price in listed.prices.items()
        if (move := price_move(catalog, key, listed.gateway, price, at))
    ]
    believed = [move for move in moves if force or move.doubt is None]
    if believed and not dry_run:
        _keep(app, believed, at)
    doubted = [move for move in moves if move not in believed]
    if as_json:
        show_json(_sync_json(found, believed, doubted, at, dry_run=dry_run))
    else:
        _show_sync(found, believed, at, dry_run=dry_run)
    _complain(doubted, found)
    ctx.exit(1 if any(listed.error for listed in found) else 0)


def _tell(gateway: Gateway, n_asked: int, n_models: int) -> None:
    if n_asked in (1, n_models) or n_asked % 20 == 0:
        click.echo(f"{LISTS[gateway]}: {n_asked} of {n_models} models", err=True)


def _keep(app: App, moves: Iterable[PriceMove], at: datetime) -> None:
    database = open_database(app.database_url)
    try:
        append_prices(database, [move.dated(at, LISTS[move.gateway]) for move in moves])
    finally:
        database.close()


def _complain(doubted: Iterable[PriceMove], found: Iterable[PriceList]) -> None:
    for move in doubted:
        line = f"{move.model_id} at {move.gateway}: not believed: {move.doubt}; --force believes it"
        click.echo(f"optimizer: {line}", err=True)
    for listed in found:
        if listed.error:
            click.echo(f"optimizer: error: {LISTS[listed.gateway]} cannot be read: {listed.error}", err=True)


def _show_sync(found: Sequence[PriceList], believed: Sequence[PriceMove], at: datetime, *, dry_run: bool) -> None:
    for listed in found:
        if not listed.error:
            click.echo(f"{LISTS[listed.gateway]}: {len(listed.prices):,} models of the catalogue are listed.")
    if not believed:
        click.echo("Nothing has changed.")
        return
    rows = [(m.model_id, m.gateway, what, old, new, LISTS[m.gateway]) for m in believed for what, old, new in _moved(m)]
    when = "would hold" if dry_run else "hold"
    click.echo()
    show_table(
        ("model", "gateway", "price", "old>", "new>", "source"),
        rows,
        title=f"Dollars per million tokens that {when} from {at:%Y-%m-%d %H:%M} UTC on",
    )


def _moved(move: PriceMove) -> list[tuple[str, str, str]]:
    """Return (what, old, new) of every amount that is another one now."""
    pairs = [(each.name, getattr(move.before, each.name), getattr(move.after, each.name)) for each in fields(Price)]
    return [(_what(name), usd(old), usd(new)) for name, old, new in pairs if old != new]


def _what(name: str) -> str:
    return name.removesuffix("_usd_per_mtok").replace("_", " ")


def _sync_json(
    found: Iterable[PriceList],
    believed: Iterable[PriceMove],
    doubted: Iterable[PriceMove],
    at: datetime,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    return {
        "at": at.isoformat(),
        "dry_run": dry_run,
        "lists": [
            {"gateway": x.gateway, "source": LISTS[x.gateway], "n_models": len(x.prices), "error": x.error}
            for x in found
        ],
        "changes": [_move_json(move) | {"from": at.isoformat()} for move in believed],
        "not_believed": [_move_json(move) for move in doubted],
    }


def _move_json(move: PriceMove) -> dict[str, Any]:
    return {
        "model": move.model_id,
        "gateway": move.gateway,
        "source": LISTS[move.gateway],
        "before": asdict(move.before),
        "after": asdict(move.after),
        "doubt": move.doubt,
    }
