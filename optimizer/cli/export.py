"""`optimizer export`: write the ledger as Parquet files, by table and day, for analysis elsewhere."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

import click

from optimizer.analysis.export import Exported, Wanted, open_export
from optimizer.analysis.frames_columns import STORED
from optimizer.cli.app import App, Verb
from optimizer.cli.moments import moment_or_age
from optimizer.cli.output import progress, show_json


def _tables(_: click.Context, __: click.Parameter, text: str | None) -> Sequence[str]:
    if text is None:
        return tuple(STORED)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in STORED:
            raise click.BadParameter(f"{name!r} is none of {', '.join(STORED)}")
    return names


@click.command(cls=Verb, epilog="optimizer export exported --since 30d --tables calls,attempts,feedback")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--since", callback=moment_or_age, metavar="24h|DATE", help="Days (UTC) from that one on.  [default: all]"
)
@click.option("--until", callback=moment_or_age, metavar="24h|DATE", help="Days before then.  [default: today, too]")
@click.option("--tables", callback=_tables, metavar="A,B", help="These tables only, by comma.  [default: all]")
@click.option("--force", is_flag=True, help="Write days that have not changed, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def export(
    app: App,
    folder: Path,
    since: datetime | None,
    until: datetime | None,
    *,
    tables: Sequence[str],
    force: bool,
    as_json: bool,
) -> None:
    """Write the ledger into FOLDER as Parquet files, FOLDER/calls/day=2026-03-02/part-0.parquet and so on.

    Calls may go on meanwhile: everything is of one moment. Days that the folder holds already are left as they are
    unless something of them has changed, such as by a late rating; so run it as often as you like, and again after it
    was interrupted. Keys are never written.
    """
    wanted = Wanted(tuple(tables), None if since is None else since.date(), _day_after(until), force)
    with (
        open_export(app.database_url, folder, wanted) as found,
        progress("Writing calls, and what belongs to them", found.n_calls) as told,
    ):
        written = found.write(told)
    if as_json:
        show_json(_as_dict(written, folder))
    else:
        click.echo(_in_words(written, folder))


def _day_after(until: datetime | None) -> date | None:
    """Return the first day that is wholly past a time."""
    if until is None:
        return None
    return until.date() if until.time() == time() else until.date() + timedelta(days=1)


def _as_dict(written: Exported, folder: Path) -> dict[str, object]:
    return {
        "database": written.where,
        "folder": str(folder),
        "rows": dict(written.n_rows),
        "days": [day.isoformat() for day in written.days],
        "n_complete_days": written.n_complete_days,
    }


def _in_words(written: Exported, folder: Path) -> str:
    rows = ", ".join(f"{n:,} {table}" for table, n in written.n_rows.items() if n)
    days = f"{len(written.days):,} day" + ("" if len(written.days) == 1 else "s")
    left = f"; {written.n_complete_days:,} had not changed" if written.n_complete_days else ""
    return f"{folder}: {days} written{left}. Rows: {rows or 'none'}."
