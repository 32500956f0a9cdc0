"""Ticks are round and never missing; labels stay clear of one another while there is room."""

from hypothesis import given
from hypothesis import strategies as st

from optimizer.analysis.figures.placing import SIDES, log_ticks, sides_of

POSITIVE = st.floats(1e-6, 1e6)


def test_ticks_are_one_two_and_five() -> None:
    assert log_ticks(0.0009, 0.03) == [0.001, 0.002, 0.005, 0.01, 0.02]


def test_many_powers_stand_alone() -> None:
    assert log_ticks(0.5, 150_000) == [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0]


def test_narrow_axis_has_ticks_too() -> None:
    assert log_ticks(0.011, 0.019) == [0.011, 0.012, 0.013, 0.014, 0.015, 0.016, 0.017, 0.018, 0.019]
    assert len(log_ticks(1.0, 2.6)) >= 3


@given(POSITIVE, st.floats(1.0, 1e6))
def test_ticks_lie_on_the_axis_and_are_not_too_many(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert ticks == sorted(ticks)
    assert all(low <= tick <= low * ratio for tick in ticks)
    assert len(ticks) <= 18


def test_alone_a_label_stands_right_above() -> None:
    assert sides_of([(100.0, 100.0)], ["a model"], 600.0) == [0]


def test_label_near_the_edge_turns_inside() -> None:
    (side,) = sides_of([(590.0, 100.0)], ["a model"], 600.0)
    assert SIDES[side].align == "right"


def test_labels_of_neighbours_take_different_sides() -> None:
    first, second = sides_of([(100.0, 100.0), (104.0, 100.0)], ["one model", "another"], 600.0)
    assert first != second
