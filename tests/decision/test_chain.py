"""The whole chain on random situations: whole rows, targets met, nothing dearer, and exact propensities."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from optimizer.decision.belief import Belief
from optimizer.decision.chain import Chain, Settled, Shares, decide, needs_incumbent, warming_up
from optimizer.decision.choice import draw
from optimizer.decision.guard import WARM_UP_RATINGS
from optimizer.decision.situation import Situation, average_floor, floor_of
from optimizer.domain import Objective

EVERY = ("quality", "floor:0.8", "floor:97%", "average:0.8", "average:97%", "value:0.05", "budget:0.002")
seeds = st.integers(0, 2**32 - 1)
chains = st.builds(
    Chain,
    st.sampled_from([Objective.parse(text) for text in EVERY]),
    guard=st.sampled_from((None, 0.1)),
    holdout=st.sampled_from((0.0, 0.02, 0.2)),
    exploration=st.sampled_from((0.0, 0.02, 0.1)),
)
few = settings(max_examples=40)


def chain(objective: str, **settings_: float | None) -> Chain:
    return Chain(Objective.parse(objective), **settings_)  # type: ignore[arg-type]


def some_situation(seed: int, *, rated: float = 60.0) -> Situation:
    """Return 2 contexts in 3 rows of 1–5 models; the first is eligible everywhere, and its incumbent."""
    rng = np.random.default_rng(seed)
    n_arms = int(rng.integers(1, 6))
    shape, context = (2, n_arms), np.array([0, 0, 1])
    belief = Belief(
        rng.uniform(0.3, 0.97, shape),
        np.exp(rng.uniform(1.5, 6.0, shape)),
        rng.exponential(rated, shape) + (rated > 0) * WARM_UP_RATINGS,
        rng.uniform(0.4, 1.0, n_arms),
        0.75,
    )
    eligible = rng.random((3, n_arms)) < 0.8
    eligible[:, 0] = True
    names = tuple("abcde"[:n_arms])
    cost = np.exp(rng.normal(-6.5, 2.0, (1, n_arms))) * np.array([[1.0], [3.0], [1.5]])
    return Situation(
        belief, context, cost, eligible, np.zeros(3, np.intp), rng.dirichlet(np.ones(3)), ("x", "y"), names
    )


def close_race() -> Situation:
    """Return five models, hard to tell apart, in which every objective spreads its shares."""
    mean, shape = np.array([0.84, 0.79, 0.82, 0.80, 0.81]), (2, 5)
    belief = Belief(np.tile(mean, (2, 1)), np.full(shape, 20.0), np.full(shape, 60.0), np.ones(5), 0.75)
    cost = np.array([5.0, 1.0, 2.0, 3.0, 4.0]) * np.array([[2e-4], [4e-4], [6e-4]])
    at = np.array([0, 0, 1]), cost, np.ones((3, 5), dtype=bool), np.zeros(3, np.intp), np.full(3, 1.0 / 3.0)
    return Situation(belief, *at, ("x", "y"), tuple("abcde"))


def with_newcomer(situation: Situation, *, mean: float, cost_factor: float) -> Situation:
    """Return the situation with one more model, `cost_factor` times as dear as the dearest."""
    belief, worn = situation.belief, np.full((2, 1), 1e4)
    wider = Belief(
        np.c_[belief.mean, np.full((2, 1), mean)],
        np.c_[belief.strength, worn],
        np.c_[belief.n, worn],
        np.r_[belief.temperature, 0.4],
        belief.centre,
    )
    cost = np.c_[situation.cost, cost_factor * situation.cost.max(axis=1)]
    eligible = np.c_[situation.eligible, np.ones(3, dtype=bool)]
    return replace(situation, belief=wider, cost=cost, eligible=eligible, models=(*situation.models, "new"))


def at_price(situation: Situation, settings_: Chain, price: float) -> Shares:
    return decide(situation, settings_, settled=Settled(price, holdout=0.0, exploration=settings_.exploration))


def spend(situation: Situation, made: Shares) -> float:
    return float(situation.traffic @ (made.shares * situation.cost).sum(axis=1))


def quality(situation: Situation, made: Shares) -> float:
    return float(situation.traffic @ (made.shares * situation.belief.mean[situation.context]).sum(axis=1))


@given(seeds, chains, st.sampled_from((0.0, 60.0)))
def test_rows_are_whole_and_nothing_ineligible_has_a_share(seed: int, settings_: Chain, rated: float) -> None:
    situation = some_situation(seed, rated=rated)
    made = decide(situation, settings_)
    assert_allclose(made.shares.sum(axis=1), 1.0)
    assert (made.shares >= 0.0).all()
    assert not made.shares[~situation.eligible].any()


@given(seeds, chains)
@few
def test_rows_with_nothing_eligible_have_no_shares_and_others_are_whole(seed: int, settings_: Chain) -> None:
    situation = some_situation(seed)
    situation.eligible[0] = False
    made = decide(situation, settings_)
    assert_allclose(made.shares.sum(axis=1), [0.0, 1.0, 1.0])
    assert not made.shares[0].any()


@pytest.mark.parametrize("objective", EVERY)
def test_where_nothing_is_eligible_anywhere_there_are_no_shares(objective: str) -> None:
    situation = some_situation(4)
    situation.eligible[:] = False
    assert not decide(situation, chain(objective)).shares.any()


@given(seeds, chains)
@few
def test_without_an_incumbent_that_can_serve_rows_are_whole(seed: int, settings_: Chain) -> None:
    situation = some_situation(seed)
    situation.eligible[:, 0] = False
    made = decide(situation, settings_)
    assert_allclose(made.shares.sum(axis=1), situation.eligible.any(axis=1).astype(float))
    assert not made.shares[~situation.eligible].any()


@given(seeds, chains)
@few
def test_shares_are_those_of_the_last_step(seed: int, settings_: Chain) -> None:
    made = decide(some_situation(seed), settings_)
    assert_array_equal(made.shares, made.steps[-1][1])
    assert made.steps[0][0] == "votes"


@given(seeds, st.floats(0.0, 1.0), st.sampled_from((0.0, 0.02, 0.2)))
def test_budget_is_kept_whenever_the_cheapest_fits(seed: int, part: float, exploration: float) -> None:
    """At a target between the spends of the cheapest and the dearest models, give or take a thousandth."""
    situation = some_situation(seed)
    known = np.where(situation.eligible, situation.cost, np.nan)
    low, high = (situation.traffic @ end for end in (np.nanmin(known, axis=1), np.nanmax(known, axis=1)))
    target = float(1.001 * low + part * (high - low))
    made = decide(situation, chain("budget:1", exploration=exploration), target=target)
    assert spend(situation, made) <= target * (1.0 + 1e-9)


@given(seeds)
@few
def test_hopeless_budget_takes_the_cheapest_everywhere(seed: int) -> None:
    situation = some_situation(seed)
    made = decide(situation, chain("budget:1"), target=0.0)
    cheapest = np.where(situation.eligible, situation.cost, np.inf).argmin(axis=1)
    assert_array_equal(made.shares.argmax(axis=1), cheapest)
    assert_allclose(made.shares.max(axis=1), 1.0)


@given(seeds)
@few
def test_lavish_budget_is_quality(seed: int) -> None:
    situation = some_situation(seed)
    rich = decide(situation, chain("budget:1"), target=1e6)
    assert rich.price == 0.0
    assert_array_equal(rich.shares, decide(situation, chain("quality")).shares)


@given(seeds, st.floats(0.0, 1.0), st.sampled_from((0.0, 0.02, 0.2)))
def test_average_is_kept_whenever_quality_alone_attains_it(seed: int, part: float, exploration: float) -> None:
    """At a target between the mean qualities at the highest price and at none."""
    situation = some_situation(seed)
    average = chain("average:0.8", exploration=exploration)
    low, high = (quality(situation, at_price(situation, average, price)) for price in (1e12, 0.0))
    target = high - part * max(high - low, 0.0)
    made = decide(situation, average, target=target)
    assert quality(situation, made) >= target - 1e-9


@given(seeds)
@few
def test_average_never_spends_more_than_the_incumbent_alone(seed: int) -> None:
    """Who reaches a share of its own quality by serving alone; exploration and the vote gate apart."""
    situation = some_situation(seed)
    alone = float(situation.traffic @ situation.cost[np.arange(3), situation.incumbent])
    assert spend(situation, decide(situation, chain("average:97%", exploration=0.0))) <= alone * 1.02


@given(seeds)
@few
def test_a_share_of_the_incumbent_is_always_kept(seed: int) -> None:
    """However unsure the others are, serving more by the incumbent reaches a floor below its own mean."""
    situation = some_situation(seed)
    best = float(situation.traffic @ situation.belief.mean[situation.context, situation.incumbent])
    assert quality(situation, decide(situation, chain("average:97%", exploration=0.0))) >= 0.97 * best - 1e-9


@given(seeds)
def test_a_relative_floor_buys_nothing_dearer_than_the_incumbent(seed: int) -> None:
    situation = some_situation(seed)
    for guard in (None, 0.1):
        made = decide(situation, chain("floor:97%", guard=guard))
        assert not made.shares[situation.cost > situation.cost[:, :1]].any()


@given(seeds)
@few
def test_the_guard_leaves_at_most_its_share_to_the_unproven(seed: int) -> None:
    """Some one arm has 1 − e before holdout and exploration."""
    made = decide(some_situation(seed), chain("floor:97%", guard=0.1))
    assert (dict(made.steps)["guard"].max(axis=1) >= 0.9 - 1e-12).all()


@given(seeds, st.sampled_from(("floor:97%", "average:97%")), st.floats(0.0, 0.98))
def test_the_incumbent_serves_alone_until_it_is_known(seed: int, objective: str, part: float) -> None:
    """Its ratings add up over contexts; rows of one context are not counted twice."""
    situation = some_situation(seed)
    situation.belief.n[:, 0] = part * WARM_UP_RATINGS / 2.0
    assert warming_up(situation, Objective.parse(objective))
    assert_array_equal(decide(situation, chain(objective)).shares[:, 0], 1.0)
    situation.belief.n[:, 0] = WARM_UP_RATINGS / 2.0
    assert not warming_up(situation, Objective.parse(objective))


@pytest.mark.parametrize("objective", ["floor:0.8", "average:0.8"])
def test_an_absolute_floor_stays_on_the_incumbent_until_anybody_is_rated(objective: str) -> None:
    situation = close_race()
    situation.belief.n[:] = 0.0
    assert_array_equal(decide(situation, chain(objective)).shares[:, 0], 1.0)
    situation.belief.n[1, 3] = 1.0
    assert (decide(situation, chain(objective)).shares[:, 0] < 1.0).all()


@given(seeds, chains, st.sampled_from((0.0, 60.0)))
def test_one_row_with_what_was_settled_over_all_has_the_shares_it_had_among_them(
    seed: int, settings_: Chain, rated: float
) -> None:
    """A fresh request is decided alone, so this is what makes it one with the solved traffic."""
    situation = some_situation(seed, rated=rated)
    whole = decide(situation, settings_)
    for row, context in enumerate(situation.context):
        alone = Situation(
            situation.belief.cell(context, np.arange(len(situation.models))),
            np.array([0]),
            situation.cost[row : row + 1],
            situation.eligible[row : row + 1],
            situation.incumbent[row : row + 1],
            np.ones(1),
            (situation.cells[context],),
            situation.models,
        )
        assert_allclose(decide(alone, settings_, settled=whole.settled).shares[0], whole.shares[row], atol=1e-12)


@given(seeds, st.sampled_from(("floor:97%", "average:97%")), st.sampled_from((0.02, 0.2)))
@few
def test_the_incumbent_keeps_its_holdout(seed: int, objective: str, holdout: float) -> None:
    made = decide(some_situation(seed), chain(objective, holdout=holdout))
    assert (made.shares[:, 0] >= holdout - 1e-12).all()
    assert made.holdout == holdout


@pytest.mark.parametrize("objective", EVERY)
def test_only_what_is_measured_against_the_incumbent_holds_out(objective: str) -> None:
    relative = objective.endswith("%")
    assert needs_incumbent(Objective.parse(objective)) == relative
    assert decide(some_situation(8), chain(objective)).holdout == (0.02 if relative else 0.0)


@given(seeds, st.floats(1e-4, 10.0))
@few
def test_value_is_a_price_of_one_over_it(seed: int, usd: float) -> None:
    situation = some_situation(seed)
    made = decide(situation, Chain(Objective("value", usd)))
    priced = at_price(situation, chain("quality"), 1.0 / usd)
    assert made.price == 1.0 / usd
    assert_array_equal(made.shares, priced.shares)


@given(seeds, st.floats(1e-9, 1e9))
@few
def test_a_guess_never_breaks_the_budget(seed: int, guess: float) -> None:
    situation = some_situation(seed)
    target = spend(situation, decide(situation, chain("budget:0.002")))
    assert spend(situation, decide(situation, chain("budget:1"), target=target, guess=guess)) <= target * (1.0 + 1e-9)


@given(seeds, chains)
@few
def test_newcomer_that_never_wins_changes_no_share(seed: int, settings_: Chain) -> None:
    """Dearer than all and surely bad, it is never best in any scenario, and never good enough."""
    situation = some_situation(seed)
    more = with_newcomer(situation, mean=1e-9, cost_factor=1.5)
    before, after = decide(situation, settings_), decide(more, settings_)
    assert_allclose(after.shares, np.c_[before.shares, np.zeros(3)], atol=1e-12)


@given(seeds)
@few
def test_good_but_dear_newcomer_changes_no_share_under_a_relative_floor(seed: int) -> None:
    situation = some_situation(seed)
    more = with_newcomer(situation, mean=0.98, cost_factor=1.01)
    before, after = (decide(at, chain("floor:97%", guard=None)) for at in (situation, more))
    assert_allclose(after.shares, np.c_[before.shares, np.zeros(3)], atol=1e-12)


def test_what_is_asked_for_by_hand() -> None:
    """.95 of incumbents .8 and .6, at traffic .5, .25 and .25: .95·(.5·.8 + .25·.8 + .25·.6) = .7125."""
    situation = some_situation(0)
    situation.belief.mean[:, 0] = 0.8, 0.6
    at = replace(situation, traffic=np.array([0.5, 0.25, 0.25]))
    assert_allclose(floor_of(at, Objective.parse("floor:95%")), [0.76, 0.76, 0.57])
    assert average_floor(at, Objective.parse("average:95%")) == pytest.approx(0.7125)
    assert_allclose(floor_of(at, Objective.parse("floor:0.9")), 0.9)


@pytest.mark.parametrize("objective", EVERY)
def test_logged_propensities_are_exact(objective: str) -> None:
    """Chi-square of 10,000 draws from each row against its logged shares, fixed seed."""
    rng = np.random.default_rng(23)
    for shares in decide(close_race(), chain(objective)).shares:
        counts = np.bincount([draw(shares, uniform) for uniform in rng.random(10_000)], minlength=len(shares))
        likely = shares > 0
        assert likely.sum() >= 2
        assert not counts[~likely].any()
        assert stats.chisquare(counts[likely], 10_000 * shares[likely]).pvalue > 0.001


@given(seeds, chains)
@few
def test_the_same_situation_gives_the_same_shares(seed: int, settings_: Chain) -> None:
    first, second = (decide(some_situation(seed), settings_) for _ in range(2))
    assert_array_equal(first.shares, second.shares)


def test_a_budget_with_room_doubts_what_it_believes_of_dear_models() -> None:
    """Of those that cost more than a call may on average, alone and by row; one that binds keeps to the plain."""
    doubted = replace(close_race().belief, doubted=np.full((2, 5), 4.0))
    situation = replace(close_race(), belief=doubted, cost=np.tile(close_race().cost[1], (3, 1)))
    roomy, tight = (decide(situation, chain(f"budget:{usd}", exploration=0.0)) for usd in ("0.0014", "0.0004"))
    assert (roomy.dear_usd, tight.dear_usd) == (0.0014, None)
    dear = np.array([True, False, False, False, True])  # at $.002, .0004, .0008, .0012 and .0016
    wide = replace(situation, belief=replace(doubted, strength=np.where(dear, 4.0, doubted.strength)))
    assert_array_equal(roomy.shares, at_price(wide, chain("quality", exploration=0.0), roomy.price or 0.0).shares)
    alone = decide(situation, chain("budget:0.0014", exploration=0.0), settled=roomy.settled)
    assert_array_equal(roomy.shares, alone.shares)
    plain = replace(situation, belief=close_race().belief)
    assert_array_equal(tight.shares, decide(plain, chain("budget:0.0004", exploration=0.0)).shares)
