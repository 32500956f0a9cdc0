"""What a client may say for the choice beside its body: by headers, or in the body's `metadata`."""

from collections.abc import Mapping
from typing import Any

from optimizer.errors import InvalidRequest
from optimizer.service.security import Caller

LONGEST = 200
PREFIX = "x-optimizer-"
# Header without its prefix → the router's name; in `metadata` they are written with underscores.
HINTS: Mapping[str, str] = {
    "use-case": "use_case",
    "session": "session_id",
    "required-quality": "required_quality",
    "cost-tier": "cost_tier",
    "tenant-tag": "tenant",
}
_IN_METADATA = {name.replace("-", "_"): hint for name, hint in HINTS.items()}


def hints_of(headers: Mapping[str, str], metadata: Mapping[str, Any] | None, caller: Caller) -> dict[str, str]:
    """Return the router's hints. A header counts before `metadata`, and a caller's own tenant before both.

    Raises
    ------
    InvalidRequest
        If a hint is no short text; the error names it.
    """
    hints = {
        hint: _text(f"metadata.{name}", metadata[name])
        for name, hint in _IN_METADATA.items()
        if metadata and metadata.get(name) is not None
    }
    for name, hint in HINTS.items():
        given = headers.get(PREFIX + name)
        if given is not None:
            hints[hint] = plain(PREFIX + name, given)
    if caller.tenant is not None:
        hints["tenant"] = caller.tenant
    return hints


def without_hints(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the metadata that goes on to the model's provider; None where nothing is left."""
    return {name: value for name, value in metadata.items() if name not in _IN_METADATA} or None


def plain(field: str, text: str) -> str:
    """Return a name that a database, a log and a header can hold: 1 to 200 characters, none of them for control."""
    if not 0 < len(text) <= LONGEST or not text.isprintable():
        raise InvalidRequest(field, f"must be a text of 1 to {LONGEST} printable characters")
    return text


def _text(field: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidRequest(field, "must be a text")
    return plain(field, str(value))
