"""`optimizer verify`, `rebuild` and `db upgrade`: is the ledger in order, and how to bring it there."""

from typing import Any

import click

from optimizer.cli.app import App, Verb, VerbGroup
from optimizer.cli.output import progress, show_json, show_table
from optimizer.ledger import audit
from optimizer.ledger.database import connect
from optimizer.ledger.schema import upgrade as upgrade_schema
from optimizer.ledger.totals import count_calls

_MOST_LINES = 50


@click.command(cls=Verb, epilog="optimizer verify --database optimizer.db")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool) -> None:
    """Say whether what is learned follows from the calls and ratings, exactly.

    Exits with 1 and shows the differences where it does not; `optimizer rebuild` then mends it. Changes nothing. Where
    `retention` has old calls deleted, what those taught is taken as it is.
    """
    app: App = ctx.obj
    with app.ledger() as database:
        n_calls = count_calls(database)
        with progress("Reading calls", n_calls) as told:
            differences = audit.verify(database, app.settings.reward_rule, told=told)
    if as_json:
        found = [_difference(each) for each in differences]
        show_json({"database": database.where, "n_calls": n_calls, "ok": not found, "differences": found})
    elif differences:
        _show(differences)
    else:
        click.echo(f"{database.where}: evidence follows from {n_calls:,} calls, to the last unit.")
    if differences:
        click.echo(
            f"optimizer: error: {database.where}: {len(differences):,} rows of evidence differ from the ledger; "
            "run `optimizer rebuild`",
            err=True,
        )
        ctx.exit(1)


def _difference(found: audit.Difference) -> dict[str, Any]:
    return {**found.key._asdict(), "stored": found.stored._asdict(), "expected": found.expected._asdict()}


def _show(differences: list[audit.Difference]) -> None:
    columns = ("use case", "segment", "model", "measure", "bucket>", "stored n, total, square>", "expected>")
    rows = [
        (*d.key[:4], f"{d.key.bucket_start_s} + {d.key.bucket_width_s} s", _numbers(d.stored), _numbers(d.expected))
        for d in differences[:_MOST_LINES]
    ]
    show_table(columns, rows, title="Rows of evidence that are not what the ledger says")
    if len(differences) > _MOST_LINES:
        click.echo(f"… and {len(differences) - _MOST_LINES:,} more; --json lists them all")


def _numbers(sums: tuple[int, ...]) -> str:
    return " ".join(map(str, sums))


@click.command(cls=Verb, epilog="optimizer rebuild --config optimizer.yaml")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def rebuild(app: App, *, as_json: bool) -> None:
    """Recompute what is learned from the calls and ratings.

    Needed after a use case got another quality metric or other gates. Running processes reload by themselves. What
    calls taught that `retention` has deleted stays as it is.
    """
    with app.ledger() as database:
        n_calls = count_calls(database)
        with progress("Reading calls", n_calls) as told:
            n_rows = audit.rebuild(database, app.settings.reward_rule, told=told)
    if as_json:
        show_json({"database": database.where, "n_calls": n_calls, "n_rows": n_rows})
    else:
        click.echo(f"{database.where}: {n_rows:,} rows of evidence recomputed from {n_calls:,} calls.")


@click.group(cls=VerbGroup, epilog="optimizer db upgrade --database postgresql://user@host/name")
def db() -> None:
    """Look after the ledger's schema."""


@db.command(cls=Verb, epilog="optimizer db upgrade --database postgresql://user@host/name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def upgrade(app: App, *, as_json: bool) -> None:
    """Bring the ledger's schema up to date, or make it in an empty database.

    SQLite files are brought up to date when they are first used, too.
    """
    where = connect(app.database_url).where
    before, after = upgrade_schema(app.database_url)
    if as_json:
        show_json({"database": where, "revision_before": before, "revision": after, "changed": before != after})
    elif before == after:
        click.echo(f"{where}: at revision {after}, nothing to do.")
    else:
        click.echo(f"{where}: brought from {before or 'empty'} to revision {after}.")
