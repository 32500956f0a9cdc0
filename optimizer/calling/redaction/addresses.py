"""Finds addresses of people and machines: e-mail and IP."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from optimizer.calling.redaction.spans import Span

# No call follows: `a@b.reshape(2)` multiplies matrices.
_EMAIL = re.compile(
    r"(?<![\w.+%'-])[\w](?:[\w.+%'-]{0,62}[\w+%-])?@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w(-]|\.\w)"
)

# Digits first: the search skips to them.
_V4 = re.compile(r"[0-9](?<![\w.-][0-9])[0-9]{0,2}\.(?:[0-9]{1,3}\.){2}[0-9]{1,3}(?![\w-]|\.[0-9])")
_V6 = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f]{0,4})(?![\w:]|\.[0-9])"
)
_LONG_GROUP = re.compile(r"[0-9A-Fa-f]{3}")

# What stands before a number of four parts that is no address: `Chrome/120.0.0.0`, `==1.2.3.4`, `version 1.2.3.4`.
_NO_ADDRESS_AFTER = re.compile(
    r"(?:[A-Za-z]/|[=<>~^]=? ?"
    r"|(?i:\b(?:version|ver\.?|v\.?|release|build|section|sec\.|chapter|clause|§))[ :=\"']{0,3})$"
)


def find_emails(text: str) -> Iterator[Span]:
    """Yield e-mail addresses, internationalised ones too."""
    if "@" in text:
        yield from (Span(*match.span(), "email") for match in _EMAIL.finditer(text))


def find_ips(text: str) -> Iterator[Span]:
    """Yield IP addresses, but none that says nothing about anybody: loopback, unspecified, masks, multicast."""
    if "." in text:
        yield from (Span(*match.span(), "ip") for match in _V4.finditer(text) if _is_v4(text, match))
    if "::" in text or text.count(":") >= 7:
        yield from (Span(*match.span(), "ip") for match in _V6.finditer(text) if _is_v6(match[0]))


def _is_v4(text: str, match: re.Match[str]) -> bool:
    if _NO_ADDRESS_AFTER.search(text[max(0, match.start() - 12) : match.start()]):
        return False
    try:
        return _tells(IPv4Address(match[0]))
    except AddressValueError:
        return False


def _is_v6(found: str) -> bool:
    # `a::b` is a path in Rust and C++, and pairs of hex digits are fingerprints.
    if not (_LONG_GROUP.search(found) and any(letter.isdigit() for letter in found)):
        return False
    try:
        return _tells(IPv6Address(found))
    except AddressValueError:
        return False


def _tells(address: IPv4Address | IPv6Address) -> bool:
    reserved = address.version == 4 and address.is_reserved
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or reserved)
