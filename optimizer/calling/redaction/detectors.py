"""Everything that is looked for in a text, by the settings; what is encoded data is not looked at."""

import re
from collections.abc import Iterator, Sequence

from optimizer.calling.redaction.addresses import find_emails, find_ips
from optimizer.calling.redaction.credentials import find_secrets
from optimizer.calling.redaction.numbers import find_cards, find_ibans, find_ssns
from optimizer.calling.redaction.phones import phone_finder
from optimizer.calling.redaction.presidio import presidio_finder
from optimizer.calling.redaction.spans import Finder, Span, united
from optimizer.settings.sections import RedactionSettings

_FINDERS: dict[str, Finder] = {
    "secret": find_secrets,
    "email": find_emails,
    "iban": find_ibans,
    "card": find_cards,
    "ssn": find_ssns,
    "ip": find_ips,
}

# Encoded images and files inside a text: long, costly to search, and no personal data that a pattern could see.
_ENCODED = re.compile(r"data:[\w.+/-]{1,100};base64,[A-Za-z0-9+/=_-]*|(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{1024,}")


def finders(settings: RedactionSettings, *, names: bool = True) -> tuple[Finder, ...]:
    """Return what the settings ask for.

    Raises
    ------
    MissingExtra
        If the engine is `presidio`, and it is not installed.
    InvalidSettings
        If it has no language model, and `names` are asked for.
    """
    found = [_FINDERS[kind] for kind in settings.kinds if kind in _FINDERS]
    found += [_custom(re.compile(pattern)) for pattern in settings.patterns]
    if "phone" in settings.kinds:
        found.append(phone_finder(settings.regions))
    if settings.engine == "presidio":
        found.append(presidio_finder(names=names))
    return tuple(found)


def find(text: str, looking: Sequence[Finder]) -> list[Span]:
    """Return what is personal in a text, from left to right and without overlap."""
    spans: list[Span] = []
    for start, end in plain_stretches(text):
        part = text if (start, end) == (0, len(text)) else text[start:end]
        found = united(span for finder in looking for span in finder(part))
        spans += [Span(span.start + start, span.end + start, span.kind) for span in found]
    return spans


def plain_stretches(text: str) -> Iterator[tuple[int, int]]:
    """Yield the bounds of what is no encoded data."""
    start = 0
    for match in _ENCODED.finditer(text) if len(text) > 32 else ():
        if match.start() > start:
            yield start, match.start()
        start = match.end()
    if start < len(text):
        yield start, len(text)


def _custom(pattern: re.Pattern[str]) -> Finder:
    def find_custom(text: str) -> Iterator[Span]:
        return (Span(*match.span(), "custom") for match in pattern.finditer(text) if match[0])

    return find_custom
