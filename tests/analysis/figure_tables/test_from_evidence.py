"""Shares, latencies and savings over time, counted by hand from a few rows of evidence."""

from datetime import UTC, datetime, timedelta

import pytest

from optimizer.analysis.figure_tables import latency, savings_build_up, share_over_time
from optimizer.analysis.figure_tables.buckets import Period, evidence_table
from optimizer.analysis.parts import Figures, Report, UseCaseReport
from optimizer.analysis.savings import Saving
from optimizer.decision.credit import bin_upper_ms, latency_bin
from optimizer.decision.evidence import (
    CACHED_TOKENS,
    CALLS,
    COST,
    INPUT_TOKENS,
    LATENCY,
    OUTPUT_TOKENS,
    EvidenceKey,
    Sums,
)
from optimizer.domain import NANO_USD, Price

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIGURES = Figures(4, 4, 0, 7.0, 0, 0, None)


def _row(model: str, measure: str, hour: float, n: int, total: int = 0, *, segment: str = "") -> dict:
    start = int((MIDNIGHT + hour * HOUR).timestamp())
    return {EvidenceKey("chat", segment, model, measure, start, 900): Sums(n, total)}


def test_shares_are_of_the_hour_over_segments_and_lengths() -> None:
    evidence = (
        _row("old", f"{CALLS}10", 0, 2)
        | _row("old", f"{CALLS}12", 0.5, 1)
        | _row("new", f"{CALLS}10", 0.75, 1, segment="s1")
        | _row("new", f"{CALLS}10", 1, 5)
    )
    found = share_over_time(evidence_table(evidence), {"chat": "old"}).rows()
    assert found == [
        ("chat", "old", MIDNIGHT, MIDNIGHT + HOUR, 3, 0.75, True),
        ("chat", "new", MIDNIGHT, MIDNIGHT + HOUR, 1, 0.25, False),
        ("chat", "new", MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, 5, 1.0, False),
    ]


def test_only_buckets_of_the_period_count() -> None:
    evidence = _row("old", f"{CALLS}10", 0, 2) | _row("old", f"{CALLS}10", 2, 1) | _row("old", f"{CALLS}10", 5, 1)
    found = share_over_time(evidence_table(evidence), {}, Period(MIDNIGHT + HOUR, MIDNIGHT + 5 * HOUR))
    assert found["at"].to_list() == [MIDNIGHT + 2 * HOUR]
    assert found["incumbent"].to_list() == [False]


@pytest.mark.parametrize(("days", "hours"), [(2, 1), (10, 6), (60, 24), (400, 168), (900, 720)])
def test_long_periods_have_wider_stretches(days: int, hours: int) -> None:
    evidence = _row("old", f"{CALLS}10", 0, 1) | _row("old", f"{CALLS}10", 24 * days, 1)
    found = share_over_time(evidence_table(evidence), {})
    assert (found["until"] - found["at"]).to_list() == [hours * HOUR] * 2


def test_many_models_have_wider_stretches() -> None:
    evidence = {}
    for model in range(100):
        evidence |= _row(f"m{model}", f"{CALLS}10", 0, 1) | _row(f"m{model}", f"{CALLS}10", 48, 1)
    found = share_over_time(evidence_table(evidence), {})
    assert (found["until"] - found["at"]).unique().to_list() == [6 * HOUR]


def test_no_evidence_makes_empty_tables() -> None:
    assert share_over_time(evidence_table({}), {"chat": "old"}).is_empty()
    assert latency(evidence_table({})).is_empty()
    assert savings_build_up(evidence_table({}), _report(None), _price).is_empty()


def test_percentiles_are_read_from_bins() -> None:
    fast, slow = (f"{LATENCY}{latency_bin(ms)}" for ms in (100.0, 900.0))
    evidence = _row("old", fast, 0, 90) | _row("old", slow, 1, 10)
    upper = [bin_upper_ms(latency_bin(ms)) for ms in (100.0, 900.0, 900.0)]
    assert latency(evidence_table(evidence)).rows() == [("old", 100, *upper)]
    assert latency(evidence_table(evidence), by_use_case=True).rows() == [("chat", "old", 100, *upper)]
    assert all(ms <= high <= 1.091 * ms for ms, high in zip((100.0, 900.0, 900.0), upper, strict=True))


