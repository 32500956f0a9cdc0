"""A small day through the real router and over HTTP: everything arrives in the ledger, in time, and always the same."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from optimizer.ledger.audit import verify
from optimizer.ledger.calls import StoredCall, recent_calls
from optimizer.ledger.schema import open_database
from optimizer.simulation.demo import STREAMED, TAGS, Day, Played
from optimizer.simulation.events import LOCKED, LOCKED_FROM, LOCKED_UNTIL
from optimizer.simulation.world import Answer
from tests.simulation.day import SETTINGS, START, a_day

N_CALLS = 500  # enough for cheaper models to be chosen
WORLD = a_day(3, N_CALLS)
MIDNIGHT = START + timedelta(days=1)
LOCKED_OUT = "auth"
KINDS = {"rate_limit": "rate_limit", "server_error": "server", "timeout": "timeout", None: None}


def _play(path: Path) -> list[Played]:
    day = Day(WORLD, SETTINGS, open_database(str(path)), refresh_every=timedelta(hours=1))
    times: list[object] = []
    day.play(times.append)
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


def _answers(call: Played, found: StoredCall) -> Iterator[tuple[object, Answer]]:
    """Yield each attempt that came to a model with the world's answer to it."""
    asked: list[str] = []
    for attempt in found.attempts:
        if attempt.error_kind != LOCKED_OUT:
            began = attempt.at - timedelta(milliseconds=attempt.latency_ms or 0.0)
            yield attempt, WORLD.answer(call.arrival, attempt.model_id, began, retry=asked.count(attempt.model_id))
            asked.append(attempt.model_id)


def test_every_request_is_a_call_with_its_attempts(played: list[Played], stored: dict[str, StoredCall]) -> None:
    assert sorted(call.arrival.prompt for call in played) == list(range(N_CALLS))
    assert len(stored) == N_CALLS
    for call in played:
        found = stored[call.call_id or ""]
        assert found.selection.decided_at == call.at
        assert found.selection.request.context_tokens == call.arrival.context_tokens
        assert found.selection.request.tags == tuple(TAGS.items())
        assert (found.served and found.served.model_id) == call.model_id
        assert [a.number for a in found.attempts] == list(range(call.n_attempts))


def test_attempts_go_and_last_as_the_world_has_it(played: list[Played], stored: dict[str, StoredCall]) -> None:
    """Simulated time alone is measured: to the microsecond, whatever HTTP takes."""
    for call in played:
        for attempt, answer in _answers(call, stored[call.call_id or ""]):
            assert attempt.error_kind == KINDS[answer.error_kind]
            assert attempt.latency_ms == pytest.approx(answer.latency_ms, abs=0.01)
            streamed = call.arrival.use_case in STREAMED and answer.error_kind is None
            ttft_ms = pytest.approx(answer.ttft_ms, abs=0.01) if streamed else None
            assert attempt.ttft_ms == ttft_ms


def test_failed_calls_are_served_all_the_same(played: list[Played]) -> None:
    late = [call for call in played if call.n_attempts > 1]
    assert late
    assert all(call.model_id for call in late)


def test_other_gateway_serves_while_one_refuses_the_key(played: list[Played], stored: dict[str, StoredCall]) -> None:
    locked = [call for call in played if LOCKED_FROM <= call.at - START < LOCKED_UNTIL]
    assert len(locked) > 3
    assert {call.gateway for call in locked} == {"openrouter"}
    before = [call for call in played if call.at - START < LOCKED_FROM]
    assert {call.gateway for call in before} == {LOCKED}
    refused = sum(a.error_kind == LOCKED_OUT for call in locked for a in stored[call.call_id or ""].attempts)
    assert 0 < refused < len(locked) + 3


def test_ratings_end_as_the_raters_left_them(played: list[Played], stored: dict[str, StoredCall]) -> None:
    """Late, corrected and withdrawn: what counts is each rater's last word, as the world gives it."""
    kinds = {"late": 0, "withdrawn": 0}
    for call in played:
        found = stored[call.call_id or ""]
        last: dict[tuple[str, str], float | None] = {}
        for _, answer in _answers(call, found):
            for rating in WORLD.ratings(call.arrival, answer):
                last[rating.metric, rating.rater] = rating.value
                kinds["late"] += answer.at + rating.after >= MIDNIGHT
                kinds["withdrawn"] += rating.value is None
        given = {(r.metric, r.rater): r.value for r in found.feedback if r.metric != "valid_json"}
        assert given == {k: v for k, v in last.items() if v is not None}
    assert all(kinds.values()), kinds


def test_router_sees_for_itself_that_json_is_broken(played: list[Played], stored: dict[str, StoredCall]) -> None:
    for call in played:
        found = stored[call.call_id or ""]
        (*_, (_, answer)) = _answers(call, found)
        broken = answer.reading is not None and answer.reading.valid_schema is False
        assert any(r.metric == "valid_json" and r.value == 0.0 for r in found.feedback) == broken


def test_ledger_follows_to_the_last_unit(path: Path, played: list[Played]) -> None:
    database = open_database(str(path))
    assert verify(database, SETTINGS.reward_rule) == []
    database.close()


def test_costs_are_what_the_world_charges(played: list[Played], stored: dict[str, StoredCall]) -> None:
    """Where usage got lost, an estimate stands in: it knows the prompt's length, and nothing of caches."""
    sources = {"priced": 0, "reported": 0, "estimated": 0}
    for call in played:
        *failed, served = stored[call.call_id or ""].attempts
        sources[served.cost_source] += 1
        cost_usd = (served.cost_nano_usd or 0) / 1e9
        if served.cost_source == "estimated":
            assert served.usage is not None
            assert served.usage.input_tokens == call.arrival.context_tokens
            assert cost_usd > 0.5 * call.paid_usd
        else:
            assert cost_usd == pytest.approx(call.paid_usd, abs=1e-9)
        assert all(a.cost_nano_usd == 0 or a.error_kind == "timeout" for a in failed)
    assert all(sources.values()), sources


def test_day_ends_on_other_models_than_it_began_with(played: list[Played]) -> None:
    first, last = played[:40], played[-200:]
    assert all(call.model_id == WORLD.routes[call.arrival.use_case].incumbent for call in first)
    cheaper = [call.model_id != WORLD.routes[call.arrival.use_case].incumbent for call in last]
    assert sum(cheaper) > 20


def test_same_seed_ends_the_same_way(played: list[Played], tmp_path: Path) -> None:
    again = _play(tmp_path / "again.db")
    assert [replace(call, call_id="") for call in again] == [replace(call, call_id="") for call in played]
