"""Whom a call is tried with, in which order."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain import Candidate
from optimizer.router.course import course_of
from tests.router.factory import candidate, selection

SHARES = {"a": 0.5, "b": 0.3, "c": 0.2, "d": 0.0}


def through_openrouter(each: Candidate) -> tuple[Candidate, ...]:
    return () if each.gateway == "openrouter" else (candidate(each.model_id, "openrouter"),)


def nowhere(each: Candidate) -> tuple[Candidate, ...]:
    return ()


def up(gateway: str) -> bool:
    return False


def stops(chosen: str = "a", *, why: str | None = None, down: str = "", seed: int = 1) -> list[tuple[str, str, str]]:
    course = course_of(
        selection(SHARES, chosen, why=why), (candidate("f"),), through_openrouter, random.Random(seed).random
    )
    return [(stop.model_id, stop.gateway, stop.reason) for stop in course.stops(lambda gateway: gateway == down)]


def test_chosen_comes_first_then_candidates_then_fallbacks_then_the_other_gateway() -> None:
    found = stops("b")
    assert found[0] == ("b", "portkey", "chosen")
    assert {model for model, _, reason in found if reason == "failover"} == {"a", "c", "d"}
    assert [reason for _, _, reason in found] == ["chosen"] + ["failover"] * 3 + ["fallback_model"] + [
        "fallback_gateway"
    ] * 5
    assert found[3][0] == "d"  # nobody without a share comes before one that has some
    assert found[5] == ("b", "openrouter", "fallback_gateway")


def test_others_come_by_the_same_distribution() -> None:
    """After a failed, b is next in .3 of .5 draws: 0.6; four standard errors of 2,000 are 0.044."""
    first = Counter(stops("a", seed=seed)[1][0] for seed in range(2_000))
    assert abs(first["b"] / 2_000 - 0.6) < 0.044
    assert first["d"] == 0


def test_models_of_a_gateway_in_trouble_are_asked_for_through_the_other_one_at_once() -> None:
    found = stops("a", down="portkey")
    assert found[0] == ("a", "openrouter", "fallback_gateway")
    assert {gateway for _, gateway, _ in found} == {"openrouter"}


def test_nobody_stands_in_for_a_pinned_model() -> None:
    assert stops("a", why="pin") == [("a", "portkey", "chosen"), ("a", "openrouter", "fallback_gateway")]


def test_a_course_may_turn_to_whoever_is_cheaper() -> None:
    chosen = selection(SHARES, "a", costs={"a": 3.0, "b": 2.0, "c": 1.0})
    course = course_of(chosen, (), nowhere, random.Random(1).random).cheaper(chosen)
    assert [stop.model_id for stop in course.stops(up)] == ["a", "c", "b", "d"]


@given(st.integers(0, 1000), st.sampled_from("abcd"))
def test_everybody_is_asked_once_at_each_gateway(seed: int, chosen: str) -> None:
    found = [(model, gateway) for model, gateway, _ in stops(chosen, seed=seed)]
    assert len(found) == len(set(found)) == 10
