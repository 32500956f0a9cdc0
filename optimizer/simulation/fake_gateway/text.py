"""Text of a given length, the smallest JSON that fits a schema, and the tokenizer by which the fake gateway counts."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import cycle, islice
from typing import Any

TOKEN = re.compile(r"\w+|[^\w\s]")  # a word or a sign is one token
_TEXT = (
    "The answer depends on what is asked for , and on how much of it is known already . A short reply is often "
    "enough : it names the point , gives one reason and stops . Where more is needed , it goes on — step by step , "
    "with an example for each — until nothing is left open . "
)
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "a@example.org",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEEPEST = 40  # of a schema that refers to itself


def count_tokens(text: str) -> int:
    """Return the number of words and punctuation marks."""
    return len(TOKEN.findall(text))


@lru_cache(maxsize=512)
def filler(n_tokens: int) -> str:
    """Return plausible text of this many tokens."""
    return " ".join(islice(cycle(_TEXT.split()), n_tokens))


def pieces(text: str) -> Iterator[str]:
    """Yield the text token by token, each with the white space before it; together they are the text."""
    start = 0
    for match in TOKEN.finditer(text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]


def minimal_json(schema: Mapping[str, Any]) -> str:
    """Return a small JSON text that fits a JSON schema."""
    return json.dumps(_value(schema, schema, 0))


def _value(schema: object, root: Mapping[str, Any], depth: int) -> object:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    for key, pick in (("const", schema.get("const")), ("default", schema.get("default"))):
        if key in schema:
            return pick
    if schema.get("enum"):
        return schema["enum"][0]
    if "$ref" in schema:
        return _value(_resolved(schema["$ref"], root), root, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _value(schema[key][0], root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> object:
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _value(properties.get(name, {}), root, depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        return [_value(schema.get("items", {}), root, depth + 1)] * schema.get("minItems", 0)
    if kind == "string":
        text = _FORMATS.get(schema.get("format", ""), "text")
        return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
    if kind in {"integer", "number"}:
        return _number(schema, kind)
    return False if kind == "boolean" else None


def _number(schema: Mapping[str, Any], kind: str) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", min(0, schema.get("maximum", 0))))
    step = schema.get("multipleOf", 1 if kind == "integer" else 0.5)
    return low + step if low == schema.get("exclusiveMinimum") else low  # type: ignore[no-any-return]


def _resolved(reference: str, root: Mapping[str, Any]) -> object:
    found: object = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(part, {}) if part and isinstance(found, Mapping) else found
    return found
