"""Spending in a limit's windows, by hand: what was spent, the pace that lasts, what is expected."""

from datetime import UTC, datetime, timedelta

import pytest

from optimizer.analysis.figure_tables import Paced, spend_against_budget
from optimizer.analysis.figure_tables.buckets import evidence_table
from optimizer.decision.evidence import CALLS, COST, EvidenceKey, Sums
from optimizer.decision.pacing import LimitUse
from optimizer.decision.windows import window_at
from optimizer.domain import NANO_USD

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = MIDNIGHT + 12 * HOUR


def _calls(hour: float, n: int, usd: float, use_case: str = "chat", *, width_s: int = 3_600) -> dict:
    start = int((MIDNIGHT + hour * HOUR).timestamp())
    return {
        EvidenceKey(use_case, "", "old", f"{CALLS}10", start, width_s): Sums(n),
        EvidenceKey(use_case, "", "old", COST, start, width_s): Sums(n, round(usd * NANO_USD)),
    }


def _paced(spent_usd: float, expected_usd: float | None = None, use_case: str | None = None) -> Paced:
    window = window_at("day", NOW, UTC)
    use = LimitUse("day", 10.0, spent_usd, 0.0, window.start, window.end, use_case)
    return Paced(use, expected_usd, {"chat": timedelta(days=14)})


def _table(evidence: dict, paced: Paced, column: str) -> list:
    return spend_against_budget(evidence_table(evidence), [paced], NOW, UTC)[column].to_list()


def test_window_that_ended_is_paced_by_its_own_calls() -> None:
    evidence = _calls(-20, 1, 2.0) | _calls(-10, 3, 4.0)
    found = spend_against_budget(evidence_table(evidence), [_paced(0.0)], NOW, UTC).filter(window=MIDNIGHT - DAY)
    assert found["limit"].unique().to_list() == ["the daily limit"]
    assert found["at"].to_list() == [MIDNIGHT + h * HOUR for h in (-24, -19, -9, 0)]
    assert found["spent_usd"].to_list() == [0.0, 2.0, 6.0, 6.0]
    assert found["pace_usd"].to_list() == [0.0, 2.5, 10.0, 10.0]
    assert found["expected_usd"].to_list() == [None] * 4


def test_present_window_ends_at_the_ledgers_own_sum_and_goes_on_to_what_is_expected() -> None:
    # Evidence knows $3; the ledger, with failed attempts, $6. Six calls in the last six hours: one an hour to come.
    evidence = _calls(6, 3, 1.0) | _calls(9, 3, 2.0)
    found = spend_against_budget(evidence_table(evidence), [_paced(6.0, 9.0)], NOW, UTC)
    past = found.filter(found["expected_usd"].is_null())
    assert past["at"].to_list() == [MIDNIGHT, MIDNIGHT + 7 * HOUR]
    assert past["spent_usd"].to_list() == [0.0, 2.0]
    ahead = found.filter(found["expected_usd"].is_not_null())
    assert ahead["at"].to_list() == [NOW + i * HOUR for i in range(13)]
    assert ahead["spent_usd"].to_list() == [6.0, *[None] * 12]
    assert ahead["expected_usd"].to_list() == pytest.approx([6.0 + i * 0.25 for i in range(13)])
    assert ahead["pace_usd"].to_list() == pytest.approx([10.0 * (6 + i) / 18 for i in range(13)])


def test_limit_of_a_use_case_counts_its_calls_alone() -> None:
    evidence = _calls(9, 3, 2.0) | _calls(9, 5, 7.0, "code")
    assert max(filter(None, _table(evidence, _paced(2.0, use_case="chat"), "spent_usd"))) == 2.0
    assert max(filter(None, _table(evidence, _paced(9.0), "spent_usd"))) == 9.0


def test_nothing_expected_is_unknown() -> None:
    assert set(_table(_calls(9, 3, 2.0), _paced(2.0), "expected_usd")) == {None}


def test_seven_days_are_shown() -> None:
    evidence = {}
    for days in range(20):
        evidence |= _calls(9 - 24 * days, 1, 1.0)
    assert len(set(_table(evidence, _paced(1.0), "window"))) == 7


def test_without_calls_or_limits_the_table_is_empty() -> None:
    assert spend_against_budget(evidence_table({}), [_paced(0.0)], NOW, UTC).is_empty()
    assert spend_against_budget(evidence_table(_calls(9, 1, 1.0)), [], NOW, UTC).is_empty()


def test_later_calls_do_not_count() -> None:
    assert max(filter(None, _table(_calls(9, 1, 1.0) | _calls(13, 1, 5.0), _paced(1.0), "spent_usd"))) == 1.0


def test_long_windows_are_thinned_and_keep_their_last_point() -> None:
    evidence = {}
    for quarter in range(96):
        evidence |= _calls(-24 + quarter / 4, 1, 0.0625, width_s=900)
    found = spend_against_budget(evidence_table(evidence), [_paced(0.0)], NOW, UTC).filter(window=MIDNIGHT - DAY)
    assert found["spent_usd"].to_list() == [0.0, *(0.125 * i for i in range(1, 49))]
    assert found["at"].to_list()[-1] == MIDNIGHT
