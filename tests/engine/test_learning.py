"""What calls teach: the incumbent first, then the cheap model that proves good; prices of the day; segments apart."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from optimizer.decision.segments import fit_segmenter
from optimizer.engine import Optimizer
from optimizer.errors import InvalidRequest
from optimizer.ledger.audit import verify
from optimizer.ledger.calls import recent_calls
from tests.engine.conftest import Open
from tests.engine.factory import CHEAP, DEAR, MIDDLE, USAGE, Clock, contents, pool, teach


def serve(opt: Optimizer, n_calls: int, clock: Clock, quality: dict[str, float]) -> list[str]:
    """Make calls, record them, rate each with its model's quality, learn every ten; return who served."""
    served = []
    for number in range(n_calls):
        selection = opt.select_optimal_model("chat", 1000)
        opt.record(selection, usage=USAGE, latency_ms=700.0)
        opt.rate(selection.call_id, quality[selection.model_id])
        served.append(selection.model_id)
        clock.forward(seconds=20)
        if number % 10 == 9:
            opt.refresh(flush=True)
    return served


def test_incumbent_serves_alone_until_it_has_forty_ratings(opened: Open) -> None:
    opt = opened(pool())
    for n_ratings in range(41):
        selection = opt.select_optimal_model("chat", 1000)
        if n_ratings < 40:
            assert (selection.distribution[DEAR], selection.propensity, selection.held_out) == (1.0, 1.0, False)
            assert selection.decision.headline.startswith(f"{n_ratings} ratings: staying on {DEAR}")
        opt.record(selection, usage=USAGE)
        opt.rate(selection.call_id, 0.8)
        opt.refresh(flush=True)
    assert selection.distribution[DEAR] < 1.0
    assert selection.decision.headline == ""


def test_unknown_models_are_presumed_worse_where_the_incumbent_is_to_be_matched(opened: Open, tmp_path: Path) -> None:
    """By .01 to .05, .9 being near the top; whatever benchmarks say of them, which is the same for all objectives."""
    gaps = {}
    for number, objective in enumerate(("quality", "budget:0.001", "floor:0.75", "floor:97%", "average:97%")):
        opt = opened(pool(f"objective: '{objective}'"), database=str(tmp_path / f"{number}.db"))
        teach(opt, DEAR, [1.0, 0.8, 0.9, 0.9] * 10)
        here, models = opt.snapshot.context("chat", ""), opt.snapshot.axes.models
        dear, *others = opt.snapshot.belief.mean[here, [models.index(model) for model in (DEAR, MIDDLE, CHEAP)]]
        gaps[objective] = dear - np.array(others)
    assert_array_equal(gaps["budget:0.001"], gaps["quality"])
    assert_array_equal(gaps["floor:0.75"], gaps["quality"])
    for objective in ("floor:97%", "average:97%"):
        behind = gaps[objective] - gaps["quality"]
        assert ((behind > 0.01) & (behind < 0.05)).all()


@pytest.mark.parametrize("objective", ["average:97%", "floor:97%", "floor:0.75", "value:0.01", "budget:0.001"])
def test_cheap_model_that_proves_good_wins(opened: Open, clock: Clock, objective: str) -> None:
    """The guard lets unproven models have half of the calls here, so that 240 are enough to prove one.

    The budget has room for any of them, and goes on asking whether the dear ones are not better after all.
    """
    opt = opened(pool(f"objective: '{objective}', guard: 0.5"))
    served = serve(opt, 240, clock, {DEAR: 0.85, MIDDLE: 0.85, CHEAP: 0.85})
    assert served[-80:].count(CHEAP) > (40 if objective.startswith("budget") else 50)
    assert verify(opt.database, opt.settings.reward_rule) == []


@pytest.mark.parametrize("objective", ["average:97%", "floor:97%"])
def test_cheap_model_that_proves_bad_does_not(opened: Open, clock: Clock, objective: str) -> None:
    opt = opened(pool(f"objective: '{objective}'"))
    served = serve(opt, 240, clock, {DEAR: 0.85, MIDDLE: 0.2, CHEAP: 0.2})
    assert served[-80:].count(DEAR) > 70


def test_holdout_stays_on_the_incumbent_and_its_members_are_logged(opened: Open) -> None:
    """A holdout of .3 (exploration off) over 400 calls: 120 expected, with a standard error of 9."""
    opt = opened(pool("holdout: 0.3, exploration: 0"))
    teach(opt, DEAR, [0.8] * 41)
    teach(opt, CHEAP, [0.8] * 41)
    chosen = [opt.select_optimal_model("chat", 1000) for _ in range(400)]
    held = {selection.call_id for selection in chosen if selection.held_out}
    assert 120 - 4 * 9 < len(held) < 120 + 4 * 9
    assert {s.model_id for s in chosen if s.held_out} == {DEAR}
    assert all(s.propensity == s.distribution[s.model_id] for s in chosen)
    assert chosen[0].distribution[DEAR] >= 0.3
    opt.flush()
    logged = recent_calls(opt.database, limit=400)
    assert {call.selection.call_id for call in logged if call.selection.held_out} == held


