"""Where personal data stands in a text, and how finds that overlap become one."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

# Of finds that overlap, the one whose kind stands first here names the whole; kinds that are not listed come last.
ORDER = ("custom", "secret", "email", "iban", "card", "ssn", "ip", "phone")


class Span(NamedTuple):
    """A find: `text[start:end]` is of this kind."""

    start: int
    end: int
    kind: str


Finder = Callable[[str], Iterable[Span]]


def united(spans: Iterable[Span]) -> list[Span]:
    """Return the finds from left to right, overlapping ones as one that covers them all.

    The winner's bounds alone would leave the rest of the loser in the text: twelve digits of a card, say.
    """
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if found and span.start < found[-1].end:
            found[-1] = _both(found[-1], span)
        else:
            found.append(span)
    return found


def _both(left: Span, right: Span) -> Span:
    return Span(left.start, max(left.end, right.end), min(left.kind, right.kind, key=_rank))


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)
