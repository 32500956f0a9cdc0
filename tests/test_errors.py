"""Every error is one of ours, names its field, and says what to do."""

import inspect

import pytest

from optimizer import errors
from optimizer.errors import InvalidSettings, MissingExtra, NoEligibleCandidate, OptimizerError, UnknownModel


def test_every_error_is_an_optimizer_error() -> None:
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]
    assert len(classes) > 10
    assert all(issubclass(error, OptimizerError) and error.__doc__ for error in classes)


def test_unknown_model_names_the_known_ones() -> None:
    error = UnknownModel("gpt-9", ("gpt-4o", "o3"))
    assert error.field == "model"
    assert str(error) == "model: unknown model 'gpt-9'; known: gpt-4o, o3"


def test_settings_problems_are_all_in_the_message() -> None:
    error = InvalidSettings("a.yaml", ("cache.ttl: wrong", "timezone: unknown"))
    assert str(error) == "a.yaml: cache.ttl: wrong; timezone: unknown"
    assert error.problems == ("cache.ttl: wrong", "timezone: unknown")


@pytest.mark.parametrize(("reasons", "expected"), [({"m": "too short"}, "m: too short"), ({}, "has no candidates")])
def test_no_eligible_candidate_says_why_model_by_model(reasons: dict[str, str], expected: str) -> None:
    assert expected in str(NoEligibleCandidate("chat", reasons))


def test_missing_extra_says_what_to_install() -> None:
    assert "pip install 'orchestra-optimizer[replay]'" in str(MissingExtra("optimizer replay", "replay"))