def test_dated_price_acts_on_the_next_refresh(opened: Open, clock: Clock) -> None:
    """gemini-3.8-flash costs $0.75 and $3.75 per million until the year ends, then twice that; haiku $1 and $5.

    Both are known to be good, so the cheapest good enough is the one until New Year and the other after it.
    """
    text = "candidates: [gemini-3.8-flash, claude-haiku-4-5], objective: 'floor:0.5', guard: 0, exploration: 0"
    clock.now = clock.now.replace(month=12, day=31, hour=23, minute=50)
    opt = opened(f"use_cases: {{chat: {{{text}}}}}")
    for model in ("gemini-3.8-flash", "claude-haiku-4-5"):
        teach(opt, model, [0.95] * 60)
    before = opt.select_optimal_model("chat", 1000)
    clock.forward(minutes=20)
    assert opt.select_optimal_model("chat", 1000).expected_cost_usd == before.expected_cost_usd
    opt.refresh()
    after = opt.select_optimal_model("chat", 1000)
    assert (before.model_id, after.model_id) == ("gemini-3.8-flash", "claude-haiku-4-5")
    costs = [s.decision.by_model["gemini-3.8-flash"].expected_cost_usd for s in (before, after)]
    assert costs[1] == pytest.approx(2 * costs[0], rel=0.05)
    assert before.decision.price_version != after.decision.price_version


def test_old_evidence_fades(opened: Open, clock: Clock) -> None:
    """After one half-life of 14 days, thirty ratings weigh as much as fifteen."""
    opt = opened(pool())
    teach(opt, DEAR, [0.8] * 30)
    clock.forward(days=14, minutes=7.5)
    opt.refresh()
    standing = opt.select_optimal_model("chat", 1000).decision.by_model[DEAR]
    assert standing.n_ratings == pytest.approx(15.0, rel=0.01)


def test_late_changed_and_withdrawn_ratings_count_as_they_stand(opened: Open, clock: Clock) -> None:
    opt = opened(pool())
    ids = [opt.select_optimal_model("chat", 1000).call_id for _ in range(3)]
    for call_id in ids:
        opt.rate(call_id, 1.0)  # before anybody knows what came of it
    clock.forward(hours=5)
    for call_id in ids:
        opt.record(call_id, usage=USAGE)
    opt.rate(ids[0], 0.5)
    opt.withdraw(ids[1])
    opt.rate(ids[2], 0.0, rater="ann")
    opt.refresh(flush=True)
    context = opt.snapshot.context("chat", "")
    arm = opt.snapshot.axes.models.index(DEAR)
    ratings = opt.snapshot.arrays.ratings
    assert ratings.total[context, arm] / ratings.n[context, arm] == pytest.approx((0.5 + 0.5) / 2)
    assert verify(opt.database, opt.settings.reward_rule) == []


@pytest.mark.parametrize("durability", ["sync", "batched"])
def test_everything_told_is_in_the_ledger(opened: Open, durability: str) -> None:
    """In `sync` a recorded call is there at once; in `batched` at the latest when the optimizer is closed."""
    opt = opened(pool(rest=f"durability: {durability}"))
    other = opened(pool())
    selection = opt.select_optimal_model("chat", 1000)
    opt.record(selection, usage=USAGE)
    opt.rate(selection.call_id, 0.5)
    if durability == "batched":
        opt.close()
    stored = other.call(selection.call_id)
    assert stored.selection == selection
    assert (stored.served.usage, [r.value for r in stored.feedback]) == (USAGE, [0.5])


def test_recording_the_same_attempt_again_changes_nothing(opened: Open) -> None:
    opt = opened(pool())
    selection = opt.select_optimal_model("chat", 1000)
    for _ in range(2):
        opt.record(selection, usage=USAGE, latency_ms=700.0)
        opt.rate(selection.call_id, 0.5)
    rows = contents(opt)
    assert (len(rows["attempts"]), len(rows["feedback"])) == (1, 1)


SEGMENTED = pool("objective: 'floor:0.7', guard: 0, exploration: 0, segments: segments.json")


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    """A segmenter with two segments, around (0, 0) and, smaller, (9, 9)."""
    rng = np.random.default_rng(5)
    rows = np.concatenate([rng.normal(0.0, 1.0, (60, 2)), rng.normal(9.0, 1.0, (40, 2))])
    path = tmp_path / "segments.json"
    path.write_text(json.dumps(fit_segmenter(rows, 2, rng).to_dict()))
    return path


def test_features_lead_to_a_segment_that_learns_by_itself(opened: Open, segments: Path) -> None:
    """The cheap model is bad in the first segment and good in the second."""
    opt = opened(SEGMENTED)
    version = json.loads(segments.read_text())["version"]
    teach(opt, DEAR, [0.95] * 40, features=[0.0, 0.0])
    teach(opt, CHEAP, [0.1] * 40, features=[0.2, -0.1])
    teach(opt, CHEAP, [0.95] * 40, features=[9.1, 8.8])
    first, second = (opt.select_optimal_model("chat", 1000, features=f) for f in ([0.0, 0.3], [8.9, 9.0]))
    assert (first.segment, second.segment) == (f"s00-{version}", f"s01-{version}")
    assert (first.decision.segmenter_version, second.distribution[CHEAP] > 0.9) == (version, True)
    assert first.distribution[CHEAP] < 0.1
    assert opt.select_optimal_model("chat", 1000).segment == ""


def test_features_must_fit_the_segmenter(opened: Open, segments: Path) -> None:
    opt = opened(SEGMENTED)
    for wrong in ([1.0], [1.0, 2.0, 3.0], [float("nan"), 0.0]):
        with pytest.raises(InvalidRequest, match="features: "):
            opt.select_optimal_model("chat", features=wrong)


def test_neither_keys_nor_features_nor_passwords_reach_the_ledger(opened: Open, segments: Path) -> None:
    opt = opened(SEGMENTED, PORTKEY_API_KEY="pk-s3cret", OPENROUTER_API_KEY="or-s3cret")
    selection = opt.select_optimal_model("chat", 1000, features=[0.123456, 0.654321], tags={"team": "blue"})
    opt.record(selection, usage=USAGE, error="timeout")
    rows = repr(contents(opt))
    for secret in ("s3cret", "0.123456", "0.654321"):
        assert secret not in rows
    assert "blue" in rows
