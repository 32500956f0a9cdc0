"""Tokens mean the same whichever way they came, and rubbish is no usage."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain import Usage
from optimizer.gateway.usage import cost_of, usage_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab 1€", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab 1€", max_size=5), inner, max_size=3),
    max_leaves=8,
)
COUNTS = st.integers(0, 1000)
NEARLY_USAGE = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNTS | JSON,
        "completion_tokens": COUNTS | JSON,
        "total_tokens": COUNTS | JSON,
        "cache_read_input_tokens": COUNTS | JSON,
        "cache_creation_input_tokens": COUNTS | JSON,
        "prompt_tokens_details": st.fixed_dictionaries({"cached_tokens": COUNTS | JSON}) | JSON,
        "completion_tokens_details": st.fixed_dictionaries({"reasoning_tokens": COUNTS | JSON}) | JSON,
        "cost": JSON,
        "is_byok": JSON,
        "cost_details": st.fixed_dictionaries({"upstream_inference_cost": JSON}) | JSON,
    },
)
PROVIDERS = st.sampled_from(["openai", "anthropic", "google", "deepseek", ""])


def openai(prompt: int, completion: int, *, cached: int = 0, reasoning: int = 0, **others: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        **others,
    }


def test_openai_counts_cached_and_reasoning_tokens_inside() -> None:
    found = usage_of(openai(100, 50, cached=60, reasoning=20), provider="openai")
    assert found == Usage(input_tokens=100, output_tokens=50, cached_tokens=60, reasoning_tokens=20)


@pytest.mark.parametrize("total", [{"total_tokens": 197}, {"total_tokens": None}])
def test_anthropic_behind_portkey_counts_cached_tokens_beside_the_prompt(total: dict[str, Any]) -> None:
    """Read 60 and written 7 of the cache, 100 new, 30 out: 167 in."""
    found = openai(100, 30, cached=60, cache_read_input_tokens=60, cache_creation_input_tokens=7) | total
    assert usage_of(found, provider="anthropic") == Usage(input_tokens=167, output_tokens=30, cached_tokens=60)


@pytest.mark.parametrize("total", [{"total_tokens": 170}, {"total_tokens": None}])
def test_gemini_behind_portkey_counts_thoughts_beside_the_completion(total: dict[str, Any]) -> None:
    """100 in, of which 40 cached; 50 said and 20 thought: 70 out."""
    found = openai(100, 50, cached=40, reasoning=20) | total
    wanted = Usage(input_tokens=100, output_tokens=70, cached_tokens=40, reasoning_tokens=20)
    assert usage_of(found, provider="google") == wanted


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_the_total_tells_who_counts_like_openai_after_all(provider: str) -> None:
    found = usage_of(openai(100, 50, cached=60, reasoning=20), provider=provider)
    assert found == Usage(input_tokens=100, output_tokens=50, cached_tokens=60, reasoning_tokens=20)


def test_without_portkey_in_between_the_usual_meaning_is_openai_s() -> None:
    found = usage_of(openai(100, 50, cached=60) | {"total_tokens": None}, provider="anthropic", translated=False)
    assert found == Usage(input_tokens=100, output_tokens=50, cached_tokens=60)


def test_the_total_tells_of_gemini_without_portkey_too() -> None:
    found = usage_of(openai(100, 50, reasoning=20) | {"total_tokens": 170}, provider="google", translated=False)
    assert found.output_tokens == 70


def test_a_surplus_that_fits_twice_is_read_as_the_provider_counts() -> None:
    found = openai(100, 50, cached=20, reasoning=20) | {"total_tokens": 170}
    assert usage_of(found, provider="google").output_tokens == 70
    assert usage_of(found, provider="anthropic").input_tokens == 120


def test_more_than_the_prompt_cannot_be_cached_of_it() -> None:
    assert usage_of(openai(10, 5, cached=90), provider="openai").input_tokens == 100


@pytest.mark.parametrize(
    "found", [None, [], {}, {"prompt_tokens": 1}, openai(-1, 5), openai(1, 5) | {"completion_tokens": "5"}]
)
def test_what_is_no_usage_is_none(found: object) -> None:
    assert usage_of(found, provider="openai") is None


@given(JSON | NEARLY_USAGE, PROVIDERS, st.booleans())
def test_any_json_is_read_without_a_crash(found: object, provider: str, translated: bool) -> None:
    usage = usage_of(found, provider=provider, translated=translated)
    assert usage is None or usage.cached_tokens <= usage.input_tokens
    assert usage is None or usage.reasoning_tokens <= usage.output_tokens
    cost = cost_of(found)
    assert cost is None or cost >= 0.0


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_three_ways_of_counting_agree(fresh: int, cached: int, written: int, said: int, thought: int) -> None:
    """The same call, as each of them would report it."""
    prompt, completion = fresh + cached + written, said + thought
    wanted = Usage(input_tokens=prompt, output_tokens=completion, cached_tokens=cached, reasoning_tokens=thought)
    total = prompt + completion
    as_openai = openai(prompt, completion, cached=cached, reasoning=thought)
    as_anthropic = openai(fresh, completion, cached=cached, reasoning=thought, cache_creation_input_tokens=written)
    as_gemini = openai(prompt, said, cached=cached, reasoning=thought)
    assert usage_of(as_openai, provider="openai") == wanted
    assert usage_of(as_anthropic | {"total_tokens": total}, provider="anthropic") == wanted
    assert usage_of(as_gemini | {"total_tokens": total}, provider="google") == wanted


def test_the_cost_is_what_the_account_pays() -> None:
    assert cost_of({"cost": 0.0042}) == 0.0042
    assert cost_of({"cost": 0}) == 0.0
    assert cost_of({"cost": 1e300}) is None  # rubbish is unknown, and must not fail the call


def test_with_a_key_of_one_s_own_the_provider_s_part_is_added() -> None:
    own = {"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}
    assert cost_of(own) == pytest.approx(0.021)
    assert cost_of(own | {"cost_details": {"upstream_inference_cost": None}}) is None


@pytest.mark.parametrize("found", [None, {}, {"cost": "1"}, {"cost": -1}, {"cost": float("nan")}, {"cost": True}])
def test_a_cost_that_is_none_is_unknown(found: object) -> None:
    assert cost_of(found) is None
