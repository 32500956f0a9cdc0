"""A session stays with one model: across calls, workers and restarts, for as long as that model can serve it."""

import pytest

from optimizer.engine import Optimizer
from optimizer.ledger.sessions import recall_session
from tests.engine.conftest import Open
from tests.engine.factory import CHEAP, DEAR, MIDDLE, pool, teach

EVEN = pool("objective: quality")  # without ratings, all three are about equally likely
NAMES = [f"session-{number}" for number in range(24)]


def models(opt: Optimizer, names: list[str] = NAMES, tokens: int = 1000) -> list[str]:
    return [opt.select_optimal_model("chat", tokens, session_id=name).model_id for name in names]


def test_session_stays_with_its_model(opened: Open) -> None:
    opt = opened(EVEN)
    first = opt.select_optimal_model("chat", 1000, session_id="s")
    turns = [opt.select_optimal_model("chat", 1000, session_id="s") for _ in range(20)]
    assert (first.propensity, first.overridden_by) == (first.distribution[first.model_id], None)
    assert {(turn.model_id, turn.propensity, turn.overridden_by) for turn in turns} == {
        (first.model_id, None, "session")
    }
    assert len({turn.call_id for turn in turns}) == 20


def test_sessions_are_drawn_like_calls(opened: Open) -> None:
    """Each takes its own number: with 24 sessions and chances of a fifth and more, everybody gets some."""
    assert set(models(opened(EVEN))) == {DEAR, MIDDLE, CHEAP}


def test_workers_agree_without_a_word_between_them(opened: Open, tmp_path) -> None:
    """Two optimizers on two databases, with different chances: only the session's own number is common."""
    one, other = opened(EVEN, seed=1), opened(EVEN, seed=2, database=str(tmp_path / "other.db"))
    assert models(one) == models(other)


def test_use_cases_draw_apart(opened: Open) -> None:
    text = f"{EVEN.strip()[:-1]}, mine: {{candidates: [{DEAR}, {MIDDLE}, {CHEAP}], objective: quality}}}}"
    opt = opened(text)
    mine = [opt.select_optimal_model("mine", 1000, session_id=name).model_id for name in NAMES]
    assert models(opt) != mine


def test_session_survives_a_restart_though_the_odds_have_moved(opened: Open) -> None:
    opt = opened(EVEN)
    before = models(opt)
    teach(opt, CHEAP, [0.0] * 40)
    opt.close()
    again = opened(EVEN, seed=9)
    assert again.select_optimal_model("chat", 1000).distribution[CHEAP] < 0.1
    assert CHEAP in before
    assert models(again) == before


def test_session_moves_when_its_model_cannot_serve_it_and_then_stays_there(opened: Open) -> None:
    """A turn of 200,000 tokens fits into the window of gpt-5.4-mini alone."""
    opt = opened(EVEN)
    name = NAMES[models(opt).index(CHEAP)]
    moved = opt.select_optimal_model("chat", 200_000, session_id=name)
    assert (moved.model_id, moved.overridden_by, moved.propensity) == (MIDDLE, None, 1.0)
    back = opt.select_optimal_model("chat", 1000, session_id=name)
    assert (back.model_id, back.overridden_by) == (MIDDLE, "session")
    opt.flush()
    assert recall_session(opt.database, "chat", name) == MIDDLE
    assert models(opened(EVEN), [name]) == [MIDDLE]


def test_pin_of_one_turn_does_not_move_the_session(opened: Open) -> None:
    opt = opened(EVEN)
    name = NAMES[models(opt).index(DEAR)]
    pinned = opt.select_optimal_model("chat", 1000, session_id=name, model=CHEAP)
    assert (pinned.model_id, pinned.overridden_by) == (CHEAP, "pin")
    assert models(opt, [name]) == [DEAR]


@pytest.mark.parametrize("name", ["x", "x" * 200, "naïve ☃", "a/b?c=d'; --"])
def test_any_name_of_a_session_will_do(opened: Open, name: str) -> None:
    opt = opened(EVEN)
    (first,) = models(opt, [name])
    opt.close()
    assert models(opened(EVEN), [name]) == [first]
