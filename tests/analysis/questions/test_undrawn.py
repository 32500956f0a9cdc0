"""A ledger whose every call was pinned: nothing was drawn or rated, and every answer says so rather than fail."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from optimizer.analysis.questions import drift, floor_and_half_life, frontier, incidents, other_policies
from optimizer.analysis.questions.reading import Records, read_records
from optimizer.catalog import load_catalog
from optimizer.engine import Optimizer
from optimizer.simulation import floors

START = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Records:
    path, now = tmp_path_factory.mktemp("pinned") / "ledger.db", [START]
    options = {"environ": {}, "catalog": load_catalog(), "clock": lambda: now[0], "rng": random.Random(1)}
    with Optimizer.open(database=str(path), background=False, **options) as opt:
        for _ in range(3):
            now[0] += timedelta(minutes=1)
            selection = opt.select_optimal_model("chat", 500, model="gpt-4o-mini")
            opt.record(selection, cost_usd=0.001, usage={"prompt_tokens": 500, "completion_tokens": 20})
    return read_records(str(path))


def test_no_policy_is_judged(pinned: Records) -> None:
    found = other_policies.run_dry(pinned, ("logged", "incumbent"))
    assert "None of them was drawn, so nothing can be said of another policy." in other_policies.in_words(found)
    for table in (other_policies.differences, other_policies.diagnostics, other_policies.weights):
        assert table(found).is_empty()


def test_nothing_is_measured_of_the_frontier(pinned: Records) -> None:
    found = frontier.read_frontier(pinned)
    assert "\n- chat" in frontier.in_words(found)
    assert frontier.measured(found).is_empty()


def test_nothing_went_wrong(pinned: Records) -> None:
    words = incidents.in_words(pinned)
    assert "Failures: 0 of 3 attempts failed (0.0%); never three of a kind in a row." in words
    assert "Drift: no alarm." in words or "nothing is known of any model yet" in words
    assert drift.ratings_over_time(pinned, drift.suspects(pinned)).is_empty()


def test_only_replays_tell_of_floors(pinned: Records) -> None:
    found = other_policies.run_dry(pinned, ("logged", "average:90%"), half_lives=[timedelta(days=14)])
    replayed = floors.replay_floors(floors.example_table(), ("average:100%",), n_seeds=2)
    words = floor_and_half_life.in_words(found, replayed, replayed)
    assert "no other floor can be set beside what served" in words
