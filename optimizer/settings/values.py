"""The kinds of value that settings are made of: durations, names, time zones, and sections that refuse unknown keys."""

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


class Section(BaseModel):
    """A part of the configuration: frozen, finite, and without keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def parse_duration(value: object) -> timedelta:
    """Read `14d`, `36h`, `15m`, `30s`, `250ms` or `2w`; a number without a unit is refused.

    Raises
    ------
    ValueError
        If it is none of these, not positive, or longer than ten thousand days.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("must be a number with a unit, such as 14d, 36h, 15m or 30s")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not 0.0 < seconds <= 10_000 * 86_400.0:
        raise ValueError("must be longer than nothing and at most 10000d")
    return timedelta(seconds=seconds)


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from None
    return name


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that begins with http:// or https://")
    return text.rstrip("/")


def _cors_origin(text: str) -> str:
    if text == "*":
        return text
    parts = urlsplit(_url(text))
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be a scheme and a host, such as https://app.example.com, or *")
    return f"{parts.scheme}://{parts.netloc}".lower()  # as browsers write it


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return text


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _keys(value: object) -> object:
    """Read one key, or two of them, in a list or after a comma."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, SecretStr) else value


def no_repeats(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names if all differ."""
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names {', '.join(repeated)} twice")
    return names


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Url = Annotated[str, AfterValidator(_url)]
CorsOrigin = Annotated[str, AfterValidator(_cors_origin)]
Regex = Annotated[str, AfterValidator(_regex)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
Names = Annotated[tuple[Name, ...], AfterValidator(no_repeats)]
OneOrMore = Annotated[tuple[Name, ...], BeforeValidator(_listed), AfterValidator(no_repeats)]
Keys = Annotated[tuple[SecretStr, ...], BeforeValidator(_keys), Field(max_length=2)]
