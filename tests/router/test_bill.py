"""Worst cases, what a granted amount pays for, and parts of replies."""

from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain import Price
from optimizer.errors import GatewayTimeout, GatewayUnreachable, RateLimited
from optimizer.router.bill import affordable_tokens, cost_of_part, may_be_charged, worst_case
from tests.router.factory import candidate

MODEL = candidate("m", max_output_tokens=8_000)


def test_worst_case_is_the_prompt_and_all_that_may_be_answered() -> None:
    """1,000 × $1 + 500 × $4 per million = 0.003; with 64 tokens 0.001256."""
    worst = worst_case(MODEL, 1_000, 500, least_tokens=64)
    assert worst is not None
    assert (worst.most_nano_usd, worst.least_nano_usd, worst.max_tokens) == (3_000_000, 1_256_000, 500)


def test_a_model_answers_no_more_than_it_can() -> None:
    worst = worst_case(MODEL, 0, 1_000_000, least_tokens=64)
    assert worst is not None
    assert worst.max_tokens == 8_000


def test_every_choice_that_is_asked_for_is_counted() -> None:
    worst = worst_case(MODEL, 0, 100, least_tokens=64, n_choices=3)
    assert worst is not None
    assert worst.most_nano_usd == 1_200_000


def test_without_a_price_there_is_no_worst_case() -> None:
    assert worst_case(candidate("m", price=Price()), 10, 10, least_tokens=1) is None


@given(st.integers(0, 10_000), st.integers(64, 8_000), st.integers(1, 4), st.floats(0, 1))
def test_what_is_granted_is_never_passed(prompt: int, tokens: int, n: int, share: float) -> None:
    worst = worst_case(MODEL, prompt, tokens, least_tokens=64, n_choices=n)
    assert worst is not None
    granted = worst.least_nano_usd + int(share * (worst.most_nano_usd - worst.least_nano_usd))
    affordable = affordable_tokens(MODEL, prompt, granted, n)
    again = worst_case(MODEL, prompt, affordable, least_tokens=64, n_choices=n)
    assert again is not None
    assert 64 <= affordable <= tokens
    assert again.most_nano_usd <= granted + 1


def test_a_part_of_a_reply_is_estimated_and_marked_so() -> None:
    usage, cost, source = cost_of_part(MODEL, 1_000, 100)
    assert (usage.input_tokens, usage.output_tokens, cost, source) == (1_000, 100, 1_400_000, "estimated")


def test_a_part_without_a_price_is_unknown_and_not_free() -> None:
    assert cost_of_part(candidate("m", price=Price()), 10, 10)[1:] == (None, "unknown")


def test_only_what_was_sent_and_not_refused_may_be_charged() -> None:
    assert may_be_charged(GatewayTimeout(gateway="portkey"))
    assert not may_be_charged(GatewayUnreachable(gateway="portkey"))
    assert not may_be_charged(RateLimited(gateway="portkey", status=429))
