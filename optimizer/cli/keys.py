"""`optimizer keys`: make, list, revoke and rotate the API keys that open the service."""

from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, get_args

import click

from optimizer.cli.app import App, Verb, VerbGroup
from optimizer.cli.moments import duration, moment_ahead
from optimizer.cli.output import show_json, show_table
from optimizer.ledger import api_keys
from optimizer.ledger.api_keys import ApiKey, Scope
from optimizer.ledger.schema import open_database


@click.group(cls=VerbGroup, epilog="optimizer keys create --label 'web shop' --scope call --scope feedback")
def keys() -> None:
    """Look after the API keys that open `optimizer serve`."""


@keys.command(
    cls=Verb,
    epilog="optimizer keys create --label 'web shop' --scope call --scope feedback --tenant acme --expires 90d",
)
@click.option("--label", required=True, metavar="TEXT", help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(get_args(Scope)),
    default=("call", "feedback"),
    show_default=True,
    help="What its bearer may do; may be repeated. admin implies the others.",
)
@click.option("--tenant", metavar="NAME", help="Whose calls it makes and sees.  [default: those of all]")
@click.option("--expires", "expires_at", callback=moment_ahead, metavar="WHEN", help="Such as 90d, or a date, UTC.")
@click.option("--requests-per-minute", type=click.IntRange(min=1), metavar="N", help="In each worker.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def create(app: App, /, *, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - the ledger's own keywords
    """Make a key, and print it: once, for the ledger keeps a hash of it alone."""
    with closing(open_database(app.database_url)) as database:
        made, key = api_keys.create_key(database, app.now(), **asked)
    _show_new(made, key, as_json=as_json)


@keys.command(name="list", cls=Verb, epilog="optimizer keys list --database postgresql://user@host/name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_keys(app: App, *, as_json: bool) -> None:
    """List every key that was ever made, the oldest first."""
    with app.ledger() as database:
        found = api_keys.read_keys(database)
    if as_json:
        show_json({"keys": [_document(key, app.now()) for key in found]})
    elif not found:
        click.echo("There is no key, so the service is open to all who reach it; it starts on loopback only.")
    else:
        columns = ("id", "label", "scopes", "tenant", "a minute>", "state", "made", "ends", "last used")
        show_table(columns, [_cells(key, app.now()) for key in found])


@keys.command(cls=Verb, epilog="optimizer keys revoke 3f9c2a71d0be")
@click.argument("key_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def revoke(app: App, key_id: str, *, as_json: bool) -> None:
    """End the key ID; every worker refuses it within 5 seconds."""
    with app.ledger() as database:
        ended = api_keys.revoke_key(database, key_id, app.now())
    if as_json:
        show_json(_document(ended, app.now()))
    else:
        click.echo(f"Key {key_id} ({ended.label}) is revoked; every worker refuses it within 5 seconds.")


@keys.command(cls=Verb, epilog="optimizer keys rotate 3f9c2a71d0be --overlap 24h")
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", callback=duration, default="24h", show_default=True, metavar="TIME", help="Both open so long."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def rotate(app: App, key_id: str, overlap: timedelta, *, as_json: bool) -> None:
    """Make a key that may do what ID may, print it once, and let ID end after the overlap."""
    with app.ledger() as database:
        made, key = api_keys.rotate_key(database, key_id, app.now(), overlap=overlap)
    _show_new(made, key, as_json=as_json, instead_of=key_id)


def _show_new(made: ApiKey, key: str, *, as_json: bool, instead_of: str | None = None) -> None:
    if as_json:
        shown = {"key": key, **made.to_dict()}
        show_json(shown if instead_of is None else shown | {"instead_of": instead_of})
        return
    click.echo(key)
    what = f"Key {made.key_id} ({made.label}): {', '.join(made.to_dict()['scopes'])}"
    whose = "" if made.tenant is None else f" for tenant {made.tenant}"
    until = "" if made.expires_at is None else f", until {_day(made.expires_at)}"
    click.echo(f"{what}{whose}{until}. It is shown this once; keep it where secrets are kept.", err=True)


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "usable" if key.usable(now) else "expired"


def _document(key: ApiKey, now: datetime) -> dict[str, Any]:
    return key.to_dict() | {"state": _state(key, now)}


def _cells(key: ApiKey, now: datetime) -> tuple[str, ...]:
    return (
        key.key_id,
        key.label,
        ", ".join(key.to_dict()["scopes"]),
        key.tenant or "",
        "" if key.requests_per_minute is None else f"{key.requests_per_minute:,}",
        _state(key, now),
        _day(key.created_at),
        "" if key.expires_at is None else _day(key.expires_at),
        "never" if key.last_used_on is None else key.last_used_on.isoformat(),
    )


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
