"""Hindsight is as good as brute force says, and no policy is better."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from optimizer.decision.belief import FloatArray
from optimizer.domain import Objective
from optimizer.simulation.bounds import oracle, static_mix
from optimizer.simulation.policies import LEARNERS, replay
from optimizer.simulation.replay import Played, ReplaySettings
from optimizer.simulation.stream import Stream, make_stream
from optimizer.simulation.tables import read_table

SYNTHETIC = Path(__file__).parents[2] / "data/synthetic_replay.csv.gz"
FEW = st.integers(0, 10_000)


@pytest.fixture(scope="module")
def stream() -> Stream:
    return make_stream([read_table(SYNTHETIC)])


def _tiny(seed: int, n_prompts: int = 5, n_arms: int = 3) -> tuple[FloatArray, FloatArray]:
    """Qualities of a few levels, so that ties occur, and costs that no two cells share."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, (n_prompts, n_arms)) / 4, rng.uniform(1e-6, 1e-2, (n_prompts, n_arms))


def _assignments(quality: FloatArray, cost: FloatArray) -> FloatArray:
    """(quality, cost) sums of every choice of a model per prompt."""
    prompts = np.arange(len(quality))
    every = np.array(list(product(range(quality.shape[1]), repeat=len(quality))))
    return np.stack([quality[prompts, every].sum(axis=1), cost[prompts, every].sum(axis=1)], axis=1)


def _relaxed(quality: FloatArray, cost: FloatArray, spend: float) -> float:
    """The most quality within a spend, prompts divisible, by an independent solver."""
    n, k = quality.shape
    scale = cost.max()
    found = linprog(
        -quality.ravel(),
        A_ub=[(cost / scale).ravel()],
        b_ub=[spend / scale],
        A_eq=np.kron(np.eye(n), np.ones(k)),
        b_eq=np.ones(n),
        bounds=(0, 1),
    )
    return float(-found.fun)


@given(FEW, st.floats(0.05, 0.95))
def test_oracle_of_a_budget_is_the_linear_programme(seed: int, part: float) -> None:
    quality, cost = _tiny(seed)
    least, most = cost.min(axis=1).sum(), cost.max(axis=1).sum()
    spend = least + part * (most - least)
    shares = oracle(quality, cost, Objective("budget", spend / len(cost)), np.zeros(len(cost)))
    assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares * cost).sum() <= spend * (1 + 1e-9)
    assert (shares * quality).sum() == pytest.approx(_relaxed(quality, cost, spend), abs=1e-6)


@given(FEW, st.floats(0.05, 0.95))
def test_oracle_of_a_budget_is_at_least_every_assignment_within_it(seed: int, part: float) -> None:
    quality, cost = _tiny(seed)
    every = _assignments(quality, cost)
    spend = float(np.quantile(every[:, 1], part))
    shares = oracle(quality, cost, Objective("budget", spend / len(cost)), np.zeros(len(cost)))
    assert (shares * quality).sum() >= every[every[:, 1] <= spend, 0].max() - 1e-9


@given(FEW, st.floats(0.05, 1.0))
def test_oracle_of_an_average_costs_no_more_than_any_assignment_that_reaches_it(seed: int, part: float) -> None:
    quality, cost = _tiny(seed)
    every = _assignments(quality, cost)
    target = part * every[:, 0].max()
    shares = oracle(quality, cost, Objective("average", 0.5), np.full(len(cost), target / len(cost)))
    assert (shares * quality).sum() >= target - 1e-9
    assert (shares * cost).sum() <= every[every[:, 0] >= target - 1e-12, 1].min() + 1e-12


@given(FEW)
def test_oracle_of_value_and_quality_is_the_best_assignment(seed: int) -> None:
    quality, cost = _tiny(seed)
    every = _assignments(quality, cost)
    shares = oracle(quality, cost, Objective("value", 0.01), np.zeros(len(cost)))
    assert ((quality - cost / 0.01) * shares).sum() == pytest.approx((every[:, 0] - every[:, 1] / 0.01).max())
    shares = oracle(quality, cost, Objective("quality"), np.zeros(len(cost)))
    best = every[:, 0] == every[:, 0].max()
    assert (quality * shares).sum() == pytest.approx(every[:, 0].max())
    assert (cost * shares).sum() == pytest.approx(every[best, 1].min())


def test_oracle_of_a_floor_by_hand() -> None:
    """The cheapest at the floor; where none is, the best, and the cheaper of two best."""
    quality = np.array([[0.9, 0.8, 1.0], [0.5, 0.5, 0.4]])
    cost = np.array([[2.0, 1.0, 3.0], [2.0, 1.0, 0.1]])
    shares = oracle(quality, cost, Objective("floor", 0.9), np.full(2, 0.9))
    assert_allclose(shares, [[1, 0, 0], [0, 1, 0]])


def test_impossible_and_ample_budgets_come_to_the_cheapest_and_the_best() -> None:
    quality, cost = _tiny(1)
    little, much = Objective("budget", 1e-9), Objective("budget", 1.0)
    nothing, together = np.zeros(len(cost)), np.zeros(len(cost), dtype=np.intp)
    assert (oracle(quality, cost, little, nothing) * cost).sum() == pytest.approx(cost.min(axis=1).sum())
    assert (oracle(quality, cost, much, nothing) * quality).sum() == pytest.approx(quality.max(axis=1).sum())
    assert (static_mix(quality, cost, together, little, 0) * cost).sum() == pytest.approx(cost.sum(axis=0).min())
    assert (static_mix(quality, cost, together, much, 0) * quality).sum() == pytest.approx(quality.sum(axis=0).max())


