"""Policies run dry on a day: what can be told is told with limits, and the rest is refused with its reason."""

from datetime import timedelta

import polars as pl
import pytest

from optimizer.analysis import figures
from optimizer.analysis.questions import other_policies
from optimizer.analysis.questions.other_policies import Alternatives
from optimizer.analysis.questions.reading import Records
from tests.analysis.questions.conftest import N_CALLS


@pytest.fixture(scope="module")
def found(records: Records) -> Alternatives:
    return other_policies.run_dry(
        records, ("logged", "incumbent", "average:90%", "random"), half_lives=[timedelta(hours=6)]
    )


def test_answer_counts_what_can_be_told(found: Alternatives) -> None:
    lines = other_policies.in_words(found).splitlines()
    assert f"{N_CALLS:,} SIMULATED calls" in lines[0]
    n_asked = 4 * len(found.use_cases)  # the logged policy is no question
    n_told = other_policies.differences(found)["usd_per_1000"].drop_nulls().len()
    assert lines[3].startswith(f"{n_asked} questions were asked (policies times use cases). This log answers {n_told} ")


def test_estimate_of_what_served_is_near_what_it_really_cost(found: Alternatives) -> None:
    rows = other_policies.results(found)
    happened, logged = rows.filter("happened"), rows.filter(pl.col("policy") == "logged")
    assert logged["usd_low"].item() <= happened["usd_per_call"].item() <= logged["usd_high"].item()


def test_random_choices_are_refused_and_the_reason_is_said(found: Alternatives) -> None:
    assert found.of("random").figures["cost_usd"].value is None
    reasons = other_policies.refusals(found)
    assert any("none of the policy's choices was ever drawn" in reason for reason in reasons)
    refused = sum(int(reason.split()[0]) for reason in reasons)
    assert refused == sum(row.figures["cost_usd"].value is None for row in found.found.policies)


def test_calls_of_a_policys_weights_are_all_calls(found: Alternatives) -> None:
    weights = other_policies.weights(found)
    by_policy = dict(weights.group_by("policy").agg(pl.col("calls").sum()).iter_rows())
    assert by_policy["logged"] == N_CALLS
    assert weights.filter(policy="logged", weight="1 to 2")["calls"].item() == N_CALLS


def test_another_half_life_is_a_policy_of_its_own(found: Alternatives) -> None:
    assert found.of("half-life 6h").policy == "half-life 6h"
    assert other_policies.in_days(timedelta(days=14)) == "14d"


def test_figures_draw_the_tables(found: Alternatives) -> None:
    diagnostics = other_policies.diagnostics(found)
    assert "US dollars per 1,000 calls" in figures.policies_beside(other_policies.differences(found)).to_json()
    assert "importance weight" in figures.weights(other_policies.weights(found)).to_json()
    assert "average:90%" in figures.worth(diagnostics.filter(measure="cost")).to_json()
    for draw in (figures.policies_beside, figures.weights, figures.worth):
        assert "can set no policy" in (words := draw(diagnostics.clear()).to_json()) or "no policy" in words
