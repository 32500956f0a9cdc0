"""What one call teaches, by hand and by law."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.decision.credit import (
    CreditedCall,
    Tally,
    bin_upper_ms,
    call_ratings,
    contributions,
    latency_bin,
    percentile_ms,
)
from optimizer.decision.evidence import EvidenceKey, Sums, added
from optimizer.domain import Attempt, Feedback, RewardRule, Usage
from optimizer.errors import InvalidRequest

AT = datetime(2026, 3, 2, 12, 7, tzinfo=UTC)
CALL = CreditedCall("chat", "maths", int(AT.timestamp()), context_tokens=30)
SERVED = Attempt(
    "c",
    "small",
    "portkey",
    AT,
    number=1,
    latency_ms=1000.0,
    ttft_ms=0.5,
    usage=Usage(input_tokens=30, cached_tokens=20, output_tokens=7),
    cost_nano_usd=123,
)
FAILED = Attempt("c", "large", "portkey", AT, served=False, error_kind="timeout")
RULE = RewardRule("quality", gates=("valid",))


def rating(value: float | None, metric: str = "quality", rater: str = "ann") -> Feedback:
    return Feedback("c", metric, rater, value, AT)


def measured(attempts: list[Attempt], ratings: list[Feedback], rule: RewardRule = RULE) -> dict[tuple[str, str], Sums]:
    found = contributions(CALL, attempts, ratings, rule)
    return {(key.model_id, key.measure): sums for key, sums in found.items()}


def test_one_call_by_hand() -> None:
    """12:07 is in the quarter from 12:00, 1000 ms in bin ⌊8·log₂ 1000⌋ = 79, 30 tokens in bin 2·log₂ 31 ≈ 10."""
    noon = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp())
    found = contributions(CALL, [FAILED, SERVED], [rating(0.25)], RULE)
    assert {key[:2] + key[4:] for key in found} == {("chat", "maths", noon, 900)}
    assert measured([FAILED, SERVED], [rating(0.25)]) == {
        ("large", "failure"): Sums(1, 1, 1),
        ("small", "failure"): Sums(1, 0, 0),
        ("small", "calls:10"): Sums(1, 30, 900),
        ("small", "input_tokens"): Sums(1, 30, 900),
        ("small", "cached_tokens"): Sums(1, 20, 400),
        ("small", "output_tokens"): Sums(1, 7, 49),
        ("small", "cost_nano_usd"): Sums(1, 123, 0),
        ("small", "latency:79"): Sums(1),
        ("small", "ttft:0"): Sums(1),
        ("small", "quality:quality"): Sums(1, 2500, 6_250_000),
    }


def test_what_is_unknown_is_not_zero() -> None:
    found = measured([Attempt("c", "small", "portkey", AT)], [])
    assert found == {("small", "failure"): Sums(1), ("small", "calls:10"): Sums(1, 30, 900)}


def test_ratings_wait_until_an_attempt_serves() -> None:
    assert measured([], [rating(1.0)]) == {}
    assert measured([FAILED], [rating(1.0)]) == {("large", "failure"): Sums(1, 1, 1)}


def test_a_reply_of_another_call_teaches_nothing_and_neither_do_its_ratings() -> None:
    reused = replace(SERVED, reused="cache")
    assert measured([reused], [rating(1.0)]) == {}
    assert measured([FAILED, reused], [rating(1.0)]) == {("large", "failure"): Sums(1, 1, 1)}
    own = replace(SERVED, number=2)
    assert measured([reused, own], [rating(1.0)]) == measured([own], [rating(1.0)])


def test_failed_tries_of_one_model_add_up() -> None:
    again = Attempt("c", "large", "portkey", AT, number=2, served=False, error_kind="timeout")
    assert measured([FAILED, again], [])["large", "failure"] == Sums(2, 2, 2)


@pytest.mark.parametrize(("gate", "reward"), [(0.0, 0), (0.4999, 0), (0.5, 8000), (1.0, 8000)])
def test_a_gate_below_one_half_makes_the_quality_zero(gate: float, reward: int) -> None:
    found = measured([SERVED], [rating(0.8), rating(gate, "valid", "schema")])
    assert found["small", "quality:quality"] == Sums(1, reward, reward**2)
    assert found["small", "quality:valid"].total == round(gate * 10_000)


def test_a_failed_gate_is_a_reward_of_zero_also_where_nobody_rated() -> None:
    assert measured([SERVED], [rating(0.0, "valid")])["small", "quality:quality"] == Sums(1, 0, 0)


def test_no_rating_is_not_a_zero() -> None:
    found = measured([SERVED], [rating(1.0, "valid"), rating(None)])
    assert ("small", "quality:quality") not in found


def test_judges_count_only_where_no_person_rated() -> None:
    judged = [rating(0.2, rater="judge:strict"), rating(0.4, rater="judge:kind")]
    assert call_ratings(judged) == {"quality": 3000}
    assert call_ratings([*judged, rating(0.9)]) == {"quality": 9000}
    assert call_ratings([*judged, rating(0.9, "valid")]) == {"quality": 3000, "valid": 9000}


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_several_raters_are_averaged_in_whole_units_whatever_their_order(units: list[int], random: object) -> None:
    """The exact mean, rounded half up, by rational arithmetic."""
    ratings = [rating(unit / 10_000, rater=str(number)) for number, unit in enumerate(units)]
    mean = math.floor(Fraction(sum(units), len(units)) + Fraction(1, 2))
    random.shuffle(ratings)  # type: ignore[attr-defined]
    assert call_ratings(ratings) == {"quality": mean}


def test_a_call_taken_away_leaves_nothing() -> None:
    tally = Tally()
    for sign in (1, -1):
        tally.add(CALL, [FAILED, SERVED], [rating(0.3)], RULE, sign=sign)
    assert tally.sums() == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10)), max_size=20))
def test_a_tally_is_the_sum_of_contributions(calls: list[tuple[int, int]]) -> None:
    tally, parts = Tally(), []
    for quarter, tenths in calls:
        call = CALL._replace(decided_at_s=quarter * 900)
        tally.add(call, [SERVED], [rating(tenths / 10)], RULE)
        parts.append(contributions(call, [SERVED], [rating(tenths / 10)], RULE))
    sums = tally.sums()
    assert sums == added(parts)
    assert all(type(key) is EvidenceKey and type(value) is Sums for key, value in sums.items())


@given(st.floats(1.0, 1e9))
def test_a_duration_lies_within_its_bin(ms: float) -> None:
    number = latency_bin(ms)
    assert bin_upper_ms(number - 1) <= ms < bin_upper_ms(number)
    assert bin_upper_ms(number) / bin_upper_ms(number - 1) == pytest.approx(2 ** (1 / 8))


@pytest.mark.parametrize("number", range(240))
def test_edges_belong_to_the_next_bin(number: int) -> None:
    edge = bin_upper_ms(number)
    assert latency_bin(edge) == number + 1
    assert latency_bin(math.nextafter(edge, 0.0)) == number
    assert edge == pytest.approx(2 ** ((number + 1) / 8))


@pytest.mark.parametrize("ms", [-1.0, math.nan, math.inf])
def test_durations_that_are_none_are_refused(ms: float) -> None:
    with pytest.raises(InvalidRequest, match="latency_ms"):
        latency_bin(ms)


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=60), st.sampled_from((0.05, 0.5, 0.95, 1.0)))
def test_percentiles_are_at_most_a_bin_above_the_true_ones(durations: list[float], share: float) -> None:
    counts: dict[int, float] = {}
    for ms in durations:
        counts[latency_bin(ms)] = counts.get(latency_bin(ms), 0) + 1
    true = float(np.quantile(durations, share, method="inverted_cdf"))
    found = percentile_ms(counts, share)
    assert found is not None
    assert true < found <= true * 2 ** (1 / 8) * (1 + 1e-12)


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile_ms({}, 0.5) is None
    assert percentile_ms({3: 0.0}, 0.5) is None


def test_an_attempt_that_its_caller_gave_up_is_nobodys_failure() -> None:
    assert measured([replace(FAILED, error_kind="cancelled")], []) == {}
