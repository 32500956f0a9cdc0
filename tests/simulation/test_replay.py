"""A replay is the same every time, and a policy learns only from what it was served, when its rating arrives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from optimizer.decision.belief import FloatArray, IntArray
from optimizer.domain import Objective
from optimizer.simulation.knowledge import Knowledge
from optimizer.simulation.policies import replay
from optimizer.simulation.recorded import ReplayTable
from optimizer.simulation.replay import Played, ReplaySettings, play
from optimizer.simulation.stream import Stream, make_stream, served_order
from optimizer.simulation.tables import read_table

SYNTHETIC = Path(__file__).parents[2] / "data/synthetic_replay.csv.gz"
SHORT = ReplaySettings(limit=300)
AVERAGE, BUDGET = Objective.parse("average:97%"), Objective.parse("budget:0.002")


@pytest.fixture(scope="module")
def stream() -> Stream:
    return make_stream([read_table(SYNTHETIC)])


def _costs(stream: Stream, played: Played) -> FloatArray:
    return np.asarray((played.shares * stream.cost_usd[played.prompts]).sum(axis=1))


@pytest.mark.parametrize(
    "objective", ["quality", "floor:0.8", "floor:97%", "average:0.8", "value:0.05", "budget:0.002"]
)
def test_replay_is_the_same_every_time(objective: str, stream: Stream) -> None:
    one, other = (replay(stream, "thompson", Objective.parse(objective), SHORT, 3) for _ in range(2))
    assert_array_equal(one.prompts, other.prompts)
    assert_array_equal(one.shares, other.shares)
    assert_allclose(one.shares.sum(axis=1), 1.0)


def test_every_seed_serves_every_prompt_once_in_its_own_order(stream: Stream) -> None:
    one, other = served_order(stream, 0), served_order(stream, 1)
    assert_array_equal(np.sort(one), np.arange(1200))
    assert_array_equal(np.sort(other), np.arange(1200))
    assert (one != other).any()


def test_budget_is_met(stream: Stream) -> None:
    played = replay(stream, "thompson", BUDGET, ReplaySettings(), 0)
    assert _costs(stream, played).mean() == pytest.approx(0.002, rel=0.03)


def test_cheap_and_good_beats_the_cheapest(stream: Stream) -> None:
    played = replay(stream, "thompson", BUDGET, ReplaySettings(), 0)
    quality = (played.shares * stream.quality[played.prompts]).sum(axis=1)
    cheapest = stream.quality[:, stream.cost_usd.mean(axis=0).argmin()]
    assert quality.mean() > cheapest.mean() + 0.1


@pytest.mark.parametrize("objective", [AVERAGE, BUDGET])
def test_outcomes_that_were_not_served_change_nothing(objective: Objective, stream: Stream) -> None:
    settings = replace(SHORT, rating_delay=50)
    played = replay(stream, "thompson", objective, settings, 1)
    served = np.zeros(stream.quality.shape, dtype=np.bool_)
    served[played.prompts] = played.shares > 0
    rng = np.random.default_rng(0)
    changed = replace(
        stream,
        quality=np.where(served, stream.quality, rng.random(stream.quality.shape)),
        cost_usd=np.where(served, stream.cost_usd, rng.random(stream.quality.shape)),
        output_tokens=np.where(served, stream.output_tokens, rng.random(stream.quality.shape) * 1e4),
        input_tokens=np.where(served, stream.input_tokens, rng.random(stream.quality.shape) * 1e4),
    )
    assert_array_equal(replay(changed, "thompson", objective, settings, 1).shares, played.shares)


class Recorder:
    """Chooses the first arm, and keeps what it learns when."""

    def __init__(self) -> None:
        self.n_calls = 0
        self.learned: list[tuple[int, list[int]]] = []
        self.n_rated: list[float] = []

    def shares(self, known: Knowledge, prompts: IntArray) -> FloatArray:
        self.n_rated.append(float(known.ratings.n.sum()))
        self.n_calls += len(prompts)
        return np.eye(5)[np.zeros(len(prompts), dtype=np.intp)]

    def learn(self, prompts: IntArray, arms: IntArray, calls: IntArray) -> None:
        self.learned.append((self.n_calls, calls.tolist()))


def test_ratings_arrive_late_and_all(stream: Stream) -> None:
    """With a delay of 30, the refresh after 40 calls knows the first 10: call 9 is rated once 30 more were made."""
    recorder = Recorder()
    play(stream, recorder, BUDGET, ReplaySettings(limit=100, rating_delay=30), 0)
    assert recorder.learned[:2] == [(40, list(range(10))), (60, list(range(10, 30)))]
    assert_allclose(recorder.n_rated[:4], [0.0, 0.0, 10.0, 30.0], rtol=1e-3)  # a quarter of an hour fades little


def test_without_delay_every_refresh_knows_every_call_before_it(stream: Stream) -> None:
    recorder = Recorder()
    play(stream, recorder, BUDGET, ReplaySettings(limit=100, refresh=25), 0)
    assert_allclose(recorder.n_rated, [0.0, 25.0, 50.0, 75.0], rtol=1e-3)


def test_rating_rate_rates_that_share_of_the_calls(stream: Stream) -> None:
    """A tenth of 1,200 calls, give or take three standard errors of 10."""
    recorder = Recorder()
    play(stream, recorder, BUDGET, ReplaySettings(rating_rate=0.1), 0)
    assert 90 < sum(len(calls) for _, calls in recorder.learned) < 150


def test_nothing_is_learned_where_nothing_is_rated(stream: Stream) -> None:
    recorder = Recorder()
    play(stream, recorder, BUDGET, ReplaySettings(rating_rate=0.0), 0)
    assert recorder.learned == []


def test_a_rating_counts_in_the_time_of_its_call(stream: Stream) -> None:
    """One call an hour and a half-life of 10 hours: rated 30 hours late, calls 0 to 9 weigh 2^-4 … 2^-3.1."""
    recorder = Recorder()
    settings = ReplaySettings(limit=60, rating_delay=30, calls_per_hour=1.0, half_life_hours=10.0)
    play(stream, recorder, BUDGET, settings, 0)
    assert recorder.n_rated[2] == pytest.approx(sum(2.0 ** -((40 - call) / 10.0) for call in range(10)))


def test_very_long_streams_do_not_overflow(stream: Stream) -> None:
    """With a half-life of some calls, weights are rescaled over and over; what is left is the last few."""
    recorder = Recorder()
    play(stream, recorder, BUDGET, ReplaySettings(calls_per_hour=1.0, half_life_hours=0.5), 0)
    assert recorder.n_rated[-1] == pytest.approx(sum(4.0**-age for age in range(1, 50)), rel=1e-6)


def _tiny(name: str, models: tuple[str, ...], quality: list[list[float]], usd: list[list[float]]) -> ReplayTable:
    n = len(quality)
    unknown = np.full((n, len(models)), np.nan)
    prices = np.full(len(models), np.nan)
    return ReplayTable(
        name,
        models,
        tuple(f"{name}{i}" for i in range(n)),
        ("chat",) * n,
        np.array(quality),
        np.array(usd),
        unknown,
        unknown,
        np.zeros(n),
        prices,
        prices,
    )


@pytest.mark.parametrize("objective", ["quality", "floor:0.8", "average:0.8", "value:1", "budget:0.5"])
def test_without_prices_and_tokens_every_model_can_still_be_found(objective: str) -> None:
    """One model is good and costs $0.1, the other is worse and costs $1: every objective comes to the first."""
    table = _tiny("t", ("bad", "good"), [[0.6, 1.0]] * 400, [[1.0, 0.1]] * 400)
    played = replay(make_stream([table], incumbent="bad"), "thompson", Objective.parse(objective), ReplaySettings(), 0)
    assert played.shares[200:, 1].mean() > 0.9


def test_prior_ratings_are_known_at_the_start() -> None:
    table = _tiny("t", ("a", "b", "c"), [[0.0, 1.0, 0.0]] * 100, [[1.0, 1.0, 1.0]] * 100)
    past = _tiny("past", ("b", "c"), [[1.0, 0.0]] * 50, [[1.0, 1.0]] * 50)
    stream = make_stream([table], prior=past)
    known = Knowledge(stream, ReplaySettings().clock)
    assert_array_equal(known.ratings.n, [[0.0, 50.0, 50.0]])
    assert_array_equal(known.ratings.total, [[0.0, 50.0, 0.0]])
    played = replay(stream, "thompson", Objective.parse("quality"), ReplaySettings(), 0)
    assert len(played.prompts) == 100
    assert played.prompts.min() == 50
    assert played.shares[:20, 2].sum() == 0.0


def test_refresh_never_spans_two_tables() -> None:
    tables = [_tiny(name, ("a",), [[1.0]] * 30, [[1.0]] * 30) for name in "xy"]
    stream = make_stream(tables)
    recorder = RecorderOfOne()
    play(stream, recorder, BUDGET, ReplaySettings(), 0)
    assert recorder.sizes == [20, 10, 20, 10]


class RecorderOfOne(Recorder):
    """Serves the only arm, and keeps how many calls each refresh was for."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def shares(self, known: Knowledge, prompts: IntArray) -> FloatArray:
        self.sizes.append(len(prompts))
        return np.ones((len(prompts), 1))
