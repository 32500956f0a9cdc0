"""A bucket lets a minute's worth through at once, then as many as flow in."""

from hypothesis import given
from hypothesis import strategies as st

from optimizer.service.rate_limits import RateLimits


class Timer:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_full_bucket_is_a_minutes_worth_then_one_flows_in_at_a_time() -> None:
    """Two a minute: the third has to wait until the first has flowed back, 30 s later."""
    timer = Timer()
    limits = RateLimits(timer)
    assert [limits.take("a", 2) for _ in range(3)] == [0.0, 0.0, 30.0]
    timer.now_s += 29.0
    assert limits.take("a", 2) == 1.0
    timer.now_s += 1.0
    assert [limits.take("a", 2) for _ in range(2)] == [0.0, 30.0]


def test_names_have_buckets_of_their_own() -> None:
    limits = RateLimits(Timer())
    assert [limits.take(name, 1) for name in ("a", "b", "a")] == [0.0, 0.0, 60.0]


def test_memory_is_bounded() -> None:
    limits = RateLimits(Timer(), capacity=2)
    assert [limits.take(name, 1) for name in ("a", "b", "c", "b")] == [0.0, 0.0, 0.0, 60.0]
    assert limits.take("a", 1) == 0.0


@given(st.integers(1, 50), st.lists(st.floats(0.0, 20.0), max_size=200))
def test_never_more_than_two_buckets_in_a_minute_nor_more_than_flows_in(per_minute: int, pauses: list[float]) -> None:
    timer = Timer()
    limits = RateLimits(timer)
    n = 0
    for pause in pauses:
        timer.now_s += pause
        n += limits.take("a", per_minute) == 0.0
    assert n <= per_minute * (1.0 + (timer.now_s - 100.0) / 60.0) + 1e-6


def test_whoever_waits_as_long_as_told_is_let_in() -> None:
    timer = Timer()
    limits = RateLimits(timer)
    while not (wait_s := limits.take("a", 7)):
        pass
    timer.now_s += wait_s
    assert limits.take("a", 7) == 0.0
