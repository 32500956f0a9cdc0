"""Calls to come against hand-counted days, and shares of what is left against their laws."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from optimizer.decision.belief import FloatArray
from optimizer.decision.evidence import DAY_S, FINE_S, HOUR_S
from optimizer.decision.pacing import CallBucket, LimitUse, allotted, calls_until

MIDNIGHT_S = 20_000 * DAY_S
AGES_S = 14.0 * DAY_S
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
USE = LimitUse("day", 20.0, 12.0, 3.0, NOON.replace(hour=0), NOON.replace(hour=0) + timedelta(days=1))

counts = st.lists(st.integers(0, 50), min_size=1, max_size=5 * 24)
dollars = st.floats(0.0, 100.0)
use_cases = st.lists(
    st.tuples(st.floats(0.0, 1e5), st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=6
).map(lambda rows: np.array(rows).T)


def day_of(by_hour: dict[int, float], *, ago: int) -> list[CallBucket]:
    start = MIDNIGHT_S - ago * DAY_S
    return [CallBucket(start + hour * HOUR_S, HOUR_S, n) for hour, n in by_hour.items()]


def test_without_any_call_there_is_no_forecast() -> None:
    assert calls_until([], MIDNIGHT_S, MIDNIGHT_S + DAY_S, AGES_S) is None


def test_the_same_hours_of_yesterday_are_to_come() -> None:
    """At 12 o'clock 30 calls at 14 and 10 at 20 o'clock are ahead; the 50 at 9 o'clock are not."""
    yesterday = day_of({0: 1, 9: 50, 14: 30, 20: 10}, ago=1)
    now_s = MIDNIGHT_S + 12 * HOUR_S
    assert calls_until(yesterday, now_s, MIDNIGHT_S + DAY_S, AGES_S) == pytest.approx(40.0)


def test_part_of_a_bucket_counts_in_part() -> None:
    """From 14:15 on, three quarters of the 40 calls between 14 and 15 o'clock are left."""
    now_s = MIDNIGHT_S + 14 * HOUR_S + FINE_S
    yesterday = day_of({0: 1, 14: 40}, ago=1)
    assert calls_until(yesterday, now_s, MIDNIGHT_S + DAY_S, AGES_S) == pytest.approx(30.0)


def test_older_days_weigh_less() -> None:
    """Half-life of a day: yesterday's 40 weigh 1/2 and the 10 of the day before 1/4, (20 + 2.5)/.75 = 30."""
    days = [*day_of({0: 1, 14: 40}, ago=1), *day_of({0: 1, 14: 10}, ago=2)]
    now_s = MIDNIGHT_S + 12 * HOUR_S
    assert calls_until(days, now_s, MIDNIGHT_S + DAY_S, float(DAY_S)) == pytest.approx(30.0)


def test_whole_days_to_come_are_mean_days() -> None:
    """Ten days and twelve hours at 24 calls a day, spread evenly."""
    evenly = [bucket for ago in range(1, 6) for bucket in day_of(dict.fromkeys(range(24), 1.0), ago=ago)]
    until_s = MIDNIGHT_S + 10 * DAY_S + 12 * HOUR_S
    assert calls_until(evenly, MIDNIGHT_S, until_s, AGES_S) == pytest.approx(252.0)


def test_before_a_day_is_known_calls_go_on_as_lately() -> None:
    """30 calls in the three hours since the first of the last six; those of eight hours ago do not count."""
    lately = [CallBucket(MIDNIGHT_S - ago * HOUR_S, HOUR_S, n) for ago, n in ((8, 500), (3, 10), (2, 10), (1, 10))]
    assert calls_until(lately, MIDNIGHT_S, MIDNIGHT_S + 2 * HOUR_S, AGES_S) == pytest.approx(20.0)


def test_the_first_minute_is_not_taken_for_a_rate() -> None:
    """Five calls in a minute count as five in a quarter of an hour."""
    start = [CallBucket(MIDNIGHT_S, FINE_S, 5)]
    assert calls_until(start, MIDNIGHT_S + 60, MIDNIGHT_S + 60 + HOUR_S, AGES_S) == pytest.approx(20.0)


