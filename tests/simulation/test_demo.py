"""A small day through the real library: everything arrives in the ledger, in time, and the same every time."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from optimizer.engine import Optimizer
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.ledger.schema import open_database
from optimizer.simulation.demo import TAGS, Clock, Day, Played, stand_in
from tests.simulation.day import SETTINGS, START, a_day

WORLD = a_day(3, 500)
MIDNIGHT = START + timedelta(days=1)


def _play(path: Path) -> list[Played]:
    clock = Clock(START)
    rng = random.Random(3)
    database = open_database(str(path))
    with Optimizer(SETTINGS, WORLD.catalog, database, clock=clock, rng=rng, background=False) as opt:
        day = Day(WORLD, opt, clock, refresh_every=timedelta(hours=1))
        times = list(day.play())
    assert times == sorted(times)
    return day.played


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo.db"


@pytest.fixture(scope="module")
def played(path: Path) -> list[Played]:
    return _play(path)


@pytest.fixture(scope="module")
def stored(path: Path, played: list[Played]) -> Iterator[dict[str, StoredCall]]:
    database = open_database(str(path))
    yield {call.selection.call_id: call for call in recent_calls(database, limit=1_000)}
    database.close()


def test_every_request_is_a_call_with_its_attempts(played: list[Played], stored: dict[str, StoredCall]) -> None:
    assert sorted(call.arrival.prompt for call in played) == list(range(500))
    assert len(stored) == 500
    for call in played:
        found = stored[call.call_id]
        assert found.selection.decided_at == call.at
        assert found.selection.request.tags == tuple(TAGS.items())
        assert (found.served and found.served.model_id) == call.model_id
        assert [a.number for a in found.attempts] == list(range(len(found.attempts)))
        assert 1 <= len(found.attempts) <= 2


def test_failure_is_tried_once_more_on_the_stand_in(stored: dict[str, StoredCall]) -> None:
    failed = [call for call in stored.values() if call.attempts[0].error_kind]
    assert failed
    for call in failed:
        first, second = call.attempts
        assert (first.model_id, second.model_id) == (call.selection.model_id, stand_in(call.selection))
        assert second.at >= first.at


def test_ratings_end_as_the_raters_left_them(played: list[Played], stored: dict[str, StoredCall]) -> None:
    """Late, early, corrected and withdrawn: what counts is each rater's last word, as the world gives it."""
    kinds = {"late": 0, "early": 0, "withdrawn": 0}
    for call in played:
        found = stored[call.call_id]
        last: dict[tuple[str, str], float | None] = {}
        for attempt in found.attempts:
            began = attempt.at - timedelta(milliseconds=attempt.latency_ms or 0.0)
            answer = WORLD.answer(call.arrival, attempt.model_id, began)
            for rating in WORLD.ratings(call.arrival, answer):
                last[rating.metric, rating.rater] = rating.value
                kinds["late"] += began + rating.after >= MIDNIGHT
                kinds["early"] += began + rating.after < attempt.at
                kinds["withdrawn"] += rating.value is None
        assert {(r.metric, r.rater): r.value for r in found.feedback} == {
            k: v for k, v in last.items() if v is not None
        }
    assert all(kinds.values()), kinds


def test_ledger_follows_to_the_last_unit(path: Path, played: list[Played]) -> None:
    database = open_database(str(path))
    assert verify(database, SETTINGS.reward_rule) == []
    database.close()


def test_known_costs_are_what_the_world_charges(played: list[Played], stored: dict[str, StoredCall]) -> None:
    known = [call for call in played if stored[call.call_id].n_unknown_costs == 0]
    assert len(known) > 450
    for call in known:
        assert stored[call.call_id].known_cost_usd == pytest.approx(call.paid_usd, abs=1e-9)


def test_day_ends_on_other_models_than_it_began_with(played: list[Played]) -> None:
    first, last = played[:40], played[-150:]
    assert all(call.model_id == WORLD.routes[call.arrival.use_case].incumbent for call in first)
    cheaper = [call.model_id != WORLD.routes[call.arrival.use_case].incumbent for call in last]
    assert sum(cheaper) > 20


def test_same_seed_ends_the_same_way(played: list[Played], tmp_path: Path) -> None:
    again = _play(tmp_path / "again.db")
    assert [replace(call, call_id="") for call in again] == [replace(call, call_id="") for call in played]


def test_stand_in_is_the_incumbent_or_the_likeliest_other(stored: dict[str, StoredCall]) -> None:
    for call in stored.values():
        selection = call.selection
        found = stand_in(selection)
        assert found != selection.model_id
        if selection.model_id != selection.decision.incumbent:
            assert found == selection.decision.incumbent
        else:
            others = {m: p for m, p in selection.distribution.items() if m != selection.model_id}
            assert others[found] == max(others.values())
