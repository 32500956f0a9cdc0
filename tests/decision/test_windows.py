"""Calendar windows: by hand where clocks are moved, and by law in every time zone."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optimizer.decision.windows import WINDOW_KINDS, WindowKind, window_at

BERLIN, KOLKATA, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Pacific/Apia")
HAVANA, LORD_HOWE, NEW_YORK = ZoneInfo("America/Havana"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)

moments = st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)
kinds = st.sampled_from(WINDOW_KINDS)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("kind", "at", "zone", "start", "end"),
    [
        ("hour", utc(2026, 3, 2, 12, 5), UTC, utc(2026, 3, 2, 12), utc(2026, 3, 2, 13)),
        ("day", utc(2026, 3, 2, 23, 30), BERLIN, utc(2026, 3, 2, 23), utc(2026, 3, 3, 23)),
        ("day", utc(2026, 3, 29, 12), BERLIN, utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)),  # 23 hours
        ("day", utc(2026, 10, 25, 12), BERLIN, utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),  # 25 hours
        ("hour", utc(2026, 10, 25, 0, 30), BERLIN, utc(2026, 10, 25, 0), utc(2026, 10, 25, 1)),  # 2:30, then
        ("hour", utc(2026, 10, 25, 1, 30), BERLIN, utc(2026, 10, 25, 1), utc(2026, 10, 25, 2)),  # 2:30 again
        ("hour", utc(2026, 3, 2, 12, 45), KOLKATA, utc(2026, 3, 2, 12, 30), utc(2026, 3, 2, 13, 30)),
        ("month", utc(2028, 2, 29, 12), UTC, utc(2028, 2, 1), utc(2028, 3, 1)),
        ("month", utc(2026, 12, 31, 23, 59), UTC, utc(2026, 12, 1), utc(2027, 1, 1)),
        ("month", utc(2026, 3, 31, 23), BERLIN, utc(2026, 3, 31, 22), utc(2026, 4, 30, 22)),
        ("day", utc(2026, 3, 8, 12), HAVANA, utc(2026, 3, 8, 5), utc(2026, 3, 9, 4)),  # its midnight is left out
        ("day", utc(2026, 11, 1, 12), HAVANA, utc(2026, 11, 1, 4), utc(2026, 11, 2, 5)),  # its midnight comes twice
        ("day", utc(2011, 12, 30, 12), APIA, utc(2011, 12, 30, 10), utc(2011, 12, 31, 10)),  # no 30th there: it is 31st
        ("hour", utc(2026, 10, 3, 15, 40), LORD_HOWE, utc(2026, 10, 3, 15, 30), utc(2026, 10, 3, 16)),  # 2:30 to 3:00
    ],
)
def test_windows_by_hand(kind: WindowKind, at: datetime, zone: tzinfo, start: datetime, end: datetime) -> None:
    assert window_at(kind, at, zone) == (kind, start, end)


@given(kinds, moments, zones)
@example("hour", utc(2026, 4, 4, 15, 10), LORD_HOWE)
@example("day", utc(2010, 11, 7, 3, 0), ZoneInfo("America/St_Johns"))
def test_windows_follow_one_another_without_gap_or_overlap(kind: WindowKind, at: datetime, zone: tzinfo) -> None:
    window = window_at(kind, at, zone)
    assert window.start <= at < window.end
    assert window_at(kind, window.start, zone) == window_at(kind, window.end - MOMENT, zone) == window
    assert window_at(kind, window.end, zone).start == window.end
    assert window_at(kind, window.start - MOMENT, zone).end == window.start


@given(moments, st.sampled_from((UTC, BERLIN, KOLKATA, NEW_YORK)))
def test_all_moments_of_a_window_show_the_same_hour_day_and_month(at: datetime, zone: tzinfo) -> None:
    formats = {"hour": "%Y-%m-%d %H", "day": "%Y-%m-%d", "month": "%Y-%m"}
    for kind in WINDOW_KINDS:
        window = window_at(kind, at, zone)
        shown = {moment.astimezone(zone).strftime(formats[kind]) for moment in (window.start, at, window.end - MOMENT)}
        assert len(shown) == 1
        assert window.end.astimezone(zone).minute == 0


@given(moments)
def test_a_day_is_as_many_hour_windows_as_it_has_hours(at: datetime) -> None:
    day = window_at("day", at, NEW_YORK)
    n_hours = 0
    hour = window_at("hour", day.start, NEW_YORK)
    while hour.start < day.end:
        n_hours += 1
        hour = window_at("hour", hour.end, NEW_YORK)
    assert hour.start == day.end
    assert n_hours == (day.end - day.start) // HOUR
    assert n_hours in {23, 24, 25}


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    at = utc(2026, 3, 2, 23, 30)
    assert window_at("day", at.astimezone(NEW_YORK), BERLIN) == window_at("day", at, BERLIN)
