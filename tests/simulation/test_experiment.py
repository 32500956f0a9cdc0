"""Replays are shared out over processes, give what one process gives, and stop at once."""

import math
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from optimizer.domain import Objective
from optimizer.simulation.experiment import Task, report, run, run_task, tasks
from optimizer.simulation.replay import ReplaySettings
from optimizer.simulation.stream import Stream, make_stream
from optimizer.simulation.tables import read_table

SYNTHETIC = Path(__file__).parents[2] / "data/synthetic_replay.csv.gz"
BUDGET = Objective.parse("budget:0.002")
SHORT = ReplaySettings(limit=60)


@pytest.fixture(scope="module")
def stream() -> Stream:
    return make_stream([read_table(SYNTHETIC)])


def test_seeds_come_first_so_that_policies_stay_level() -> None:
    todo = tasks(["a", "b"], [BUDGET], 2)
    assert [(task.policy, task.seed) for task in todo] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_closing_stops_all_processes(stream: Stream) -> None:
    before = set(multiprocessing.active_children())
    results = run(stream, tasks(["thompson"], [BUDGET], 5000), SHORT, n_jobs=2)
    task, result = next(results)
    started = set(multiprocessing.active_children()) - before
    results.close()
    assert (task.policy, result.means.n) == ("thompson", 60)
    assert started
    for process in started:
        assert _gone(process.pid)


def _gone(pid: int | None) -> bool:
    """Ask the system: the pool's own thread reaps its processes, and two who wait for one can miss its end."""
    assert pid is not None
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_interval_over_seeds_is_students(stream: Stream) -> None:
    todo = tasks(["random"], [BUDGET], 5)
    done = {task: run_task(stream, SHORT, task) for task in todo}
    (line,) = report(stream, todo, done)
    by_seed = [done[task].means.quality for task in todo]
    expected = stats.t.interval(0.95, 4, np.mean(by_seed), stats.sem(by_seed))
    assert line["ci95_quality"] == pytest.approx(list(expected))


def test_interval_of_one_seed_is_over_its_calls(stream: Stream) -> None:
    task = Task("fixed:quill", BUDGET, 0)
    result = run_task(stream, SHORT, task)
    (line,) = report(stream, [task], {task: result})
    low, high = line["ci95_cost_usd"]
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 59) * result.deviation[1] / math.sqrt(60))


def test_report_has_what_is_done_in_the_order_of_the_tasks(stream: Stream) -> None:
    todo = tasks(["fixed:mote", "fixed:quill"], [BUDGET], 2)
    done = {task: run_task(stream, SHORT, task) for task in (todo[1], todo[2], todo[0])}
    assert [(line["policy"], line["seeds"]) for line in report(stream, todo, done)] == [
        ("fixed:mote", 2),
        ("fixed:quill", 1),
    ]
