"""Ready questions answer as the ledger's own sums do, by whatever calls are grouped by."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from optimizer.analysis.frames import Frames
from optimizer.analysis.frames_questions import percentiles, quality, ratings, shares, spend
from tests.analysis.small_ledger import fill
from tests.ledger.factory import NOON


@pytest.fixture
def frames(url: str) -> Iterator[Frames]:
    fill(url)
    with Frames.open(url) as frames:
        yield frames


def test_spend_counts_unknown_costs_and_never_adds_them(frames: Frames) -> None:
    """`a` cost 40,000 nano-dollars at small and 360,000 at large; `b` and `lost` are unknown; `c` was reused."""
    found = spend(frames, "model").to_polars().rows()
    assert found == [("large", 1, 1, pytest.approx(0.00036), 0), ("small", 3, 3, pytest.approx(0.00004), 2)]
    assert spend(frames).to_polars().rows() == [(3, 4, pytest.approx(0.0004), 2)]


def test_spend_goes_by_tag_and_by_hour(frames: Frames) -> None:
    """Call `a` has two tags of that name, and counts for each."""
    found = spend(frames, "tag:team", "hour").to_polars()
    hour = datetime(2026, 3, 2, 12, tzinfo=UTC)
    costs = {(row["tag:team"], row["hour"]): row["cost_usd"] for row in found.iter_rows(named=True)}
    assert costs["it's", hour] == costs["b", hour] == pytest.approx(0.0004)
    assert costs[None, hour.replace(day=3)] is None


def test_percentiles_are_of_served_calls(frames: Frames) -> None:
    found = percentiles(frames, "use_case", levels=(0.5, 0.999)).to_polars().to_dicts()
    assert found == [{"use_case": "chat", "n_calls": 2, "p50_ms": 812.5, "p99_9_ms": 812.5}]
    assert percentiles(frames, of="ttft_ms").to_polars()["p95_ms"].to_list() == [95.0]


def test_shares_of_a_day_sum_to_one(frames: Frames) -> None:
    found = shares(frames, every="day").to_polars()
    assert found.rows() == [
        ("chat", NOON.replace(hour=0, minute=0), "large", 1, 1.0),
        ("chat", NOON.replace(day=3, hour=0, minute=0), "small", 1, 1.0),
    ]


def test_ratings_stand_beside_who_served(frames: Frames) -> None:
    """Withdrawn ratings, and those of calls that nobody served, say nothing about a model."""
    found = ratings(frames).order_by("call_id", "rater").to_polars()
    columns = found.select("call_id", "rater", "value", "is_judge", "model").rows()
    assert columns == [
        ("a", "ann", 0.8, False, "large"),
        ("a", "bob", 0.4, False, "large"),
        ("a", "judge:x", 0.1, True, "large"),
        ("b", "judge:x", 0.5, True, "small"),
    ]


def test_people_come_before_judges_in_a_calls_rating(frames: Frames) -> None:
    found = quality(frames, "model").to_polars().select("model", "metric", "n_rated", "mean").rows()
    assert found == [("large", "quality", 1, pytest.approx(0.6)), ("small", "quality", 1, 0.5)]
