"""Conditions are checked when they are read, see aliases as what they mean, and the first that holds wins."""

import pytest

from optimizer.decision.rules import RuleSpec, compile_rules, first_match
from optimizer.domain import Candidate, Request
from optimizer.errors import InvalidRequest

NAMES = {"code_generation": "code_generation", "code": "code_generation", "chat": "chat"}


def _holds(condition: str, **request: object) -> bool:
    rules = compile_rules([RuleSpec("r", condition, Candidate(model_id="m"))], NAMES)
    return first_match(rules, Request(**{"use_case": "chat", "context_tokens": 100, **request})) is not None


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ("context_tokens > 32000", {"context_tokens": 32_001}, {"context_tokens": 32_000}),
        ("use_case == 'code'", {"use_case": "code"}, {"use_case": "chat"}),
        ("use_case == 'code'", {"use_case": "code_generation"}, {}),
        ("use_case == 'code_generation'", {"use_case": "code"}, {}),
        ("use_case != 'code'", {}, {"use_case": "code_generation"}),
        ("use_case in ['code', 'chat']", {"use_case": "code_generation"}, {"use_case": "other"}),
        ("cost_tier == 'economy'", {"cost_tier": "economy"}, {"cost_tier": None}),
        ("cost_tier in ['economy', 'standard']", {"cost_tier": "standard"}, {"cost_tier": "premium"}),
        ("needs_tools and not needs_vision", {"needs_tools": True}, {"needs_tools": True, "needs_vision": True}),
        ("tenant == 'acme'", {"tenant": "acme"}, {}),
        ("tags['team'] == 'search'", {"tags": (("team", "search"),)}, {}),
        ("required_quality >= 0.9", {"required_quality": 0.95}, {"required_quality": "97%"}),
        ("max_cost_usd < 0.01", {"max_cost_usd": 0.001}, {}),
    ],
)
def test_condition_holds_where_it_says(condition: str, yes: dict, no: dict) -> None:
    assert _holds(condition, **yes)
    assert not _holds(condition, **no)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("cost_tier == 'platinum'", "no cost tier 'platinum'; known: economy, standard, premium"),
        ("'platinum' != cost_tier", "no cost tier 'platinum'"),
        ("needs_tools and cost_tier in ['economy', 'gold']", "no cost tier 'gold'"),
        ("use_case == 'kode'", "no use case 'kode'; known: code_generation, code, chat"),
        ("needs_tools ? use_case == 'kode' : false", "no use case 'kode'"),
        ("colour == 'red'", "unknown symbol: 'colour'; known: use_case, context_tokens"),
        ("context_tokens > 'many'", "data type mismatch; compare numbers with numbers"),
        ("context_tokens", "is neither true nor false"),
        ("use_case ==", "syntax error"),
        ("", "syntax error"),
        ("$now > d'2026-01-01'", "'now' is not known about a request"),
    ],
)
def test_condition_that_makes_no_sense_is_refused_when_read(condition: str, message: str) -> None:
    good = RuleSpec("a", "context_tokens > 1", Candidate(model_id="m"))
    with pytest.raises(InvalidRequest, match=r"rules\[1\]\.condition") as caught:
        compile_rules([good, RuleSpec("b", condition, Candidate(model_id="m"))], NAMES)
    assert message in str(caught.value)


def test_first_rule_that_holds_wins() -> None:
    texts = {"a": "context_tokens > 1000", "b": "context_tokens > 10", "c": "context_tokens > 1"}
    rules = compile_rules([RuleSpec(name, text, Candidate(model_id=name)) for name, text in texts.items()], NAMES)
    winner = first_match(rules, Request(use_case="chat", context_tokens=100))
    assert winner is not None
    assert (winner.name, winner.candidate.model_id) == ("b", "b")


def test_default_use_case_is_what_a_condition_sees() -> None:
    """An unknown name goes to the default use case, and rules about that one hold for it."""
    rules = compile_rules([RuleSpec("r", "use_case == 'chat'", Candidate(model_id="m"))], NAMES)
    request = Request(use_case="nobody-knows", context_tokens=1)
    assert first_match(rules, request) is None
    assert first_match(rules, request, use_case="chat") is not None


def test_no_rules_match_nothing() -> None:
    assert first_match((), Request(use_case="chat", context_tokens=1)) is None