def _price(model: str, at: datetime) -> Price:
    assert model == "old"
    return Price(10.0, 10.0, 10.0)


def _served(model: str, hour: float, n: int, usd: float, tokens: int) -> dict:
    """Return what `n` calls of so many tokens in all left behind, a fifth of them output."""
    return (
        _row(model, f"{CALLS}10", hour, n)
        | _row(model, COST, hour, n, round(usd * NANO_USD))
        | _row(model, INPUT_TOKENS, hour, n, tokens * 4 // 5)
        | _row(model, CACHED_TOKENS, hour, n, 0)
        | _row(model, OUTPUT_TOKENS, hour, n, tokens // 5)
    )


def _report(saving: Saving | None, baseline: str | None = "old") -> Report:
    part = UseCaseReport("chat", "", None, None, baseline, False, FIGURES, None, saving, None, None, (), None)
    return Report(MIDNIGHT + DAY, None, None, (), FIGURES, saving, (part,), ())


def test_savings_build_up_to_the_reports_own() -> None:
    # The baseline served the first hour for $4; others then served for $1 and $2 what its list prices at $3 and $6,
    # which is measured to be $12 in all: 4/3 of the list.
    evidence = _served("old", 0, 1, 4.0, 400_000)
    evidence |= _served("new", 1, 1, 1.0, 300_000) | _served("new", 2, 2, 2.0, 600_000)
    saving = Saving("", 4, 0, 9.0, 6.0, 13.0, 16.0, 7.0, 9 / 16)
    found = savings_build_up(evidence_table(evidence), _report(saving), _price)
    assert found["at"].to_list() == [MIDNIGHT + i * HOUR for i in range(4)]
    assert found["paid_usd"].to_list() == pytest.approx([0.0, 4.0, 5.0, 7.0])
    assert found["baseline_usd"].to_list() == pytest.approx([0.0, 4.0, 8.0, 16.0])
    assert found["saved_usd"].to_list() == pytest.approx([0.0, 0.0, 3.0, 9.0])
    third = (1 / 3) ** 0.5  # of the $12 that are not known for sure, a third was spent by then
    assert found["saved_low_usd"].to_list() == pytest.approx([0.0, 0.0, 3.0 - 3.0 * third, 6.0])
    assert found["saved_high_usd"].to_list() == pytest.approx([0.0, 0.0, 3.0 + 4.0 * third, 13.0])


def test_failed_attempts_are_spread_over_what_was_paid() -> None:
    evidence = _served("new", 0, 1, 1.0, 100_000) | _served("new", 1, 1, 3.0, 300_000)
    found = savings_build_up(
        evidence_table(evidence), _report(Saving("", 2, 0, 4.0, None, None, 12.0, 8.0, 1 / 3)), _price
    )
    assert found["paid_usd"].to_list() == pytest.approx([0.0, 2.0, 8.0])
    assert found["saved_low_usd"].to_list() == [None] * 3


def test_baseline_without_a_price_follows_what_was_paid() -> None:
    evidence = _served("new", 0, 1, 1.0, 100_000) | _served("new", 1, 1, 3.0, 300_000)
    saving = Saving("", 2, 0, 4.0, 3.0, 5.0, 8.0, 4.0, 0.5)
    found = savings_build_up(evidence_table(evidence), _report(saving), lambda model, at: Price())
    assert found["baseline_usd"].to_list() == pytest.approx([0.0, 2.0, 8.0])
    assert found["saved_high_usd"].to_list() == pytest.approx([0.0, 1.0 + 0.25**0.5, 5.0])


def test_use_case_without_a_baseline_saves_nothing() -> None:
    evidence = _served("new", 0, 1, 1.0, 100_000)
    assert savings_build_up(evidence_table(evidence), _report(None, None), _price).is_empty()
