"""Calendar hours, days and months of a time zone, as stretches of time that follow one another without a gap."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

WindowKind = Literal["hour", "day", "month"]
WINDOW_KINDS: tuple[WindowKind, ...] = get_args(WindowKind)

_AROUND = range(-3, 4)  # beginnings looked at: enough where a clock is moved by two hours, or a date is left out


class Window(NamedTuple):
    """The time from `start` up to, but without, `end`; both aware, UTC."""

    kind: WindowKind
    start: datetime
    end: datetime


def window_at(kind: WindowKind, at: datetime, zone: tzinfo) -> Window:
    """Return the calendar window that an aware time belongs to, as the clocks of `zone` show it.

    A day is 23 or 25 hours long where clocks are moved; an hour that comes twice is two windows; a window whose
    beginning is left out begins when the clocks are moved.
    """
    return _window(kind, at.astimezone(UTC).replace(microsecond=0), zone)


@lru_cache(maxsize=256)
def _window(kind: WindowKind, at: datetime, zone: tzinfo) -> Window:
    wall = at.astimezone(zone).replace(tzinfo=None)
    marks = sorted({mark for begin in _beginnings(kind, wall) for mark in _instants(kind, begin, zone)})
    return Window(kind, max(m for m in marks if m <= at), min(m for m in marks if m > at))


def _beginnings(kind: WindowKind, wall: datetime) -> Iterator[datetime]:
    """Yield where windows begin around a time, as clocks show it."""
    if kind == "month":
        this = 12 * wall.year + wall.month - 1
        return (datetime(month // 12, month % 12 + 1, 1) for month in (this + n for n in _AROUND))  # noqa: DTZ001
    step = timedelta(hours=1) if kind == "hour" else timedelta(days=1)
    begin = wall.replace(minute=0, second=0) if kind == "hour" else wall.replace(hour=0, minute=0, second=0)
    return (begin + n * step for n in _AROUND)


def _instants(kind: WindowKind, begin: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield when clocks show this; one that they never show is when they are moved past it."""
    yield begin.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if kind == "hour":
        again = begin.replace(tzinfo=zone, fold=1).astimezone(UTC)
        if again.astimezone(zone).replace(tzinfo=None) == begin:
            yield again