def _grid(n_arms: int, steps: int) -> FloatArray:
    """Every mixture in steps of 1/steps."""
    parts = [mix for mix in product(range(steps + 1), repeat=n_arms) if sum(mix) == steps]
    return np.array(parts) / steps


def _every_mix(quality: FloatArray, cost: FloatArray, use_case: FloatArray) -> FloatArray:
    """(quality, cost) means of every pair of mixtures, one for each of two use cases, on a grid."""
    found = []
    for i in (0, 1):
        mine = use_case == i
        grid = _grid(quality.shape[1], 10)
        part = mine.mean()
        found.append(np.stack([grid @ quality[mine].mean(axis=0), grid @ cost[mine].mean(axis=0)], axis=1) * part)
    return (found[0][:, None] + found[1][None]).reshape(-1, 2)


@given(FEW, st.floats(0.1, 0.9))
def test_static_mix_is_at_least_every_mixture_on_a_grid(seed: int, part: float) -> None:
    """And within what ten steps of a mixture can miss."""
    quality, cost = _tiny(seed, n_prompts=7)
    use_case = np.array([0, 0, 0, 1, 1, 1, 1])
    every = _every_mix(quality, cost, use_case)
    spend = float(np.quantile(every[:, 1], part))
    shares = static_mix(quality, cost, use_case, Objective("budget", spend), 0)
    reached = (shares * quality).sum() / 7
    best = every[every[:, 1] <= spend, 0].max()
    assert (shares * cost).sum() / 7 <= spend * (1 + 1e-9)
    assert best - 1e-9 <= reached <= best + 0.2
    target = float(np.quantile(every[:, 0], part))
    shares = static_mix(quality, cost, use_case, Objective("average", target), 0)
    assert (shares * quality).sum() / 7 >= target - 1e-9
    assert (shares * cost).sum() / 7 <= every[every[:, 0] >= target, 1].min() + 1e-12


@given(FEW)
def test_static_mix_of_a_floor_holds_it_in_every_use_case(seed: int) -> None:
    quality, cost = _tiny(seed, n_prompts=7)
    use_case = np.array([0, 0, 0, 1, 1, 1, 1])
    shares = static_mix(quality, cost, use_case, Objective("floor", 0.97, relative=True), 1)
    for i in (0, 1):
        mine = use_case == i
        grid = _grid(3, 10)
        floor = 0.97 * quality[mine, 1].mean()
        qualities, costs = grid @ quality[mine].mean(axis=0), grid @ cost[mine].mean(axis=0)
        assert (shares[mine] * quality[mine]).sum() / mine.sum() >= floor - 1e-9
        assert (shares[mine] * cost[mine]).sum() / mine.sum() <= costs[qualities >= floor].min() + 1e-12


def test_static_mix_is_the_same_for_every_prompt_of_a_use_case(stream: Stream) -> None:
    played = replay(stream, "static-mix", Objective.parse("budget:0.002"), ReplaySettings(), 0)
    for i in range(3):
        mine = played.shares[stream.use_case[played.prompts] == i]
        assert_allclose(mine, np.broadcast_to(mine[0], mine.shape))


def _means(stream: Stream, played: Played, last: bool = False) -> tuple[float, float]:
    counts = stream.table[played.prompts] == len(stream.tables) - 1 if last else slice(None)
    quality, cost = (
        (played.shares * values[played.prompts]).sum(axis=1)[counts] for values in (stream.quality, stream.cost_usd)
    )
    return float(quality.mean()), float(cost.mean())


@pytest.mark.parametrize("policy", [*LEARNERS, "random", "fixed:quill"])
@pytest.mark.parametrize("objective", ["quality", "value:0.01", "budget:0.002", "average:0.8"])
def test_no_policy_beats_the_oracle(policy: str, objective: str, stream: Stream) -> None:
    """Under a budget: the oracle that may spend as much as the policy did; under an average: that must be as good."""
    asked, settings = Objective.parse(objective), ReplaySettings(limit=400)
    quality, cost = _means(stream, replay(stream, policy, asked, settings, 0))
    if asked.kind == "budget":
        asked = Objective("budget", cost)
    if asked.kind == "average":
        asked = Objective("average", quality)
    best_quality, best_cost = _means(stream, replay(stream, "oracle", asked, settings, 0))
    if asked.kind == "average":
        assert best_cost <= cost * (1 + 1e-9)
    elif asked.kind == "value" and asked.amount is not None:
        assert best_quality - best_cost / asked.amount >= quality - cost / asked.amount - 1e-9
    else:
        assert best_quality >= quality - 1e-9


def test_static_mix_lies_between_the_best_single_model_and_the_oracle(stream: Stream) -> None:
    asked = Objective.parse("budget:0.0022")
    mix, best = (_means(stream, replay(stream, name, asked, ReplaySettings(), 0)) for name in ("static-mix", "oracle"))
    affordable = stream.cost_usd.mean(axis=0) <= 0.0022
    assert stream.quality.mean(axis=0)[affordable].max() < mix[0] < best[0]
    assert mix[1] == pytest.approx(0.0022)


def test_where_the_last_table_counts_it_alone_meets_the_budget() -> None:
    table = read_table(SYNTHETIC)
    twice = make_stream([table, table])
    settings = ReplaySettings(limit=100, score_last=True)
    played = replay(twice, "static-mix", Objective.parse("budget:0.002"), settings, 0)
    assert _means(twice, played, last=True)[1] == pytest.approx(0.002)
