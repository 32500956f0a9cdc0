"""Verdicts in all the ways that judges put them, and whatever else they say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.calling.verdicts import read_verdict


@pytest.mark.parametrize("score", range(11))
def test_what_was_asked_for_is_read(score: int) -> None:
    assert read_verdict(json.dumps({"reason": "It says why, 3/10 of the time.", "score": score})) == score / 10


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ('```json\n{"score": 7}\n```', 0.7),
        ('Here is my verdict: {"reason": "fine", "score": 7}. Thanks!', 0.7),
        ('{"verdict": {"score": 7}}', 0.7),
        ('{"score": "7"}', 0.7),
        ('{"score": "7/10"}', 0.7),
        ('{"score": 7.5}', 0.75),
        ('{"score": 0.8}', 0.8),
        ('{"score": 0.0}', 0.0),
        ('{"score": 10.0}', 1.0),
        ('{"reason": "it was cut off", "score": 7', 0.7),
        ("7", 0.7),
        (" **7** ", 0.7),
        ("7/10", 0.7),
        ("70%", 0.7),
        ("4 out of 5", 0.8),
        ("Score: 7", 0.7),
        ("**Score:** 7/10", 0.7),
        ("My rating is 7 out of 10, since it is short.", 0.7),
        ("The score ranges from 0 to 10. Score: 7", 0.7),
        ("I would give it 7/10.", 0.7),
        ('{"score": 7} and again {"score": 7}', 0.7),
    ],
)
def test_other_ways_of_saying_it_are_read(text: str, rating: float) -> None:
    assert read_verdict(text) == pytest.approx(rating)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is good.",
        '{"score": null}',
        '{"score": true}',
        '{"score": [7]}',
        '{"score": 11}',
        '{"score": -1}',
        '{"score": "good"}',
        '{"score": 1.0}',
        '{"score": NaN}',
        '{"score": 1e999}',
        "-7",
        "−7",
        "Score: -7",
        "Score: 85",
        "Score: 8/0",
        "Score: 9/10/2024",
        "Score: 12345678901234567890",
        "Score: 7. On second thoughts, score: 2.",
        '{"score": 7} {"score": 2}',
        "11/10",
        "v1.7/10",
        "On 3 May, 12 people answered.",
        "{" * 10_000,
        "[" * 100_000,
    ],
)
def test_what_is_not_clear_is_no_rating(text: str) -> None:
    assert read_verdict(text) is None


words = st.sampled_from(
    ["score", ":", "{", "}", '"', "/", "10", "7", "0.5", "-", "%", " out of ", "\n", "rating", "1" * 30, "९", "]", "["]
)


@given(st.text() | st.lists(words, max_size=30).map("".join))
def test_whatever_is_said_is_a_rating_or_none(text: str) -> None:
    found = read_verdict(text)
    assert found is None or 0.0 <= found <= 1.0


@given(st.integers(0, 10), st.text(alphabet="abc .,!\n", max_size=50), st.text(alphabet="abc .,!\n", max_size=50))
def test_prose_around_it_makes_no_difference(score: int, before: str, after: str) -> None:
    assert read_verdict(f'{before}{{"score": {score}}}{after}') == score / 10
