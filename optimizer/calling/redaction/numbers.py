"""Finds numbers that carry a check of their own: payment cards, IBANs, US social security numbers."""

import re
from collections.abc import Iterator

from stdnum import iban, luhn
from stdnum.us import ssn

from optimizer.calling.redaction.spans import Span

_GAP = "[ .\u00a0\u2009\u202f\u2010-\u2013-]"
# The first digit comes before the look at what precedes it: so the search can skip to digits.
_FIRST, _AFTER = r"[0-9](?<![\w.-][0-9])", r"(?![\w]|[.-][0-9])"

# Groups as cards print them; the last pattern takes one more group and must not hide a card before a CVV.
_CARDS = tuple(
    re.compile(_FIRST + body + _AFTER)
    for body in (
        rf"[0-9]{{3}}({_GAP})[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}",
        rf"[0-9]{{3}}({_GAP})[0-9]{{6}}\1[0-9]{{4,5}}",
        r"[0-9]{11,18}",
        rf"[0-9]{{3}}({_GAP})[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{1,3}}",
    )
)
_LONG_RUN = re.compile(r"[0-9]{4}[^A-Za-z\n]{0,1}[0-9]{4}")

# First digits → lengths, per brand: Visa, Mastercard, American Express, Diners, Discover, UnionPay, JCB, Maestro.
_BRANDS = (
    (re.compile("4"), {13, 16, 19}),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), {16}),
    (re.compile("3[47]"), {15}),
    (re.compile("30[0-5]|36|3[89]"), {14, 16, 19}),
    (re.compile("6011|64[4-9]|65|62"), {16, 17, 18, 19}),
    (re.compile("35(?:2[89]|[3-8])"), {16, 17, 18, 19}),
    (re.compile("50[1-3][0-9]|5[678]|6304|67"), {12, 13, 14, 15, 16, 17, 18, 19}),
)

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0-]?[A-Za-z0-9]{1,4}){3,8}(?![A-Za-z0-9])")
_IBAN_CHECK = re.compile(
    r"[0-9]{2}(?<=[A-Za-z]{2}[0-9]{2})(?<![A-Za-z0-9][A-Za-z]{2}[0-9]{2})[ \u00a0-]?[A-Za-z0-9]{2}"
)
_GAPS = re.compile("[ \u00a0-]")
_ENDS = re.compile(r"(?=[ \u00a0-]|$)")

_SSN = re.compile(_FIRST + r"[0-9]{2}([-\u2010-\u2013])[0-9]{2}\1[0-9]{4}" + _AFTER)
_SSN_SAID = re.compile(
    r"(?i:\bssn|social[ -]security)\b[^\n0-9]{0,24}([0-9]{3}([ .]?)[0-9]{2}\2[0-9]{4})" + _AFTER,
)


def find_cards(text: str) -> Iterator[Span]:
    """Yield numbers of payment cards: a brand's first digits, its length, and Luhn's check digit."""
    if _LONG_RUN.search(text) is None:
        return
    for pattern in _CARDS:
        yield from (Span(*match.span(), "card") for match in pattern.finditer(text) if _is_card(match[0]))


def find_ibans(text: str) -> Iterator[Span]:
    """Yield IBANs, written with or without spaces."""
    for check in _IBAN_CHECK.finditer(text):
        match = _IBAN.match(text, check.start() - 2)
        if match is not None and (end := _iban_end(match[0])):
            yield Span(match.start(), match.start() + end, "iban")


def find_ssns(text: str) -> Iterator[Span]:
    """Yield social security numbers with hyphens, and in other forms where the text says what they are."""
    yield from (Span(*match.span(), "ssn") for match in _SSN.finditer(text) if _is_ssn(match[0]))
    lower = text.lower()
    if "ssn" in lower or "social" in lower:
        yield from (Span(*match.span(1), "ssn") for match in _SSN_SAID.finditer(text) if _is_ssn(match[1]))


def _is_card(written: str) -> bool:
    number = _digits(written)
    return any(brand.match(number) and len(number) in lengths for brand, lengths in _BRANDS) and luhn.is_valid(number)


def _iban_end(written: str) -> int:
    """Return where the longest valid IBAN ends; a word that follows must not spoil it; 0 where there is none."""
    ends = [match.start() for match in _ENDS.finditer(written) if match.start() >= 15]
    return next((end for end in reversed(ends) if _is_iban(_GAPS.sub("", written[:end]).upper())), 0)


def _is_iban(number: str) -> bool:
    # The checksum alone first: the rules of countries take much longer.
    return int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1 and iban.is_valid(number)


def _is_ssn(written: str) -> bool:
    return bool(ssn.is_valid(_digits(written)))


def _digits(written: str) -> str:
    return "".join(letter for letter in written if letter.isdigit())
