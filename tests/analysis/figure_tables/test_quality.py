"""Points of cost and quality, and calibration, by hand; beliefs agree with what a decision says."""

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from optimizer.analysis.dry_run import DryRun, Figure, PolicyResult
from optimizer.analysis.figure_tables import calibration, frontier_of_models, frontier_of_policies
from optimizer.analysis.figure_tables.quality import MIX
from optimizer.analysis.intervals import mean_interval
from optimizer.decided import Decision, Standing
from optimizer.domain import Attempt, Candidate, Feedback, Request, RewardRule
from optimizer.ledger.calls import StoredCall
from optimizer.selection import Selection
from tests.analysis.figures.samples import BELIEFS

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULES = {"chat": RewardRule("quality", ("valid",))}


def _result(policy: str, use_case: str, cost: float | None, quality: float = 0.5) -> PolicyResult:
    refused = None if cost is not None else "too little is known"
    figures = {"cost_usd": Figure(cost, 0.1, 0.3, refused), "quality": Figure(quality, 0.4, 0.6)}
    return PolicyResult(policy, use_case, 100, figures, {})


def test_points_of_policies_are_those_of_the_dry_run() -> None:
    found = DryRun(
        (_result("what happened", "chat", 0.2), _result("what happened", "all", 0.25)),
        (_result("random", "chat", 0.3), _result("random", "all", None)),
        {},
    )
    assert frontier_of_policies(found).rows() == [
        ("all", "what happened", 0.25, 0.1, 0.3, 0.5, 0.4, 0.6, True),
        ("all", "random", None, 0.1, 0.3, 0.5, 0.4, 0.6, False),
    ]
    assert frontier_of_policies(found, "chat")["usd_per_call"].to_list() == [0.2, 0.3]


def test_one_use_case_alone_is_all() -> None:
    found = DryRun((_result("what happened", "chat", 0.2),), (_result("random", "chat", 0.3),), {})
    assert frontier_of_policies(found)["label"].to_list() == ["what happened", "random"]


def test_mix_is_the_mean_by_share_served() -> None:
    found = frontier_of_models(BELIEFS)
    assert found["label"].to_list() == ["new", "old", MIX]
    mix = found.row(2, named=True)
    assert mix["happened"]
    assert mix["usd_per_call"] == pytest.approx(0.6 * 0.000123 + 0.4 * 0.02)
    assert mix["quality"] == pytest.approx(0.6 * 0.7 + 0.4 * 0.8)
    assert mix["quality_low"] is None


def test_mix_with_an_unknown_price_costs_nobody_knows_what() -> None:
    unknown = BELIEFS.with_columns(usd_per_call=pl.when(model="new").then(None).otherwise("usd_per_call"))
    mix = frontier_of_models(unknown).filter("happened").row(0, named=True)
    assert mix["usd_per_call"] is None
    assert mix["quality"] == pytest.approx(0.74)


def test_model_that_never_served_is_not_in_the_mix() -> None:
    idle = BELIEFS.with_columns(served=pl.when(model="new").then(0.0).otherwise(1.0))
    assert frontier_of_models(idle).filter("happened")["usd_per_call"].to_list() == [0.02]


def _call(
    number: int, expected: float | None, rating: float | None, *, session: str | None = None, valid: float = 1.0
) -> StoredCall:
    standing = Standing(Candidate(model_id="m"), expected_quality=expected)
    decision = Decision("chat", "", "quality", None, (standing,), "m")
    call_id = f"c{number}"
    request = Request(use_case="chat", context_tokens=1, session_id=session)
    selection = Selection(call_id, NOON, request, decision, "m", "m", 1.0)
    ratings = [("valid", valid)] + ([] if rating is None else [("quality", rating)])
    feedback = tuple(Feedback(call_id, metric, "user", value, NOON) for metric, value in ratings)
    return StoredCall(selection, (Attempt(call_id, "m", "portkey", NOON),), feedback)


def test_few_rated_calls_are_one_group() -> None:
    found = calibration([_call(1, 0.6, 1.0), _call(2, 0.8, 0.5), _call(3, 0.7, None)], RULES)
    low, high = mean_interval([1.0, 0.5])[1:]
    assert found.rows() == [(pytest.approx(0.7), pytest.approx(0.75), pytest.approx(low), pytest.approx(high), 2)]


def test_groups_are_alike_in_expectation_and_size() -> None:
    calls = [_call(n, 0.5 + n % 3 / 10, 1.0 if n % 2 else 0.0) for n in range(90)]
    found = calibration(calls, RULES)
    assert found["expected"].to_list() == pytest.approx([0.5, 0.6, 0.7])
    assert found["rated"].to_list() == [0.5] * 3
    assert found["calls"].to_list() == [30] * 3


def test_ten_groups_at_most() -> None:
    assert calibration([_call(n, n / 1_000, 1.0) for n in range(1_000)], RULES).height == 10


def test_gate_turns_a_rating_into_nothing() -> None:
    assert calibration([_call(1, 0.6, 1.0, valid=0.0)], RULES)["rated"].to_list() == [0.0]


def test_one_session_tells_no_interval() -> None:
    found = calibration([_call(n, 0.6, n / 10, session="s") for n in range(10)], RULES)
    assert found.select("low", "high").row(0) == (None, None)


def test_calls_of_unknown_expectation_or_use_case_are_left_out() -> None:
    assert calibration([_call(1, None, 1.0)], RULES).is_empty()
    assert calibration([_call(1, 0.6, 1.0)], {}).is_empty()
    unserved = replace(_call(1, 0.6, 1.0), attempts=())
    assert calibration([unserved], RULES).is_empty()
