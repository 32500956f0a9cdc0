"""Takes personal data out of a request before it leaves, and hands over what puts it back into the reply."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optimizer.calling.redaction.detectors import find, finders, plain_stretches
from optimizer.calling.redaction.placeholders import Placeholders
from optimizer.calling.redaction.requests import rewritten_request
from optimizer.calling.redaction.restoration import Restoration
from optimizer.calling.redaction.spans import Span
from optimizer.settings.sections import RedactionSettings

LEAST_REPEATED = 6  # shorter values are replaced only where they were found: `1234` may be anything elsewhere
_NOTHING = Restoration({})


class Redactor:
    """Redacts requests by the settings; holds nothing of them, and may be shared between threads.

    Parameters
    ----------
    names : bool
        With the engine `presidio`: whether to insist on a language model, without which no names are found.

    Raises
    ------
    MissingExtra
        If the engine is `presidio`, and it is not installed.
    InvalidSettings
        If the engine is `presidio` and has no language model, unless `names` is false.
    """

    def __init__(self, settings: RedactionSettings, *, names: bool = True) -> None:
        self._finders = finders(settings, names=names) if settings.enabled else ()

    def redact(self, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], Restoration]:
        """Return the body with placeholders for personal data, and what puts the values back.

        Equal values have equal placeholders. The body given is never changed; the one returned may share parts with it.
        """
        if not self._finders:
            return body, _NOTHING
        found = {text: find(text, self._finders) for text in _texts(body)}
        if not any(found.values()):
            return body, _NOTHING
        masked = _Masked(found)
        return rewritten_request(body, masked), Restoration(masked.values, json_content=_asks_for_json(body))


class _Masked:
    """Rewrites texts whose finds are known; what was found in one text is replaced wherever else it stands, too."""

    def __init__(self, found: Mapping[str, Sequence[Span]]) -> None:
        self._found = found
        kinds = {span.kind.upper() for spans in found.values() for span in spans}
        placeholders = Placeholders(found, kinds)
        for text, spans in found.items():
            for span in spans:
                placeholders.name(text[span.start : span.end], span.kind)
        self._names = placeholders.names
        repeated = sorted((value for value in self._names if len(value) >= LEAST_REPEATED), key=len, reverse=True)
        self._repeated = re.compile("|".join(map(re.escape, repeated)) or r"(?!)")

    @property
    def values(self) -> dict[str, str]:
        """Bare placeholder → value."""
        return {name: value for value, name in self._names.items()}

    def __call__(self, text: str, *, bare: bool = False) -> str:
        """Return the text with placeholders; without brackets if `bare`."""
        form = "{}" if bare else "[{}]"
        parts, at = [], 0
        for span in self._found.get(text, ()):
            parts += [self._rest(text[at : span.start], form), form.format(self._names[text[span.start : span.end]])]
            at = span.end
        return "".join([*parts, self._rest(text[at:], form)]) if text else text

    def _rest(self, text: str, form: str) -> str:
        if self._repeated.search(text) is None:
            return text
        return "".join(
            self._repeated.sub(lambda match: form.format(self._names[match[0]]), part) if plain else part
            for part, plain in _pieces(text)
        )


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text, and whether they are anything but encoded data."""
    at = 0
    for start, end in plain_stretches(text):
        yield text[at:start], False
        yield text[start:end], True
        at = end
    yield text[at:], False


def _texts(body: Mapping[str, Any]) -> list[str]:
    """Return every text of a request once, in order."""
    texts: dict[str, None] = {}

    def seen(text: str, *, bare: bool = False) -> str:  # noqa: ARG001 - a Rewrite
        texts[text] = None
        return text

    rewritten_request(body, seen)
    return list(texts)


def _asks_for_json(body: Mapping[str, Any]) -> bool:
    asked = body.get("response_format")
    return isinstance(asked, Mapping) and asked.get("type") in {"json_object", "json_schema"}
