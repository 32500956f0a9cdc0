"""Presidio, where it is installed, beside our own patterns."""

import logging

import pytest

from optimizer.calling.redaction import Redactor
from optimizer.errors import InvalidSettings
from optimizer.settings.sections import RedactionSettings

pytest.importorskip(
    "presidio_analyzer", reason="presidio is not installed: pip install 'orchestra-optimizer[presidio]'"
)

from optimizer.calling.redaction.presidio import MODELS

SETTINGS = RedactionSettings(enabled=True, engine="presidio")


def has_model() -> bool:
    import spacy

    return any(map(spacy.util.is_package, MODELS))


@pytest.mark.skipif("not has_model()", reason="needs a language model: python -m spacy download en_core_web_lg")
def test_names_and_places_are_found() -> None:
    body = {"messages": [{"role": "user", "content": "My name is John Smith and I live in Paris."}]}
    redacted, restoration = Redactor(SETTINGS).redact(body)
    assert redacted["messages"][0]["content"] == "My name is [PERSON_1] and I live in [LOCATION_1]."
    assert restoration.restore("[PERSON_1]") == "John Smith"


@pytest.mark.skipif("has_model()", reason="a language model is installed")
def test_a_missing_language_model_is_named() -> None:
    with pytest.raises(InvalidSettings, match="python -m spacy download en_core_web_lg"):
        Redactor(SETTINGS)


@pytest.mark.skipif("has_model()", reason="a language model is installed")
def test_without_a_language_model_numbers_are_found_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        redactor = Redactor(SETTINGS, names=False)
    assert "finds no names without a language model" in caplog.text
    content = "alice@example.com, wallet 16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"
    redacted, _ = redactor.redact({"messages": [{"role": "user", "content": content}]})
    assert redacted["messages"][0]["content"] == "[EMAIL_1], wallet [WALLET_1]"
