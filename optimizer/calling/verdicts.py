"""Reading a judge's verdict, however it was put; what is not clear is no rating."""

import json
import re
from collections.abc import Iterator
from typing import Final

HIGHEST: Final = 10  # the score that is asked for goes from 0 to this

_LONGEST = 20_000  # characters that are looked at, the last ones: a verdict comes at the end
_MOST_TRIES = 50  # braces at which an object is looked for
_NUMBER = r"(?>-?\d{1,9}(?:\.\d{1,9})?)"
_SCALE = rf"(?:\s{{0,3}}(?:/|out of)\s{{0,3}}(?P<of>{_NUMBER})|(?P<percent>\s?%))?+"
_NO_WORD = r"[^\w\n−-]"
_ALONE = re.compile(rf"{_NO_WORD}{{0,5}}(?P<value>{_NUMBER}){_SCALE}{_NO_WORD}{{0,5}}", re.ASCII)
_NAMED = re.compile(
    rf"\b(?:score|rating|grade|verdict)\b(?: is)?{_NO_WORD}{{0,8}}(?P<value>{_NUMBER}){_SCALE}(?![\w/])",
    re.ASCII | re.IGNORECASE,
)
_OF_SOME = re.compile(
    rf"(?<![\w./-])(?P<value>{_NUMBER})\s{{0,3}}(?:/|out of)\s{{0,3}}(?P<of>100|10|5)(?P<percent>)(?![\w/]|\.\d)",
    re.ASCII,
)


def read_verdict(text: str) -> float | None:
    """Return the rating in [0, 1] that a judge's answer gives; None where it gives none, or several that differ.

    Asked for is `{"score": 0…10}`. Read are also code fences and prose around it, `Score: 8`, `8/10`, `80%` and a
    number alone. A number without a scale is of ten, but a fraction below one is a share already; `1.0` could be
    either, and is none.
    """
    end = text[-_LONGEST:].strip()
    alone = _ALONE.fullmatch(end)
    for found in (
        _in_objects(end),
        [] if alone is None else [_rating(alone)],
        [_rating(match) for match in _NAMED.finditer(end)],
        [_rating(match) for match in _OF_SOME.finditer(end)],
    ):
        if verdicts := set(found):
            return verdicts.pop() if len(verdicts) == 1 else None
    return None


def _in_objects(text: str) -> list[float | None]:
    """Return what the JSON objects in a text say under `score`."""
    return [_of_value(found["score"]) for found in _objects(text) if "score" in found]


def _objects(text: str) -> Iterator[dict[str, object]]:
    """Yield the objects in a text, inner ones after those around them."""
    decoder = json.JSONDecoder()
    place = text.find("{")
    for _ in range(_MOST_TRIES):
        if place < 0:
            return
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            yield found
            end = end if "score" in found else place + 1
        place = text.find("{", end)


def _of_value(value: object) -> float | None:
    if isinstance(value, str):
        match = _ALONE.fullmatch(value.strip())
        return None if match is None else _rating(match)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _share(value, None)


def _rating(match: re.Match[str]) -> float | None:
    word, of = match["value"], match["of"]
    value = float(word) if "." in word else int(word)
    return _share(value, 100.0 if match["percent"] else None if of is None else float(of))


def _share(value: float, of: float | None) -> float | None:
    """Return a value as a share of its scale; None where it is out of range or could be of two scales."""
    if of is None:
        if isinstance(value, float) and value == 1.0:
            return None
        of = 1.0 if isinstance(value, float) and value < 1.0 else HIGHEST
    share = value / of if of > 0 else -1.0
    return share if 0.0 <= share <= 1.0 else None
