"""Savings from draws: what counts as the experiment, the lots' own odds, sessions, and the off-policy estimate."""

from dataclasses import replace

import numpy as np
import pytest

from optimizer.analysis import measured, savings
from optimizer.analysis.estimators import Options
from optimizer.domain import Price
from tests.analysis.one_by_one import Draw, ServedCall, in_columns

DEAR = Price(1.0, 10.0)  # dollars per million tokens
DRAW = Draw(True, baseline=False, baseline_share=0.2, held_out=False, held_share=0.1, incumbent="dear", at_s=0.0)
CALL = ServedCall("chat", "cheap", "dear", DEAR, 1_000, 100, 0.0005, draw=DRAW)
HELD = replace(
    CALL,
    model_id="dear",
    paid_usd=0.003,
    held_out=True,
    draw=replace(DRAW, baseline=True, held_out=True),
)


def off_policy(calls, options=None):
    (group,) = in_columns(calls)
    return measured.off_policy(group, options)


def experiment(calls):
    return savings.experiment(in_columns(calls))


def saved(calls):
    return savings.saved(in_columns(calls))


def test_held_out_calls_are_weighed_by_the_odds_of_their_lot() -> None:
    """Odds of 9 and of 1: the optimised calls would have cost (9·2 + 1·12)/10 = 3 thousandths each."""
    rare = [replace(HELD, paid_usd=0.002)] * 25
    often = [replace(HELD, paid_usd=0.012, draw=replace(HELD.draw, held_share=0.5))] * 25
    saving = experiment([*rare, *often, *[CALL] * 100])
    assert saving is not None
    assert saving.saved_usd == pytest.approx(100 * (0.003 - 0.0005))


def test_length_of_requests_is_no_luck_of_the_experiment() -> None:
    """Every call costs what its price list says, however long: the held-out ones' lengths leave no doubt."""
    lengths = np.random.default_rng(0).integers(100, 100_000, 60)
    held = [replace(HELD, input_tokens=int(n), paid_usd=n / 1e6 + 0.001) for n in lengths[:30]]
    rest = [replace(CALL, input_tokens=int(n), paid_usd=0.5 * n / 1e6) for n in lengths[30:]]
    saving = experiment([*held, *rest])
    assert saving is not None
    assert saving.saved_usd == pytest.approx(0.5 * lengths[30:].sum() / 1e6 + 30 * 0.001)


def test_holdout_whose_incumbent_is_the_baseline_makes_it_an_experiment() -> None:
    saving = saved([HELD] * 30 + [CALL] * 300)
    assert saving.kind == "experiment and priced"
    assert saving.n_calls == 330
    assert saving.saved_usd == pytest.approx(300 * 0.0025)


def test_holdout_of_another_incumbent_measures_no_saving_against_the_baseline() -> None:
    other = replace(HELD.draw, incumbent="other")
    calls = [replace(HELD, draw=other)] * 30 + [replace(CALL, draw=replace(DRAW, incumbent="other"))] * 50
    assert "experiment" not in saved(calls).kind


def test_warm_up_is_no_experiment() -> None:
    """There the incumbent serves all: nobody is held out, and nothing is saved."""
    warm = replace(HELD, held_out=False, draw=replace(HELD.draw, held_out=False, held_share=0.0, baseline_share=1.0))
    saving = saved([warm] * 50)
    assert (saving.kind, saving.saved_usd) == ("priced", 0.0)


def test_pins_and_rules_are_priced_beside_the_experiment() -> None:
    pinned = replace(CALL, draw=None, paid_usd=0.001)
    saving = saved([HELD] * 30 + [CALL] * 300 + [pinned] * 40)
    assert saving.saved_usd == pytest.approx(300 * 0.0025 + 40 * (0.002 - 0.001))


def test_off_policy_estimate_weighs_the_baselines_draws_by_their_chances() -> None:
    """Hard calls cost the baseline more and it is drawn less for them: its plain mean would be too low."""
    calls, truth = _adaptive(np.random.default_rng(1), 4_000)
    part, estimate = off_policy(calls)
    assert part is not None
    assert part.kind == "off-policy"
    assert estimate.refused is None
    found = part.saved
    assert abs(found.value - truth) < 2.5 * found.error
    assert abs(found.value - truth) < 0.1 * truth


def test_limits_of_the_off_policy_estimate_hold_what_the_baseline_would_have_cost_on_these_calls() -> None:
    """40 logs: the truth of each is off by its standard error, so that squares of the ratio are 1 on average."""
    ratios = []
    for seed in range(40):
        calls, truth = _adaptive(np.random.default_rng(100 + seed), 1_500)
        part, _ = off_policy(calls)
        ratios.append((part.saved.value - truth) / part.error)
    assert np.mean(np.square(ratios)) == pytest.approx(1.0, abs=3.0 * np.sqrt(2.0 / 40.0))


def test_too_few_draws_of_the_baseline_are_refused_and_priced() -> None:
    calls, _ = _adaptive(np.random.default_rng(2), 100)
    part, estimate = off_policy(calls)
    assert part is None
    assert "are needed" in str(estimate.refused)
    assert saved(calls).kind == "priced"
    assert off_policy(calls, Options(min_ess=5.0))[0] is not None


def test_later_turns_go_with_the_draw_of_their_session() -> None:
    calls, _ = _adaptive(np.random.default_rng(3), 1_000)
    turns = [
        replace(call, session_id=f"s{i}", draw=replace(call.draw, first=turn == 0))
        for i, call in enumerate(calls)
        for turn in range(3)
    ]
    alone, together = off_policy(calls)[0], off_policy(turns)[0]
    assert alone is not None
    assert together is not None
    assert together.baseline_usd == pytest.approx(3 * alone.baseline_usd)
    assert together.error == pytest.approx(3 * alone.error, rel=0.05)


def test_turns_whose_first_is_not_known_are_priced() -> None:
    calls, _ = _adaptive(np.random.default_rng(4), 1_000)
    orphan = replace(CALL, session_id="orphan", draw=replace(DRAW, first=False, at_s=999.0))
    saving = saved([*calls, orphan])
    assert saving.kind == "off-policy and priced"
    assert saving.n_calls == 1_001


def _adaptive(rng: np.random.Generator, n: int) -> tuple[list[ServedCall], float]:
    """Return calls, half of them hard, drawn from shares that hang on it, and what was truly saved."""
    calls, saved_usd = [], 0.0
    for i in range(n):
        hard = rng.random() < 0.5
        share = 0.15 if hard else 0.6
        baseline_usd = rng.gamma(4.0, 0.002 if hard else 0.0005)
        drew = bool(rng.random() < share)
        paid = baseline_usd if drew else 0.0005
        saved_usd += baseline_usd - paid
        draw = replace(DRAW, baseline=drew, baseline_share=share, held_share=0.0, at_s=float(i))
        calls.append(replace(CALL, model_id="dear" if drew else "cheap", paid_usd=paid, draw=draw))
    return calls, saved_usd
