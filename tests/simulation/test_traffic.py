"""Requests come when people work, as many as asked for, in sessions, and fit those who must serve them."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

import numpy as np

from optimizer.simulation.traffic import PROFILES
from tests.simulation.day import ROUTES, START, a_day

DAY = a_day(1, 3_000)


def test_day_has_as_many_calls_as_asked_in_order_of_time() -> None:
    times = [arrival.at for arrival in DAY.arrivals]
    assert len(times) == 3_000
    assert times == sorted(times)
    assert START <= times[0] < times[-1] < START + timedelta(days=1)
    assert [arrival.prompt for arrival in DAY.arrivals] == list(range(3_000))


def test_every_use_case_gets_its_share_to_the_call() -> None:
    counts = Counter(arrival.use_case for arrival in DAY.arrivals)
    assert all(abs(counts[name] - 3_000 * profile.share) < 1 for name, profile in PROFILES.items())


def test_shares_and_humps_leave_nothing_below_zero() -> None:
    assert sum(profile.share for profile in PROFILES.values()) == 1.0
    assert all(sum(weight for *_, weight in profile.busy) <= 1.0 for profile in PROFILES.values())


def test_offices_are_quiet_at_night() -> None:
    hours = Counter(arrival.at.hour for arrival in DAY.arrivals if arrival.use_case == "code_generation")
    assert sum(hours[h] for h in range(9, 18)) > 10 * sum(hours[h] for h in range(6))


def test_turns_of_a_session_follow_each_other_and_find_the_last_one_cached() -> None:
    sessions = defaultdict(list)
    for arrival in DAY.arrivals:
        if arrival.session_id is not None:
            sessions[arrival.session_id].append(arrival)
    assert 200 < len(sessions) < 1_500
    for calls in sessions.values():
        assert [call.turn for call in calls] == list(range(len(calls)))
        assert len({(call.use_case, call.tenant) for call in calls}) == 1
        assert calls[0].cached_tokens == 0
        assert all(0 < b.cached_tokens <= min(a.context_tokens, b.context_tokens) for a, b in pairwise(calls))


def test_incumbent_can_always_serve() -> None:
    for arrival in DAY.arrivals:
        route = ROUTES[arrival.use_case]
        incumbent = next(c for c in route.candidates if c.model_id == route.incumbent)
        assert arrival.context_tokens + route.settings.max_tokens <= incumbent.context_window_tokens
        assert incumbent.supports_tools or not arrival.needs_tools
        assert incumbent.supports_json_schema or not arrival.needs_json_schema
        assert incumbent.supports_vision or not arrival.needs_vision


def test_prompts_of_a_session_are_alike_in_difficulty() -> None:
    """The session's part has variance .49 of 1.13, so first and second turns correlate at .43."""
    day = a_day(2, 8_000)
    first = {a.session_id: a.prompt for a in day.arrivals if a.session_id and a.turn == 0 and a.use_case == "chat"}
    second = {a.session_id: a.prompt for a in day.arrivals if a.turn == 1 and a.use_case == "chat"}
    pairs = [(day.traffic.difficulty[first[s]], day.traffic.difficulty[second[s]]) for s in second]
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1] - 0.43) < 3 / np.sqrt(len(pairs))


def test_one_call_is_a_day_too() -> None:
    assert len(a_day(3, 1).arrivals) == 1
