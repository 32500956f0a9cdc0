"""Whether a value conforms to a JSON schema, in bounded time whatever the schema, the value and its patterns are."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from jsonschema_rs import RegexOptions, validator_for

LONGEST_SCHEMA: Final = 64_000  # characters of JSON
MOST_WORK: Final = 100_000_000  # nodes of the schema, references unfolded, times characters of the value: about 1 s
_REGEX_BYTES: Final = 1 << 16  # of a compiled pattern
_PATTERN_NODES: Final = 200  # how many plain nodes a pattern of that size takes as long as: 1.6 µs a character
# They change what a reference means, or cannot be followed without running the schema.
_UNFOLLOWED: Final = ("$dynamicRef", "$recursiveRef")


def conforms(value: str, schema: object) -> bool | None:
    """Return whether JSON text conforms to a schema; None where that cannot be told.

    It cannot where the schema is invalid, too long, refers to something outside of it, has a pattern that needs
    backtracking (look-around, back references), or would take too long on a text of this length.

    Parameters
    ----------
    value : str
        Valid JSON.
    """
    if not isinstance(schema, Mapping | bool):
        return None
    try:
        text = json.dumps(schema, sort_keys=True, allow_nan=False)
        size = None if len(text) > LONGEST_SCHEMA else _unfolded_size(text)
        if size is None or size * len(value) > MOST_WORK:
            return None
        return bool(_validator(text).is_valid(json.loads(value)))
    except (TypeError, ValueError, LookupError, RecursionError):  # the library's own errors are ValueErrors
        return None


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:  # noqa: ANN401 - the library has a class for every draft
    # This engine takes time linear in the text, and refuses what it cannot do so.
    patterns = RegexOptions(size_limit=_REGEX_BYTES, dfa_size_limit=_REGEX_BYTES)
    return validator_for(json.loads(schema), pattern_options=patterns, validate_formats=False, offline=True)


@lru_cache(maxsize=256)
def _unfolded_size(schema: str) -> int | None:
    """Return how many nodes a schema has when each reference counts as what it refers to; None if that is unclear.

    References make a schema of n definitions that each name the next one twice into one of 2ⁿ nodes. A definition
    inside itself counts once: the library remembers what it has validated.
    """
    root = json.loads(schema)
    sizes: dict[str, int | None] = {}

    def size_of(node: object) -> int | None:
        if isinstance(node, list):
            return total(node)
        if not isinstance(node, dict):
            return 1
        if any(word in node for word in _UNFOLLOWED):
            return None
        reference = node.get("$ref")
        referred = size_behind(reference) if isinstance(reference, str) else 0
        rest = total(node.values())
        own = 1 + _PATTERN_NODES * (("pattern" in node) + len(node.get("patternProperties") or ()))
        return None if referred is None or rest is None else own + rest + referred

    def total(nodes: Any) -> int | None:  # noqa: ANN401 - any JSON
        found = [size_of(node) for node in nodes]
        known = [size for size in found if size is not None]
        return min(sum(known), MOST_WORK + 1) if len(known) == len(found) else None

    def size_behind(reference: str) -> int | None:
        if reference not in sizes:
            sizes[reference] = 1
            sizes[reference] = size_of(_resolved(root, reference))
        return sizes[reference]

    return size_of(root)


def _resolved(root: object, reference: str) -> object:
    """Return what `#` or a JSON pointer such as `#/$defs/part` points to."""
    if not reference.startswith("#") or (reference != "#" and not reference.startswith("#/")):
        raise ValueError("only references within the schema are followed")
    node = root
    for part in reference.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(name)]
        elif isinstance(node, dict):
            node = node[name]
        else:
            raise ValueError("a reference leads nowhere")
    return node
