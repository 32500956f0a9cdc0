"""The benchmark of memory: what it makes of its readings; minutes of load are for a run by hand."""

import pytest

from benchmarks.service_memory import growth


def test_growth_is_that_of_the_line_after_the_first_minute() -> None:
    readings = [(0.0, 50.0), (30.0, 90.0), (60.0, 100.0), (70.0, 101.0), (80.0, 102.0)]
    assert growth(readings) == (pytest.approx(2.0), 100.0)
