"""Names, places and identity numbers through Presidio, an optional extra, which is asked for nothing else."""

import logging
from collections.abc import Iterator
from typing import Any

from optimizer.calling.redaction.spans import Finder, Span
from optimizer.errors import InvalidSettings, MissingExtra

LANGUAGE = "en"
MODELS = ("en_core_web_lg", "en_core_web_trf", "en_core_web_md", "en_core_web_sm")  # the first one installed is used
LEAST_SCORE = 0.5

# Presidio's e-mail and URL recognisers fetch a list of domains over the network when first used: never asked for.
ENTITIES = {
    "PERSON": "person",
    "LOCATION": "location",
    "NRP": "group",
    "CRYPTO": "wallet",
    "MEDICAL_LICENSE": "identity",
    "US_ITIN": "identity",
    "US_PASSPORT": "identity",
    "UK_NHS": "identity",
}
NO_MODEL = (
    f"engine: presidio finds no names without a language model; install one: python -m spacy download {MODELS[0]}"
)

_log = logging.getLogger(__name__)


def presidio_finder(*, names: bool = True) -> Finder:
    """Return what finds Presidio's entities in English text.

    Parameters
    ----------
    names : bool
        False makes do without a language model where none is installed: then only numbers are found.

    Raises
    ------
    MissingExtra
        If Presidio is not installed.
    InvalidSettings
        If no language model is installed, and names are asked for.
    """
    analyzer = _analyzer(names=names)
    asked = sorted(ENTITIES.keys() & set(analyzer.get_supported_entities()))

    def find(text: str) -> Iterator[Span]:
        for found in analyzer.analyze(text, language=LANGUAGE, entities=asked, score_threshold=LEAST_SCORE):
            yield Span(found.start, found.end, ENTITIES[found.entity_type])

    return find


def _analyzer(*, names: bool) -> Any:  # noqa: ANN401 - Presidio's own class, which may not be there
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError:
        raise MissingExtra("redaction through presidio", "presidio") from None
    installed = next((model for model in MODELS if spacy.util.is_package(model)), None)
    if installed is None and names:
        raise InvalidSettings("redaction", (NO_MODEL,))
    if installed is None:
        _log.warning("%s; until then, only identity numbers are found through it", NO_MODEL)
    engine = SpacyNlpEngine(models=[{"lang_code": LANGUAGE, "model_name": installed or "none"}])
    # Loaded here, since Presidio would try to download a model that it misses.
    engine.nlp = {LANGUAGE: spacy.load(installed) if installed else spacy.blank(LANGUAGE)}
    return AnalyzerEngine(nlp_engine=engine, supported_languages=[LANGUAGE])
