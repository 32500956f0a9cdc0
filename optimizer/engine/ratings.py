"""Ratings as people write them: a number, yes or no, stars, or a word that the use case gives a value."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from optimizer.engine.outcome import checked_rating
from optimizer.errors import InvalidRating

_WORDS = {"true": 1.0, "false": 0.0}


def parse_rating(text: str, labels: Mapping[str, float]) -> float:
    """Return the value in [0, 1] of `0.9`, `true`, `false`, `4/5` (stars) or one of the use case's own labels.

    A label counts first, so a use case may give `1` to `5` values of its own.

    Raises
    ------
    InvalidRating
        If it is none of these, or out of range.
    """
    word = text.strip()
    if word in labels:
        return labels[word]
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    stars, slash, of = word.partition("/")
    try:
        value = Decimal(stars) / Decimal(of) if slash else Decimal(word)
    except (InvalidOperation, ZeroDivisionError):
        known = f", or one of {', '.join(labels)}" if labels else ""
        raise InvalidRating(
            "value", f"{word!r} is no number in [0, 1], true, false, stars such as 4/5{known}"
        ) from None
    return checked_rating(float(value))
