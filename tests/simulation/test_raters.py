"""Raters grade on human scales, seldom, late and rather where the answer was bad; what they said may change."""

from collections import defaultdict
from datetime import timedelta

import numpy as np
import pytest

from optimizer.simulation.raters import PANELS, RATER_JUDGE, STEP, Panel, Reading, graded, ratings
from tests.simulation.day import a_day

DAY = a_day(4, 6_000)
HOUR = timedelta(hours=1)


def _rated():
    for arrival in DAY.arrivals:
        candidates = DAY.routes[arrival.use_case].candidates
        answer = DAY.answer(arrival, candidates[arrival.prompt % len(candidates)].model_id)
        if answer.error_kind is None:
            yield arrival, answer, DAY.ratings(arrival, answer)


RATED = tuple(_rated())


def test_users_rate_bad_answers_far_more_often() -> None:
    said = defaultdict(list)
    for arrival, answer, found in RATED:
        if arrival.use_case != "code_generation":
            said[answer.quality >= 0.5].append(any(r.rater == "user" for r in found))
    assert np.mean(said[False]) > 2 * np.mean(said[True]) > 0


def test_where_nobody_praises_users_first_say_no() -> None:
    for arrival, _, found in RATED:
        if PANELS[arrival.use_case].only_down:
            assert next((r.value for r in found if r.rater == "user"), 0.0) == 0.0


@pytest.mark.parametrize(
    ("use_case", "rater", "share"), [("quick_responses", "check", 0.15), ("chat", RATER_JUDGE, 0.12)]
)
def test_checks_and_judges_rate_a_share_whatever_the_outcome(use_case: str, rater: str, share: float) -> None:
    """Within 3.5 standard errors of the share, for good answers as for bad ones."""
    for good in (True, False):
        mine = [found for a, answer, found in RATED if a.use_case == use_case and (answer.quality >= 0.5) is good]
        n_rated = sum(any(r.rater == rater and r.metric == "quality" for r in found) for found in mine)
        assert abs(n_rated / len(mine) - share) < 3.5 * np.sqrt(share * (1 - share) / len(mine))


def test_only_some_calls_are_rated() -> None:
    share = np.mean([any(r.metric == "quality" for r in found) for *_, found in RATED])
    assert 0.1 < share < 0.35


def test_ratings_are_values_of_the_scale() -> None:
    for arrival, _, found in RATED:
        step = STEP[PANELS[arrival.use_case].scale]
        for rating in found:
            if rating.value is not None:
                assert 0.0 <= rating.value <= 1.0
                assert rating.rater == RATER_JUDGE or (rating.value / step) % 1.0 == 0.0


def test_some_come_early_some_hours_late_some_change_and_some_are_withdrawn() -> None:
    users = [(answer, [r for r in found if r.rater == "user"]) for _, answer, found in RATED]
    flat = [(answer, r) for answer, found in users for r in found]
    assert sum(r.after.total_seconds() * 1e3 < answer.latency_ms for answer, r in flat) > 5
    assert sum(r.after > HOUR for _, r in flat) > 20
    second = [found for _, found in users if len(found) == 2]
    assert any(found[1].value is None for found in second)
    assert any(found[1].value is not None and found[1].value != found[0].value for found in second)
    assert all(found[0].after < found[1].after for found in second)


def test_gate_is_rated_wherever_a_schema_was_asked_for_and_makes_the_answer_worthless() -> None:
    gates = {}
    for arrival, answer, found in RATED:
        mine = [r.value for r in found if r.metric == "valid_schema"]
        gated = "valid_schema" in DAY.routes[arrival.use_case].settings.metrics.gates
        assert len(mine) == int(arrival.needs_json_schema and gated)
        if mine:
            gates.setdefault(mine[0], []).append(answer.quality)
    assert set(gates[0.0]) == {0.0}
    assert np.mean(gates[1.0]) > 0.6


def test_failed_calls_are_not_rated() -> None:
    failed = next((a, answer) for a in DAY.arrivals if (answer := DAY.answer(a, "gpt-4o", a.at)).error_kind is not None)
    assert DAY.ratings(*failed) == ()


@pytest.mark.parametrize("scale", ["stars", "thumb", "tests"])
def test_grades_keep_to_their_steps_and_follow_merit(scale) -> None:
    merit = np.linspace(0.001, 0.999, 400)
    grades = graded(scale, merit, np.random.default_rng(0).normal(size=400))
    assert set(grades / STEP[scale] % 1.0) == {0.0}
    assert np.corrcoef(merit, grades)[0, 1] > 0.7


def test_everything_said_at_once_by_hand() -> None:
    """Merit .8 without noise is .75 in quarters; the judge adds .04: .84 is .85 in twentieths; the user withdraws."""
    panel = Panel("stars", 1.0, 1.0, checked=1.0, judged=1.0)
    chances = [0.5, 0.5, 0.5, 0.5, 0.08, 0.0, 0.0, 0.0]
    found = list(ratings(panel, Reading(0.8, 0.75, 2_000.0, True), chances, [0.0] * 4, metric="quality", gated=True))
    assert [(r.rater, r.metric, r.value) for r in found] == [
        ("check", "valid_schema", 1.0),
        ("check", "quality", 0.75),
        (RATER_JUDGE, "quality", 0.85),
        ("user", "quality", 0.75),
        ("user", "quality", None),
    ]
    assert [r.after.total_seconds() for r in found] == [2.005, 3.0, 122.0, 92.0, 152.0]
