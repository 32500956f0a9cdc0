"""Baselines have the index that their papers and MABWiser give them, and the solver of production chooses by it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from optimizer.decision.belief import FloatArray, RatingSums
from optimizer.decision.price import Pace
from optimizer.domain import Objective
from optimizer.simulation.baselines import (
    LinUCB,
    Rules,
    design,
    empirical_means,
    greedy_values,
    linucb_values,
    ucb1_values,
)
from optimizer.simulation.indices import Indexed, chosen
from optimizer.simulation.knowledge import Knowledge
from optimizer.simulation.policies import replay
from optimizer.simulation.replay import ReplaySettings
from optimizer.simulation.stream import Stream, make_stream
from optimizer.simulation.tables import read_table

SYNTHETIC = Path(__file__).parents[2] / "data/synthetic_replay.csv.gz"
RNG = np.random.default_rng(3)
ARMS = RNG.integers(0, 3, 60)
REWARDS = RNG.integers(0, 2, 60).astype(float)
X = RNG.normal(size=(60, 4))


@pytest.fixture(scope="module")
def stream() -> Stream:
    return make_stream([read_table(SYNTHETIC)])


def _sums(arms: np.ndarray, rewards: FloatArray) -> RatingSums:
    """Return the rating sums of one context."""
    n = np.bincount(arms, minlength=3).astype(float)[None]
    total = np.bincount(arms, weights=rewards, minlength=3)[None]
    return RatingSums(n, total, total, np.zeros(1, dtype=np.intp))


def _mabwiser(policy: str) -> FloatArray:
    """Return what MABWiser expects of each arm after the same ratings; for LinUCB, of each row of X."""
    mab = pytest.importorskip("mabwiser.mab")
    learning = {
        "ucb1": mab.LearningPolicy.UCB1(alpha=1.0),
        "greedy": mab.LearningPolicy.EpsilonGreedy(epsilon=0.0),
        "linucb": mab.LearningPolicy.LinUCB(alpha=1.0, l2_lambda=1.0),
    }[policy]
    model = mab.MAB([0, 1, 2], learning)
    if policy == "linucb":
        model.fit(ARMS, REWARDS, X)
        return np.array([[row[arm] for arm in range(3)] for row in model.predict_expectations(X)])
    model.fit(ARMS, REWARDS)
    expected = model.predict_expectations()
    return np.array([expected[arm] for arm in range(3)])


def test_ucb1_is_mabwisers() -> None:
    assert_allclose(ucb1_values(_sums(ARMS, REWARDS))[0][0], _mabwiser("ucb1"))


def test_greedy_is_mabwisers() -> None:
    assert_allclose(greedy_values(_sums(ARMS, REWARDS))[0][0], _mabwiser("greedy"))


def _linucb_sums() -> tuple[FloatArray, FloatArray]:
    mine = [arm == ARMS for arm in range(3)]
    return np.array([X[m].T @ X[m] for m in mine]), np.array([X[m].T @ REWARDS[m] for m in mine])


def test_linucb_is_mabwisers() -> None:
    assert_allclose(linucb_values(X, *_linucb_sums())[0], _mabwiser("linucb"))


def test_linucb_mean_is_the_ridge_regression_of_augmented_rows() -> None:
    """Least squares on the rows and one row of 1 per weight that pulls it to 0."""
    mean = linucb_values(X, *_linucb_sums())[1]
    for arm in range(3):
        rows = np.concatenate([X[arm == ARMS], np.eye(4)])
        beta = np.linalg.lstsq(rows, np.concatenate([REWARDS[arm == ARMS], np.zeros(4)]), rcond=None)[0]
        assert_allclose(mean[:, arm], X @ beta)


def test_linucb_learns_the_same_sums_one_by_one(stream: Stream) -> None:
    policy = LinUCB(stream, Rules(Objective.parse("quality"), 0.0, 0.0), ReplaySettings().clock)
    prompts, arms = np.arange(0, 1200, 50), np.arange(24) % 5
    for i in range(24):
        policy.learn(prompts[i : i + 1], arms[i : i + 1], np.zeros(1, dtype=np.intp))
    shares = policy.shares(Knowledge(stream, ReplaySettings().clock), np.arange(1200))
    x = design(stream)
    squares = np.array([x[prompts[arms == a]].T @ x[prompts[arms == a]] for a in range(5)])
    rewards = np.array([x[prompts[arms == a]].T @ stream.quality[prompts[arms == a], a] for a in range(5)])
    assert_array_equal(shares.argmax(axis=1), linucb_values(x, squares, rewards)[0].argmax(axis=1))


def test_arm_not_rated_here_has_its_mean_elsewhere_and_else_one() -> None:
    n = np.array([[2.0, 0.0, 0.0], [2.0, 4.0, 0.0]])
    total = np.array([[1.0, 0.0, 0.0], [2.0, 1.0, 0.0]])
    means = empirical_means(RatingSums(n, total, total, np.arange(2)))
    assert_allclose(means, [[0.5, 0.25, 1.0], [1.0, 0.25, 1.0]])


def _rows(**changes: object) -> Indexed:
    """Two rows: in the first, quality costs $1 for half a point; in the second, $1 for a tenth of a point."""
    given = {
        "index": np.array([[0.5, 1.0], [0.5, 0.6]]),
        "mean": np.array([[0.5, 1.0], [0.5, 0.6]]),
        "cost": np.array([[1.0, 2.0], [1.0, 2.0]]),
        "traffic": np.array([0.5, 0.5]),
        "floor": None,
        "incumbent": 1,
        "exploration": 0.0,
        "holdout": 0.0,
    }
    return Indexed(**{**given, **changes})  # type: ignore[arg-type]


def _chosen(rows: Indexed, objective: str) -> FloatArray:
    return chosen(rows, Objective.parse(objective), pace=Pace(), missing=0.0, n_rated=0.0, guess=0.0)[0]


def test_budget_buys_quality_where_it_is_cheapest() -> None:
    """$1.5 a call pays for the dear arm in one row of two, $1.25 in half of that row."""
    assert_allclose(_chosen(_rows(), "budget:1.5"), [[0, 1], [1, 0]], atol=1e-9)
    assert_allclose(_chosen(_rows(), "budget:1.25"), [[0.5, 0.5], [1, 0]], atol=1e-9)
    assert_allclose(_chosen(_rows(), "budget:3"), [[0, 1], [0, 1]])
    assert_allclose(_chosen(_rows(), "budget:0.9"), [[1, 0], [1, 0]])


def test_average_saves_where_quality_is_dearest() -> None:
    """A mean of .75 needs the dear arm in the first row only; of .625 is .5 with 5/12 of the incumbent, .3 better."""
    rows = _rows(floor=np.full(2, 0.75))
    assert_allclose(_chosen(rows, "average:0.75"), [[0, 1], [1, 0]], atol=1e-9)
    assert_allclose(_chosen(_rows(floor=np.full(2, 0.625)), "average:0.625"), [[7 / 12, 5 / 12]] * 2)


def test_value_and_quality_by_hand() -> None:
    """At $5 a point, half a point is worth $2.5 and a tenth $0.5."""
    assert_allclose(_chosen(_rows(), "value:5"), [[0, 1], [1, 0]])
    assert_allclose(_chosen(_rows(), "quality"), [[0, 1], [0, 1]])


def test_floor_takes_the_cheapest_at_it_else_the_incumbent() -> None:
    assert_allclose(_chosen(_rows(floor=np.full(2, 0.55)), "floor:0.55"), [[0, 1], [0, 1]])
    assert_allclose(_chosen(_rows(floor=np.full(2, 0.5)), "floor:0.5"), [[1, 0], [1, 0]])
    assert_allclose(_chosen(_rows(floor=np.full(2, 0.9)), "floor:0.9"), [[0, 1], [0, 1]])


def test_exploration_and_holdout_are_paid_from_the_budget() -> None:
    """Spread evenly, a tenth of the calls costs $.15 of $1.2 a call; below $1.05 exploration shrinks until it fits."""
    rows = _rows(exploration=0.1)
    for usd in (1.2, 1.02):
        shares = _chosen(rows, f"budget:{usd}")
        assert rows.traffic @ (shares * rows.cost).sum(axis=1) == pytest.approx(usd, rel=0.02)
        assert (shares > 0).all()
    held = _chosen(_rows(holdout=0.25, floor=np.full(2, 0.5)), "average:0.5")
    assert (held[:, 1] >= 0.25 - 1e-12).all()


def test_ties_go_to_the_cheaper_arm() -> None:
    assert_allclose(_chosen(_rows(index=np.ones((2, 2))), "quality"), [[1, 0], [1, 0]])


@pytest.mark.parametrize("policy", ["epsilon-greedy", "ucb1", "linucb"])
@pytest.mark.parametrize(
    "objective", ["quality", "floor:0.8", "floor:97%", "average:97%", "value:0.01", "budget:0.002"]
)
def test_baselines_learn_only_from_what_they_served(policy: str, objective: str, stream: Stream) -> None:
    settings, asked = ReplaySettings(limit=200), Objective.parse(objective)
    played = replay(stream, policy, asked, settings, 1)
    served = np.zeros(stream.quality.shape, dtype=np.bool_)
    served[played.prompts] = played.shares > 0
    changed = Stream(
        **{
            **vars(stream),
            "quality": np.where(served, stream.quality, 0.5),
            "cost_usd": np.where(served, stream.cost_usd, 1.0),
        }
    )
    assert_array_equal(replay(changed, policy, asked, settings, 1).shares, played.shares)


@pytest.mark.parametrize("policy", ["epsilon-greedy", "ucb1", "linucb"])
def test_baselines_meet_a_budget_and_gain_by_it(policy: str, stream: Stream) -> None:
    played = replay(stream, policy, Objective.parse("budget:0.002"), ReplaySettings(), 0)
    quality, cost = (
        (played.shares * values[played.prompts]).sum(axis=1).mean() for values in (stream.quality, stream.cost_usd)
    )
    assert cost == pytest.approx(0.002, rel=0.05)
    assert quality > stream.quality[:, stream.models.index("mote")].mean() + 0.05


def test_fixed_serves_one_model_and_random_all_alike(stream: Stream) -> None:
    asked = Objective.parse("quality")
    fixed = replay(stream, "fixed:quill", asked, ReplaySettings(limit=50), 0)
    assert fixed.shares[:, stream.models.index("quill")].all()
    chance = replay(stream, "random", asked, ReplaySettings(), 0)
    assert_allclose(chance.shares.mean(axis=0), 0.2, atol=3 * np.sqrt(0.16 / 1200))
