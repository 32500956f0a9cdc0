"""The page of settings names every key with its default, and the README or that page every variable."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from optimizer.settings import Settings
from optimizer.settings.load import VARIABLES
from optimizer.settings.values import Section

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()
ROW = re.compile(r"^\| `([a-z_.]+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def test_every_key_is_there_with_its_default() -> None:
    assert {key: default for key, default, _ in ROW.findall(PAGE)} == every_key()


def test_every_key_has_its_meaning_once() -> None:
    rows = ROW.findall(PAGE)
    assert len({key for key, _, _ in rows}) == len(rows)
    assert all(len(meaning) > 3 for _, _, meaning in rows)


def test_every_variable_is_there() -> None:
    assert [name for name in VARIABLES if f"`{name}`" not in PAGE] == []


def every_key() -> dict[str, str]:
    """Return every key that has no keys below it, with its default as the page writes it."""
    return dict(_keys(Settings, ""))


def _keys(model: type[BaseModel], path: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        below = list(_sections(field.annotation))
        if not below or name == "candidates":
            yield path + name, documented_default(field)
        for kind in below:
            yield from _keys(kind, f"{path}{name}.")


def _sections(annotation: object) -> Iterator[type[Section]]:
    """Return the sections that a field holds: itself, or as entries of a list or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def documented_default(field: FieldInfo) -> str:
    """Return a field's default as YAML has it."""
    return "required" if field.is_required() else f"`{_yaml(field.get_default(call_default_factory=True))}`"


def _yaml(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case timedelta():
            return next(
                f"{value // timedelta(seconds=s)}{unit}" for unit, s in UNITS.items() if not value.total_seconds() % s
            )
        case tuple():
            return f"[{', '.join(map(str, value))}]"
        case float():
            return f"{value:g}"
    return str(value)
