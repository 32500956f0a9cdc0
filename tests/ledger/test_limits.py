"""Limits as settings give them, and as they stand."""

from datetime import UTC, datetime

from optimizer.decision.limits import EVERYTHING, Scope, Wanted
from optimizer.ledger.database import Database
from optimizer.ledger.limits import limit_status, spending_limits
from optimizer.ledger.purse import Purse
from optimizer.settings import CostLimits, RoutingSettings, Settings, UseCase

NIGHT = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # half past midnight in Berlin, on the day that has 23 hours


def make_settings(**routing: object) -> Settings:
    chat = UseCase(candidates=("gpt-4o",), cost_limits=CostLimits(hourly_usd=0.25))
    code = UseCase(candidates=("gpt-4o",))
    return Settings(
        use_cases={"chat": chat, "code": code}, timezone="Europe/Berlin", routing=RoutingSettings(**routing)
    )


def test_settings_become_limits_in_nano_dollars() -> None:
    limits = spending_limits(
        make_settings(
            cost_limits=CostLimits(daily_usd=20, monthly_usd=0.1),
            tenant_limits={"acme": CostLimits(), "*": CostLimits(daily_usd=1)},
        )
    )
    assert limits.amounts == {
        EVERYTHING: {"day": 20 * 10**9, "month": 10**8},
        Scope("use_case", "chat"): {"hour": 25 * 10**7},
        Scope("tenant", "acme"): {},
        Scope("tenant", "*"): {"day": 10**9},
    }


def test_settings_without_limits_have_none() -> None:
    settings = Settings(use_cases={"chat": UseCase(candidates=("gpt-4o",))})
    assert not spending_limits(settings)
    named = RoutingSettings(tenant_limits={"acme": CostLimits()})
    assert not spending_limits(settings.model_copy(update={"routing": named}))


def test_status_tells_how_each_limit_stands(database: Database) -> None:
    limits = spending_limits(make_settings(cost_limits=CostLimits(daily_usd=1)))
    assert [status.left_nano_usd for status in limit_status(database, limits, NIGHT)] == [10**9, 25 * 10**7]
    purse = Purse(database, limits, clock=lambda: NIGHT)
    purse.settle(purse.reserve(Wanted(10**8, 10**8, "chat")).result(), 5 * 10**7).result()
    purse.reserve(Wanted(10**8, 10**8, "code")).result()
    purse.close()
    everything, chat = limit_status(database, limits, NIGHT)
    assert everything.to_dict() == {
        "limit": "everything",
        "window": "day",
        "starts_at": "2026-03-29T00:00:00+01:00",
        "opens_at": "2026-03-30T00:00:00+02:00",
        "limit_usd": 1.0,
        "spent_usd": 0.05,
        "reserved_usd": 0.1,
        "left_usd": 0.85,
    }
    assert (str(chat.scope), chat.window, chat.left_nano_usd) == ("use case chat", "hour", 2 * 10**8)


def test_status_of_an_unlimited_ledger_is_empty(database: Database) -> None:
    settings = Settings(use_cases={"chat": UseCase(candidates=("gpt-4o",))})
    assert limit_status(database, spending_limits(settings), NIGHT) == []
