"""A small version of `benchmarks/savings_coverage.py`: limits hold the truth, by each of the three methods."""

from collections import Counter

from benchmarks.savings_coverage import GROUPS, one_day


def test_limits_hold_what_was_truly_saved() -> None:
    """12 intervals of 95%: fewer than 9 hits come about once in five hundred times."""
    days = [one_day(seed, 1_500) for seed in range(1_000, 1_004)]
    used = Counter(word for day in days for each in day.values() for word in each.kind.split(" and "))
    assert sum(each.covers for day in days for each in day.values()) >= 9
    assert used.keys() == GROUPS.keys()
