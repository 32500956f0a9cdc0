"""Drift in replay: alarms on shifts and hardly ever without, by the code of production; what follows from them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from optimizer.decision.belief import IntArray
from optimizer.decision.drift import Alarm
from optimizer.decision.evidence import FINE_S
from optimizer.domain import Objective
from optimizer.simulation.experiment import report, run_task, tasks
from optimizer.simulation.knowledge import Knowledge
from optimizer.simulation.policies import replay
from optimizer.simulation.recorded import ReplayTable
from optimizer.simulation.replay import Played, ReplaySettings
from optimizer.simulation.stream import Stream, make_stream

MODELS = ("dear", "middle", "cheap")
USD = (1e-2, 1e-3, 1e-4)
STEADY, DECLINED = (0.92, 0.9, 0.78), (0.92, 0.5, 0.78)
BUDGET = Objective("budget", 2e-3)


def _table(name: str, means: tuple[float, ...], n: int, seed: int) -> ReplayTable:
    """Coins of these biases, two points more in one use case and less in the other."""
    rng = np.random.default_rng(seed)
    harder = rng.integers(2, size=n)
    quality = (rng.random((n, 3)) < np.array(means) + 0.02 - 0.04 * harder[:, None]).astype(float)
    unknown = np.full((n, 3), np.nan)
    prices = np.full(3, np.nan)
    prompts, use_cases = tuple(f"{name}{i}" for i in range(n)), tuple(np.array(["chat", "code"])[harder].tolist())
    cost = np.tile(USD, (n, 1))
    return ReplayTable(name, MODELS, prompts, use_cases, quality, cost, unknown, unknown, np.zeros(n), prices, prices)


def _dropped(seed: int, n_before: int = 1200) -> Stream:
    return make_stream([_table("a", STEADY, n_before, seed), _table("b", DECLINED, 600, 100 + seed)], incumbent="dear")


def _share(played: Played, calls: slice) -> float:
    return float(played.shares[calls, MODELS.index("middle")].mean())


@pytest.mark.parametrize("objective", [BUDGET, Objective.parse("value:0.05"), Objective.parse("average:97%")])
def test_a_model_that_declines_loses_its_share_within_200_calls(objective: Objective) -> None:
    """From .9 to .5; over four seeds the share falls by 90%."""
    played = [replay(_dropped(seed), "thompson", objective, ReplaySettings(), seed) for seed in range(4)]
    before, after = (sum(_share(each, calls) for each in played) for calls in (slice(1000, 1200), slice(1400, 1600)))
    assert before > 2.0
    assert after < 0.1 * before
    alarms = [alarm for each in played for _, alarm in each.alarms]
    assert {(alarm.model_id, alarm.direction) for alarm in alarms} == {("middle", "decline")}


def test_a_steady_stream_raises_no_alarm() -> None:
    stream = make_stream([_table("a", STEADY, 6000, 1)], incumbent="dear")
    assert replay(stream, "thompson", BUDGET, ReplaySettings(), 0).alarms == ()


def test_alarms_are_in_the_report() -> None:
    todo = tasks(["thompson"], [BUDGET], 1)
    stream = _dropped(0)
    (line,) = report(stream, todo, {task: run_task(stream, ReplaySettings(), task) for task in todo})
    (alarm,) = json.loads(json.dumps(line["alarms"]))
    assert (alarm["model"], alarm["direction"]) == ("middle", "decline")
    assert 1200 < alarm["at_call"] <= 1320


def test_policies_of_textbooks_look_for_no_drift() -> None:
    assert replay(_dropped(0), "epsilon-greedy", BUDGET, ReplaySettings(), 0).alarms == ()


def _taught(calls: IntArray) -> Knowledge:
    known = Knowledge(_dropped(0), ReplaySettings(half_life_hours=2.0).clock)
    known.take_ratings(calls, calls % 3, calls)
    known.advance(int(calls[-1]) + 1)
    return known


def test_ratings_before_an_alarm_weigh_a_tenth_and_what_was_given_stays() -> None:
    """Bucket 4 begins with call 240; only the model of the alarm is touched, fading goes on for all."""
    calls = np.arange(600)
    known, without, since = _taught(calls), _taught(calls), _taught(calls[240:])
    known.alarms.append((600, Alarm(4 * FINE_S, "middle", "quality", "decline")))
    light, whole, late = (each.ratings.n for each in (known, without, since))
    assert_allclose(light[:, [0, 2]], whole[:, [0, 2]])
    assert_allclose(light[:, 1], late[:, 1] + 0.1 * (whole[:, 1] - late[:, 1]))
    assert_allclose(known.given.total, without.ratings.total)


def test_late_ratings_of_calls_before_an_alarm_weigh_a_tenth_too() -> None:
    calls = np.arange(600)
    known, other = _taught(calls), _taught(calls[300:])
    alarm = (600, Alarm(4 * FINE_S, "middle", "quality", "decline"))
    known.alarms.append(alarm)
    other.alarms.append(alarm)
    other.take_ratings(calls[:300], calls[:300] % 3, calls[:300])
    assert_allclose(other.ratings.n, known.ratings.n)


def test_drift_is_found_with_few_and_late_ratings() -> None:
    settings = replace(ReplaySettings(), rating_rate=0.3, rating_delay=50)
    (alarm,) = replay(_dropped(3), "thompson", BUDGET, settings, 3).alarms
    assert (alarm[1].model_id, alarm[1].direction) == ("middle", "decline")
