"""`optimizer config check`: says whether the configuration is right, and what routes it leads to."""

from pathlib import Path
from typing import Any

import click

from optimizer.catalog import Catalog
from optimizer.cli.app import App, Verb, VerbGroup
from optimizer.cli.output import console, show_json, show_table, usd
from optimizer.domain import Candidate
from optimizer.errors import InvalidSettings
from optimizer.routes import Route, Routes


@click.group(cls=VerbGroup, epilog="optimizer config check optimizer.yaml")
def config() -> None:
    """Check the configuration."""


@config.command(cls=Verb, epilog="optimizer config check optimizer.yaml")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(ctx: click.Context, file: Path | None, *, as_json: bool) -> None:
    """Check FILE and show the routes that it leads to.

    Without FILE, `--config` and the environment are checked. Every problem is printed with its key, one a line.
    """
    app: App = ctx.obj
    app.config = file or app.config
    try:
        routes = app.routes()
    except InvalidSettings as error:
        _show_problems(error, as_json=as_json)
        ctx.exit(1)
    if as_json:
        show_json(_as_json(app, routes))
    else:
        _show(app, routes)


def _show_problems(error: InvalidSettings, *, as_json: bool) -> None:
    if as_json:
        show_json({"source": error.source, "valid": False, "problems": list(error.problems)})
    for problem in error.problems:
        click.echo(f"optimizer: error: {error.source}: {' '.join(problem.split())}", err=True)


def _show(app: App, routes: Routes) -> None:
    columns = ("use case", "aliases", "objective", "incumbent", "baseline", "candidate", "gateway")
    prices = ("input $/M tokens>", "output $/M tokens>", "cached $/M tokens>")
    rows = [row for route in routes.by_use_case.values() for row in _rows(route)]
    show_table((*columns, *prices), rows, title=f"Routes in force on {routes.at:%Y-%m-%d %H:%M} UTC")
    for route in routes.by_use_case.values():
        if route.retired:
            console().print(f"{route.name}: no longer served, left out: {', '.join(route.retired)}")
    if routes.rules:
        rules = [(rule.name, rule.condition, rule.candidate.model_id, rule.candidate.gateway) for rule in routes.rules]
        show_table(("rule", "condition", "model", "gateway"), rules, title="Rules, of which the first to hold wins")
    off = [name for name, on in app.settings.flags.model_dump().items() if not on]
    if off:
        console().print(f"Switched off in the environment: {', '.join(off)}")
    console().print(
        f"Unknown use cases: {f'go to {routes.default_use_case}' if routes.default_use_case else 'refused'}"
    )


def _rows(route: Route) -> list[tuple[str, ...]]:
    """Return a line per candidate, of which the first carries what belongs to the use case."""
    head = (route.name, ", ".join(route.settings.aliases), str(route.objective), route.incumbent, route.baseline)
    blank = ("",) * len(head)
    return [(*(blank if i else head), *_cells(candidate)) for i, candidate in enumerate(route.candidates)]


def _cells(candidate: Candidate) -> tuple[str, ...]:
    price = candidate.price
    cached = "" if price.cached_usd_per_mtok is None else usd(price.cached_usd_per_mtok)
    return (
        candidate.model_id,
        candidate.gateway,
        usd(price.input_usd_per_mtok),
        usd(price.output_usd_per_mtok),
        cached,
    )


def _as_json(app: App, routes: Routes) -> dict[str, Any]:
    return {
        "source": "environment" if app.config is None else str(app.config),
        "valid": True,
        "problems": [],
        "at": routes.at.isoformat(),
        "price_version": routes.price_version,
        "gateways": list(app.settings.gateways),
        "flags": app.settings.flags.model_dump(),
        "default_use_case": routes.default_use_case,
        "use_cases": {name: _route_json(app.catalog, route) for name, route in routes.by_use_case.items()},
        "rules": [
            {
                "name": rule.name,
                "condition": rule.condition,
                "model": rule.candidate.model_id,
                "provider": rule.candidate.gateway,
            }
            for rule in routes.rules
        ],
    }


def _route_json(catalog: Catalog, route: Route) -> dict[str, Any]:
    return {
        "aliases": list(route.settings.aliases),
        "objective": str(route.objective),
        "incumbent": route.incumbent,
        "baseline": route.baseline,
        "candidates": [_candidate_json(catalog, candidate) for candidate in route.candidates],
        "fallback_models": [candidate.model_id for candidate in route.fallbacks],
        "retired": list(route.retired),
    }


def _candidate_json(catalog: Catalog, candidate: Candidate) -> dict[str, Any]:
    return {
        "model_id": candidate.model_id,
        "provider": candidate.gateway,
        "wire_name": catalog.wire_name(candidate.model_id, candidate.gateway),
        "input_usd_per_mtok": candidate.price.input_usd_per_mtok,
        "output_usd_per_mtok": candidate.price.output_usd_per_mtok,
        "cached_usd_per_mtok": candidate.price.cached_usd_per_mtok,
        "context_window_tokens": candidate.context_window_tokens,
    }
