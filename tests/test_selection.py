"""A selection says what was chosen, how likely it was and why, in numbers and in words."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from optimizer.domain import Candidate, Price, Request
from optimizer.selection import Decision, Selection, Standing

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def standing(model: str, share: float, **known: float) -> Standing:
    votes = known.pop("votes", share)
    return Standing(
        Candidate(model_id=model, price=Price(1.0, 2.0)),
        expected_quality=0.9,
        quality_low=0.85,
        quality_high=0.94,
        expected_cost_usd=known.get("cost", 0.002),
        n_ratings=64.0,
        steps=(("votes", votes), ("holdout", share)),
    )


DECISION = Decision(
    use_case="chat",
    segment="",
    objective="average:97%",
    required_quality=None,
    standings=(
        standing("dear", 0.02, votes=0.0, cost=0.02),
        standing("cheap", 0.98, votes=1.0),
        replace(standing("tiny", 0.0), exclusion="its window of 8,000 tokens is too short for 9,000", steps=()),
    ),
    incumbent="dear",
    threshold=0.87,
    price=10.0,
    holdout=0.02,
)


def selected(model: str = "cheap", decision: Decision = DECISION, **changes: object) -> Selection:
    made = Selection("id-1", AT, Request(use_case="chat", context_tokens=9_000), decision, model, model, 0.98)
    return replace(made, **changes)


def test_a_decision_reads_back_as_it_was_written() -> None:
    assert Decision.parse(DECISION.json) == DECISION
    assert Decision.parse(DECISION.json).digest == DECISION.digest
    assert replace(DECISION, price=11.0).digest != DECISION.digest


def test_a_decision_of_before_there_were_limits_was_not_lowered() -> None:
    assert "lowered" not in DECISION.json
    assert Decision.parse(DECISION.json).lowered is False


def test_a_lowered_choice_says_in_one_line_what_it_gives_up() -> None:
    lowered = replace(DECISION, lowered=True, headline="held to $0.0004 a call by the daily limit")
    text = selected(decision=lowered).explain()
    assert "A limit of spending leaves less than was asked; at that, 0.01 more quality is worth $0.001 a call." in text
    assert "0.870 now" not in text
    assert "A limit" not in selected().explain()


def test_the_distribution_holds_whom_it_could_be_and_no_one_else() -> None:
    assert DECISION.distribution == {"dear": 0.02, "cheap": 0.98}
    assert list(DECISION.exclusions) == ["tiny"]


def test_the_words_name_model_chance_quality_cost_and_what_was_asked() -> None:
    """λ = 10 per dollar: 0.01 of quality is worth $0.001."""
    text = selected().explain()
    assert text.startswith("cheap through portkey serves this chat call.")
    assert "its chance was 98.0%" in text
    assert "Expected quality 0.90 (0.85 to 0.94) from 64 ratings; expected cost $0.002000 a call." in text
    assert "at least 97% of dear's, 0.870 now, for as little money as possible" in text
    assert "0.01 more quality is worth up to $0.001 a call" in text
    assert "tiny: its window of 8,000 tokens is too short" in text


def test_an_unknown_cost_is_called_unknown() -> None:
    unknown = replace(DECISION.by_model["cheap"], expected_cost_usd=None)
    text = selected(decision=replace(DECISION, standings=(DECISION.standings[0], unknown))).explain()
    assert "expected cost unknown" in text
    assert "$0.000000" not in text


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("pin", "The request named this model itself."),
        ("rule:long", "The rule 'long' decided."),
        ("flag:routing", "LLM_ROUTING_ENABLED"),
        ("observe", "Observe mode"),
    ],
)
def test_what_overrode_the_draw_is_said_beside_it(why: str, words: str) -> None:
    text = selected("dear", drawn_model_id="cheap", overridden_by=why).explain()
    assert words in text
    assert "By itself the draw would have been cheap." in text


def test_a_held_out_call_is_said_to_be_one() -> None:
    assert "It belongs to the 2% of calls that stay on it" in selected("dear", held_out=True).explain()


def test_a_later_turn_of_a_session_claims_no_chance() -> None:
    text = selected(propensity=None, overridden_by="session").explain()
    assert "stays with the model that it began with" in text
    assert "its chance was" not in text


def test_a_selection_as_json_has_plain_types_only() -> None:
    found = json.loads(json.dumps(selected().to_dict()))
    assert found["model_id"] == "cheap"
    assert found["quality_interval"] == [0.85, 0.94]
    assert [each["share"] for each in found["candidates"]] == [0.02, 0.98, 0.0]
    assert found["candidates"][2]["eligible"] is False
