"""Which limits a call falls under, and what they leave it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.decision.limits import EVERYTHING, LimitedWindow, Scope, SpendingLimits, Wanted, grant
from optimizer.decision.windows import window_at
from optimizer.errors import LimitReached

NOON = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
CHAT, ACME, OTHERS = Scope("use_case", "chat"), Scope("tenant", "acme"), Scope("tenant", "*")
LIMITS = SpendingLimits(
    {EVERYTHING: {"hour": 100, "month": 900}, CHAT: {"day": 50}, ACME: {"hour": 7}, OTHERS: {"day": 5}}, BERLIN
)

amounts = st.integers(-50, 200)


def names(use_case: str, tenant: str | None) -> list[tuple[str, str, int]]:
    return [(str(w.scope), w.window.kind, w.limit_nano_usd) for w in LIMITS.applying(use_case, tenant, NOON)]


def limited(kind: str, limit: int = 100, scope: Scope = EVERYTHING) -> LimitedWindow:
    window = window_at(kind, NOON, BERLIN)  # type: ignore[arg-type]
    return LimitedWindow(scope, window, limit, window.end.astimezone(BERLIN))


def test_a_call_falls_under_the_limits_of_everything_its_use_case_and_its_tenant() -> None:
    everything = [("everything", "hour", 100), ("everything", "month", 900)]
    assert names("code", None) == everything
    assert names("chat", None) == [*everything, ("use case chat", "day", 50)]
    assert names("chat", "acme") == [*everything, ("use case chat", "day", 50), ("tenant acme", "hour", 7)]


def test_each_tenant_that_is_not_named_has_limits_of_its_own() -> None:
    assert names("code", "umbrella")[2:] == [("tenant umbrella", "day", 5)]
    assert not SpendingLimits()
    assert SpendingLimits().applying("chat", "acme", NOON) == ()


def test_limits_open_at_the_end_of_their_window_in_their_own_time_zone() -> None:
    (window,) = LIMITS.windows(CHAT, NOON)
    assert window.opens_at.isoformat() == "2026-03-03T00:00:00+01:00"


@given(amounts.map(abs), amounts.map(abs), st.lists(amounts, min_size=1, max_size=4))
def test_what_is_granted_is_the_most_that_fits_and_no_less_than_the_least(a: int, b: int, left: list[int]) -> None:
    wanted = Wanted(max(a, b), min(a, b), "chat")
    windows = [(limited("hour"), rest) for rest in left]
    if min(a, b) > max(min(left), 0):
        with pytest.raises(LimitReached):
            grant(wanted, windows)
    else:
        assert grant(wanted, windows) == min(max(a, b), max(min(left), 0))


def test_what_costs_nothing_is_granted_where_nothing_is_left() -> None:
    assert grant(Wanted(0, 0, "chat"), [(limited("hour"), -3)]) == 0


def test_of_several_limits_in_the_way_the_one_that_opens_last_is_named() -> None:
    windows = [(limited("day", 50, CHAT), -20), (limited("hour"), 10), (limited("month", 10**9), 10**9)]
    with pytest.raises(LimitReached, match="use case chat") as caught:
        grant(Wanted(100, 30, "chat"), windows)
    refusal = caught.value
    assert (refusal.limit, refusal.window, refusal.limit_usd, refusal.left_usd) == ("use case chat", "day", 5e-8, 0.0)
    assert refusal.opens_at.isoformat() == "2026-03-03T00:00:00+01:00"


def test_of_two_that_open_together_the_one_that_leaves_less_is_named() -> None:
    with pytest.raises(LimitReached) as caught:
        grant(Wanted(100, 30, "chat"), [(limited("hour"), 20), (limited("hour", 60, CHAT), 10)])
    assert caught.value.limit == "use case chat"
