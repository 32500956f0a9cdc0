"""Models that a breaker keeps calls away from, and choices that are kept only once they are final."""

from collections.abc import Callable

import pytest

from optimizer.domain import Request
from optimizer.engine import Optimizer
from optimizer.errors import ContextTooLong, UnknownCall
from tests.engine.factory import CHEAP, DEAR, MIDDLE, pool, teach

Open = Callable[..., Optimizer]
SHORT = Request(use_case="chat", context_tokens=1000)


def test_a_model_in_trouble_is_left_out_while_others_can_serve(opened: Open) -> None:
    opt = opened(pool("objective: quality"))
    selection = opt.choose(SHORT, {MIDDLE: "its breaker is open"})
    assert selection.decision.exclusions == {MIDDLE: "its breaker is open"}
    assert MIDDLE not in selection.distribution
    assert MIDDLE in opt.choose(SHORT).distribution  # and comes back at once


def test_where_everybody_is_in_trouble_everybody_may_try(opened: Open) -> None:
    opt = opened(pool("objective: quality"))
    selection = opt.choose(SHORT, dict.fromkeys((DEAR, MIDDLE, CHEAP), "its breaker is open"))
    assert set(selection.distribution) == {DEAR, MIDDLE, CHEAP}


def test_a_session_leaves_a_model_in_trouble_and_comes_back_to_nothing_else(opened: Open) -> None:
    opt = opened(pool("objective: quality"))
    request = Request(use_case="chat", context_tokens=1000, session_id="s")
    first = opt.select(request)
    moved = opt.choose(request, {first.model_id: "its breaker is open"})
    opt.keep(moved)
    assert moved.model_id != first.model_id
    assert opt.select(request).model_id == moved.model_id


def test_a_choice_is_in_the_ledger_only_once_it_is_kept(opened: Open) -> None:
    opt = opened(pool())
    teach(opt, DEAR, [1.0])
    selection = opt.choose(SHORT)
    with pytest.raises(UnknownCall):
        opt.call(selection.call_id)
    opt.keep(selection).result()
    assert opt.call(selection.call_id).selection.model_id == selection.model_id


def test_a_window_must_have_room_for_a_length_that_is_estimated_high(opened: Open) -> None:
    opt = opened(pool("objective: quality"))
    windows = {c.model_id: c.context_window_tokens or 0 for c in opt.routes["chat"].candidates}
    estimated = Request(use_case="chat", context_tokens=1000, context_tokens_high=min(windows.values()) + 1)
    assert set(opt.choose(estimated).decision.exclusions) == {
        m for m, w in windows.items() if w == min(windows.values())
    }
    assert not opt.choose(SHORT).decision.exclusions
    with pytest.raises(ContextTooLong):
        opt.choose(Request(use_case="chat", context_tokens=1000, context_tokens_high=10_000_000))
