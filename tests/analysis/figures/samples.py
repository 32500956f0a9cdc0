"""A small table for every figure, as a ledger might give it, and what its axes must say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.figures import Chart

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Sample(NamedTuple):
    """A figure, a table for it, the units that its axes name, and what it says where there is nothing."""

    draw: Callable[..., Chart]
    frame: pl.DataFrame
    units: tuple[str, ...]
    empty: str


MONEY = pl.DataFrame(
    {
        "use_case": ["chat", "code", "new"],
        "paid_usd": [10.0, 5.0, 3.0],
        "saved_usd": [30.0, -1.0, 0.0],
        "baseline_usd": [40.0, 4.0, 3.0],
        "saved_share": [0.75, -0.25, None],
        "saved_low_usd": [25.0, -3.0, None],
        "saved_high_usd": [35.0, 1.0, None],
    }
)
BUILD_UP = pl.DataFrame(
    {
        "at": [NOON, NOON + HOUR, NOON + 2 * HOUR],
        "paid_usd": [0.0, 1.0, 2.0],
        "baseline_usd": [0.0, 3.0, 7.0],
        "saved_usd": [0.0, 2.0, 5.0],
        "saved_low_usd": [0.0, 1.5, None],
        "saved_high_usd": [0.0, 2.5, None],
    }
)
SPEND = pl.DataFrame(
    {
        "limit": ["the daily limit"] * 3,
        "window": [NOON] * 3,
        "at": [NOON, NOON + HOUR, NOON + 2 * HOUR],
        "spent_usd": [0.0, 0.5, None],
        "expected_usd": [None, 0.5, 0.9],
        "pace_usd": [0.0, 0.4, 1.0],
        "limit_usd": [1.0] * 3,
    }
)
SHARES = pl.DataFrame(
    {
        "use_case": ["chat"] * 8,
        "model": ["old", *(f"new-{n}" for n in range(7))],
        "at": [NOON] * 8,
        "until": [NOON + HOUR] * 8,
        "calls": [30, 10, 10, 10, 10, 10, 10, 10],
        "share": [0.3, *[0.1] * 7],
        "incumbent": [True, *[False] * 7],
    }
)
LATENCY = pl.DataFrame(
    {
        "model": ["fast", "slow"],
        "calls": [100, 1],
        "p50_ms": [300.0, 2_000.0],
        "p95_ms": [900.0, 2_000.0],
        "p99_ms": [1_500.0, 2_000.0],
    }
)
FRONTIER = pl.DataFrame(
    {
        "label": ["what happened", "cheap", "good", "worse"],
        "usd_per_call": [0.02, 0.001, 0.01, 0.03],
        "usd_low": [0.019, None, 0.009, 0.02],
        "usd_high": [0.021, None, 0.011, 0.04],
        "quality": [0.8, 0.6, 0.8, 0.7],
        "quality_low": [0.78, None, 0.7, 0.6],
        "quality_high": [0.82, None, 0.9, 0.8],
        "happened": [True, False, False, False],
    }
)
BELIEFS = pl.DataFrame(
    {
        "use_case": ["chat", "chat"],
        "model": ["new", "old"],
        "role": ["most chosen", "incumbent"],
        "quality": [0.7, 0.8],
        "low": [0.5, 0.78],
        "high": [0.9, 0.82],
        "ratings": [3.0, 400.0],
        "usd_per_call": [0.000123, 0.02],
        "chance": [0.9, 0.1],
        "served": [0.6, 0.4],
        "floor": [0.776, 0.776],
    }
)
CALIBRATION = pl.DataFrame(
    {
        "expected": [0.6, 0.8],
        "rated": [0.55, 0.9],
        "low": [0.5, None],
        "high": [0.6, None],
        "calls": [100, 40],
    }
)
SAMPLES = {
    "money": Sample(figures.money, MONEY, ("US dollars",), "no call has a baseline"),
    "savings_build_up": Sample(
        figures.savings_build_up, BUILD_UP, ("US dollars", "time (UTC)"), "no call has a baseline"
    ),
    "spend_against_budget": Sample(
        figures.spend_against_budget, SPEND, ("US dollars", "time (UTC)"), "no limit of spending"
    ),
    "share_over_time": Sample(
        figures.share_over_time, SHARES, ("share of calls", "time (UTC)"), "no call was served yet"
    ),
    "latency": Sample(figures.latency, LATENCY, ("latency, ms (log axis)",), "how long it took"),
    "frontier": Sample(
        figures.frontier, FRONTIER, ("US dollars per call", "quality, 0 to 1"), "nothing is known of cost"
    ),
    "beliefs": Sample(figures.beliefs, BELIEFS, ("believed quality, 0 to 1",), "no call has been served yet"),
    "calibration": Sample(figures.calibration, CALIBRATION, ("quality", "rating, 0 to 1"), "no ratings yet"),
}
