"""Finds phone numbers; `phonenumbers` knows what is one, but is slow, and so asked about likely places only."""

import re
from collections.abc import Iterator, Sequence

from phonenumbers import Leniency, PhoneNumberMatch, PhoneNumberMatcher

from optimizer.calling.redaction.spans import Finder, Span

# What stands in a phone number, from its first sign to its last digit.
_LIKELY = re.compile(
    r"[(+\uff0b\d](?<![\w.#][(+\uff0b\d])(?:(?<=\d)|[(+\uff0b ]{0,2}\d)"
    r"[\d \t().+\-/\u00a0\u2009\u202f\u2010-\u2015\uff0b]{4,}(?<=\d)(?!\w)"
)
_LEAST_DIGITS = 7
_AROUND = 40  # letters before and after that may say what a number is: a UUID has 36

# Six groups are the most that a number is written in. What has more is a table or a list, in which numbers count only
# if they have no gap inside, or begin with a sign: trying each run of its groups would take seconds for 100 kB.
_MOST_GROUPS, _LONGEST = 6, 24
_PIECE = re.compile(r"[(+\uff0b][\d().\-/ ]{6,22}\d(?!\d)|\S{7,}")

# Numbers that never are phones: UUIDs and digests, dates and times, decimals, and dotted versions.
_OTHER = re.compile(
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b(?=[0-9]*[a-fA-F])[0-9a-fA-F]{16,}\b"
    r"|\b(?:19|20)\d\d([-/.])\d\d?\1\d\d?(?:[T ]\d\d?:\d\d(?::\d\d(?:\.\d+)?)?)?(?!\d)"
    r"|\b\d\d?([-/.])\d\d?\2(?:19|20)\d\d(?!\d)"
    r"|\b\d+\.(?:\d{5,}|\d{3} \d{3,4}(?: \d{3,4})?)\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)
_SAID = re.compile(
    r"(?i:\b(?:tele)?(?:phone|fon|fono|fone)|\b(?:tel|tél|mobile?|móvil|mobil|handy|cell|call|dial|fax|whatsapp|sms))"
    r"\b[^\n\d]{0,16}$"
)


def phone_finder(regions: Sequence[str]) -> Finder:
    """Return what finds numbers with a country's prefix, and those that are valid in one of these countries.

    Digits without a gap and without `+` count only where the text says that they are a phone number: most such runs
    are orders, accounts and times.
    """
    places = tuple(regions) or ("ZZ",)

    def find(text: str) -> Iterator[Span]:
        for likely in _LIKELY.finditer(text):
            if _may_be_one(likely[0]):
                run, said = _without_others(text, likely), _is_said(text, likely)
                for start, piece in _pieces(run):
                    yield from _within(piece, likely.start() + start, said, places)

    return find


def _may_be_one(text: str) -> bool:
    return sum(letter.isdigit() for letter in text) >= _LEAST_DIGITS


def _pieces(run: str) -> Iterator[tuple[int, str]]:
    if len(run.split()) <= _MOST_GROUPS:
        yield 0, run
        return
    for match in _PIECE.finditer(run):
        if len(match[0]) <= _LONGEST:
            yield match.start(), match[0]


def _without_others(text: str, likely: re.Match[str]) -> str:
    start = max(0, likely.start() - _AROUND)
    blanked = _OTHER.sub(lambda match: "x" * len(match[0]), text[start : likely.end() + _AROUND])
    return blanked[likely.start() - start : likely.end() - start]


def _is_said(text: str, likely: re.Match[str]) -> bool:
    return _SAID.search(text[max(0, likely.start() - _AROUND) : likely.start()]) is not None


def _within(text: str, offset: int, said: bool, places: Sequence[str]) -> Iterator[Span]:
    if not _may_be_one(text):
        return
    leniency = Leniency.POSSIBLE if said else Leniency.VALID if "+" in text else Leniency.STRICT_GROUPING
    for place in places:
        for match in PhoneNumberMatcher(text, place, leniency=leniency):
            if said or _is_written_as_one(match):
                # A bracket that closes after the number belongs to the sentence.
                start = match.start + (match.raw_string.startswith("(") and ")" not in match.raw_string)
                yield Span(offset + start, offset + match.end, "phone")


def _is_written_as_one(match: PhoneNumberMatch) -> bool:
    written = str(match.raw_string)
    return written.startswith(("+", "\uff0b", "(+")) or not written.isdigit()