def test_an_excess_over_the_usual_goes_on() -> None:
    """36 calls in six hours where none are usual: all but two go on, 34 in each six to come."""
    now_s = MIDNIGHT_S + 12 * HOUR_S
    buckets = [*day_of({0: 1, 20: 10}, ago=1), *day_of(dict.fromkeys(range(6, 12), 6.0), ago=0)]
    assert calls_until(buckets, now_s, MIDNIGHT_S + DAY_S, AGES_S) == pytest.approx(10.0 + 2 * 34.0)


@pytest.mark.parametrize("today", [0.0, 4.0, 5.0])
def test_what_may_be_chance_is_no_excess(today: float) -> None:
    """24 calls in the last six hours are usual; 30 are within 2·√25 of it."""
    now_s = MIDNIGHT_S + 12 * HOUR_S
    usual = day_of({0: 1, 20: 10} | dict.fromkeys(range(6, 12), 4.0), ago=1)
    buckets = [*usual, *day_of(dict.fromkeys(range(6, 12), today), ago=0)]
    assert calls_until(buckets, now_s, MIDNIGHT_S + DAY_S, AGES_S) == pytest.approx(10.0)


@given(counts, st.floats(0.0, 40 * DAY_S), st.floats(0.0, 40 * DAY_S))
def test_more_calls_are_to_come_until_later(by_hour: list[int], one_s: float, other_s: float) -> None:
    buckets = [CallBucket(MIDNIGHT_S - (i + 1) * HOUR_S, HOUR_S, n) for i, n in enumerate(by_hour)]
    sooner, later = (calls_until(buckets, MIDNIGHT_S, MIDNIGHT_S + s, AGES_S) for s in sorted((one_s, other_s)))
    assert (sooner is None) == (later is None) == (not any(by_hour))
    assert sooner is None or later is None or 0.0 <= sooner <= later * (1.0 + 1e-9) + 1e-9


def test_calls_in_flight_cost_what_is_expected_where_they_are_counted() -> None:
    """20 − 12 − 3 reserved at worst; two calls of $0.50 leave 20 − 12 − 1; more than reserved is never taken."""
    assert USE.left_usd(0.5) == 5.0
    counted = replace(USE, n_in_flight=2)
    assert (counted.left_usd(0.5), counted.left_usd(99.0)) == (7.0, 5.0)
    assert replace(USE, spent_usd=25.0).left_usd(0.5) == 0.0


def test_a_limit_is_named_in_words() -> None:
    assert USE.name == "the daily limit"
    assert replace(USE, window="hour", use_case="chat").name == "the hourly limit of chat"


def test_one_use_case_has_what_is_left_by_the_call() -> None:
    """$5 for 1,000 calls, whatever they cost by themselves."""
    for own in (0.001, 0.005, 0.1):
        assert_allclose(allotted(5.0, np.array([1000.0]), np.array([own]), np.array([0.001])), [0.005])


def test_several_shrink_alike_but_none_below_its_least() -> None:
    """$10 for 100 calls of $0.10, 100 of $0.20 that can do with $0.02, and 100 of $0.02 that cannot do with less.

    8 are left for the first two, which would spend 30: a factor of 4/15.
    """
    n, own, least = np.full(3, 100.0), np.array([0.1, 0.2, 0.02]), np.array([0.01, 0.02, 0.02])
    assert_allclose(allotted(10.0, n, own, least), [0.4 / 15, 0.8 / 15, 0.02])


@given(dollars, use_cases)
def test_what_is_allotted_is_never_more_than_what_is_left(left: float, rows: FloatArray) -> None:
    n, own, least = rows
    usd = allotted(left, n, own, np.minimum(own, least))
    assert (usd >= 0.0).all()
    assert n @ usd <= left * (1.0 + 1e-9) + 1e-15
    assert (usd <= left).all()


@given(dollars, dollars, use_cases)
def test_what_is_allotted_grows_with_what_is_left(one: float, other: float, rows: FloatArray) -> None:
    n, own, least = rows
    low, high = (allotted(left, n, own, np.minimum(own, least)) for left in sorted((one, other)))
    assert (low <= high * (1.0 + 1e-9) + 1e-12).all()


@given(use_cases)
def test_whoever_can_spend_all_that_is_left_does(rows: FloatArray) -> None:
    """Between the least of all and what they would spend by themselves nothing is left over."""
    n, own, least = rows
    least = np.minimum(own, least)
    left = float(n @ (own + least)) / 2.0
    usd = allotted(left, n, own, least)
    assert n @ usd == pytest.approx(left) or (n < 1.0).any()
