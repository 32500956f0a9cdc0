"""Times as people write them on the command line, read by options: a date, how long ago, how far from now, how long."""

import contextlib
from datetime import UTC, datetime, timedelta

import click

from optimizer.cli.app import App
from optimizer.settings.values import parse_duration


def moment(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """Return an aware time; a text without a time zone means UTC."""
    try:
        return None if text is None else _date(text)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no date such as 2027-01-01 or 2027-01-01T09:30") from None


def moment_or_age(ctx: click.Context, _: click.Parameter, text: str | None) -> datetime | None:
    """Return an aware time; `24h` or `14d` are that long ago."""
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        return ctx.ensure_object(App).now() - parse_duration(text)
    with contextlib.suppress(ValueError, OverflowError):
        return _date(text)
    raise click.BadParameter(f"{text!r} is neither a time ago such as 24h nor a date such as 2027-01-01")


def moment_ahead(ctx: click.Context, _: click.Parameter, text: str | None) -> datetime | None:
    """Return an aware time; `24h` or `90d` are that far from now."""
    if text is None:
        return None
    with contextlib.suppress(ValueError, OverflowError):
        return ctx.ensure_object(App).now() + parse_duration(text)
    with contextlib.suppress(ValueError, OverflowError):
        return _date(text)
    raise click.BadParameter(f"{text!r} is neither a time from now such as 90d nor a date such as 2027-01-01")


def duration(_: click.Context, __: click.Parameter, text: str) -> timedelta:
    """Return a length of time."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _date(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
