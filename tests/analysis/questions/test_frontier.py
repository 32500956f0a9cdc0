"""The frontier holds every candidate, and its answer says of each use case what is believed good enough."""

import polars as pl
import pytest

from optimizer.analysis.figures.efficiency import EFFICIENT, HAPPENED
from optimizer.analysis.questions.frontier import Frontier, in_words, measured, read_frontier
from optimizer.analysis.questions.reading import Records


@pytest.fixture(scope="module")
def found(records: Records) -> Frontier:
    return read_frontier(records)


def test_every_priced_candidate_and_the_mix_that_served_are_points(found: Frontier) -> None:
    priced = found.beliefs.drop_nulls(["usd_per_call", "quality"]).height
    n_use_cases = found.beliefs["use_case"].n_unique()
    assert found.points.height == priced + n_use_cases
    assert found.points.filter(kind=HAPPENED).height == n_use_cases


def test_no_point_of_a_frontier_is_beaten_in_both(found: Frontier) -> None:
    for _, part in found.points.filter(~pl.col("happened")).group_by("use_case"):
        for point in part.filter(kind=EFFICIENT).iter_rows(named=True):
            other = part.filter(pl.col("label") != point["label"])
            beaten = other.filter(pl.col("usd_per_call") < point["usd_per_call"], pl.col("quality") > point["quality"])
            assert beaten.is_empty()


def test_answer_has_a_line_for_each_use_case(found: Frontier) -> None:
    words = in_words(found)
    for use_case in found.beliefs["use_case"].unique():
        assert f"\n- {use_case} (" in words


def test_candidate_that_is_called_good_enough_is_the_cheapest_of_those(found: Frontier) -> None:
    words = in_words(found)
    for (use_case,), part in found.beliefs.group_by("use_case"):
        good = part.filter(pl.col("quality") >= pl.col("floor")).sort("usd_per_call")
        (incumbent,) = part.filter(role="incumbent").iter_rows(named=True)
        first = good.row(0, named=True)
        line = next(line for line in words.splitlines() if line.startswith(f"- {use_case} ("))
        if first["usd_per_call"] < incumbent["usd_per_call"]:
            assert f"is {first['model']} ({first['quality']:.3f}" in line
        else:
            assert "nothing cheaper" in line


def test_what_is_measured_has_limits_in_both_directions(found: Frontier) -> None:
    points = measured(found)
    for point in points.iter_rows(named=True):
        assert point["usd_low"] <= point["usd_per_call"] <= point["usd_high"]
        assert point["quality_low"] <= point["quality"] <= point["quality_high"]
