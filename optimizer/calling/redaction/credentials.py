"""Finds secrets: keys of known shape, private-key blocks, bearer tokens, and long values given to a telling name."""

import re
from collections.abc import Iterator

from optimizer.calling.redaction.spans import Span

_NOT_INSIDE = r"(?<![A-Za-z0-9_-])"

# Prefixes are as their issuers document them; the lengths are lower bounds, so that a next longer format is found too.
_SHAPES = (
    r"sk-(?:[a-z0-9]{2,10}-)*[A-Za-z0-9_-]{16,}",  # OpenAI, OpenRouter, Anthropic
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_[A-Za-z0-9_]{22,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"xox[a-z]-[A-Za-z0-9-]{10,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{30,}",
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}",  # JWT and JWE
)
_SHAPED = re.compile(_NOT_INSIDE + "(?:" + "|".join(_SHAPES) + ")")
_SHAPED_HINTS = (
    *("sk-", "sk_", "rk_", "AKIA", "ASIA", "AIza", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("glpat-", "xox", "hf_", "npm_", "pypi-", "SG.", "eyJ"),
)

_BEGIN = "-----BEGIN "
_BLOCK = re.compile(
    r"-----BEGIN (?P<what>[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:(?:(?!-----)[\s\S]){0,20000}-----END (?P=what)-----|[A-Za-z0-9+/=\s\\]*)"
)
_BEARER = re.compile(r"(?i:\b(?:bearer|basic)) +([A-Za-z0-9._~+/=-]{16,})")
_IN_URL = re.compile(r"://[^\s:/@\[\]]{0,80}:([^\s/@<>{}*]{1,200})@")

_NAMED = re.compile(
    r"(?i:(key|token|secret|password|passwd|passphrase|pwd))"
    r"[\"'`]?[ \t]{0,3}(?:=>|:=|=|:)[ \t]{0,3}[\"'`]?"
    r"([^\s\"'`,;<>(){}\[\]&]{8,4096})(?![(\[{])"
)
_PASSWORDS = {"password", "passwd", "passphrase", "pwd"}
_NAMES = ("key", "token", "secret", "pass", "pwd")
_ENCODED = re.compile(r"[A-Za-z0-9+/=_.:~-]{16,}")


def find_secrets(text: str) -> Iterator[Span]:
    """Yield what lets its holder in."""
    if any(hint in text for hint in _SHAPED_HINTS):
        yield from (Span(*match.span(), "secret") for match in _SHAPED.finditer(text))
    if _BEGIN in text:
        yield from (Span(*match.span(), "secret") for match in _BLOCK.finditer(text))
    if "://" in text and "@" in text:
        yield from (Span(*match.span(1), "secret") for match in _IN_URL.finditer(text))
    lower = text.lower()
    if "bearer" in lower or "basic" in lower:
        yield from (Span(*match.span(1), "secret") for match in _BEARER.finditer(text) if _looks_drawn(match[1]))
    if any(name in lower for name in _NAMES):
        yield from (Span(*match.span(2), "secret") for match in _NAMED.finditer(text) if _is_secret(*match.groups()))


def _is_secret(name: str, value: str) -> bool:
    if name.lower() in _PASSWORDS:
        return _has_digit(value) and any(letter.isalpha() for letter in value)
    return _ENCODED.fullmatch(value) is not None and _looks_drawn(value)


def _looks_drawn(value: str) -> bool:
    """Tell a drawn value from a name in code: names rarely have three digits, or one amid both cases."""
    digits = sum(letter.isdigit() for letter in value)
    mixed = value != value.lower() and value != value.upper()
    return digits >= 3 or (digits >= 1 and mixed and "." not in value)


def _has_digit(value: str) -> bool:
    return any(letter.isdigit() for letter in value)
