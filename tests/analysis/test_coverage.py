"""A small version of `python -m benchmarks coverage`: intervals hold on logs of the engine's own decision code."""

import numpy as np
import pytest

from benchmarks.coverage import RATES, Judged, run, table

N_LOGS = 8


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    return run(N_LOGS, 500, 2_400)


@pytest.mark.parametrize("rate", RATES)
def test_doubly_robust_intervals_hold(judged: list[Judged], rate: float) -> None:
    """The share of policies that hold, by log: its mean is .95 within 3 standard errors, each log counting once."""
    by_log = {}
    mine = [each for each in judged if (each.rate, each.estimator) == (rate, "DR")]
    per_log = len(mine) // N_LOGS
    for number in range(N_LOGS):
        answered = [each.holds for each in mine[number * per_log : (number + 1) * per_log] if each.answered]
        if answered:
            by_log[number] = np.mean(answered)
    assert len(by_log) >= N_LOGS // 3
    assert np.mean(list(by_log.values())) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(by_log))


def test_inverse_propensities_hold_less_often(judged: list[Judged]) -> None:
    """What could not be drawn counts as reward 0 there, and the warm-up alone is enough of that."""
    answered = [each for each in judged if each.answered]
    share = {name: np.mean([each.holds for each in answered if each.estimator == name]) for name in ("IPS", "DR")}
    assert share["IPS"] < share["DR"] - 0.2


def test_a_table_has_a_row_for_every_policy(judged: list[Judged]) -> None:
    lines = table(judged, 1.0).splitlines()
    assert len(lines) == 2 + 5 + 1
    assert lines[-1].startswith("| all | ")
