"""What stands in for a value while it is away, and the forms in which models give that back."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

MOST_DIGITS = 5
LONGEST = 40  # letters that any form of a placeholder takes, with room; longest label is 8

_OPEN, _CLOSE = "[\\[\u3010\uff3b]", "[\\]\u3011\uff3d]"
_NUMBER = rf"[1-9][0-9]{{0,{MOST_DIGITS - 1}}}"
_APART = "(?<![A-Za-z0-9_])"
_CORE = re.compile(rf"([A-Za-z]+)[\\_ -]*({_NUMBER})")


class Placeholders:
    """Numbers values as they appear: one value, one placeholder, such as `[EMAIL_1]`.

    Equal beginnings of two calls get equal placeholders, so that what a provider caches of a conversation stays valid.

    Parameters
    ----------
    texts : iterable of str
        Everything that is sent; what looks like a placeholder in there already is never given out.
    """

    def __init__(self, texts: Iterable[str], labels: Iterable[str]) -> None:
        alike = re.compile(rf"(?i:({'|'.join(sorted(labels))}))[\s\\_-]{{0,3}}0*([0-9]{{1,{MOST_DIGITS}}})(?![0-9])")
        self._taken = {f"{label.upper()}_{number}" for text in texts for label, number in alike.findall(text)}
        self._last: dict[str, int] = {}
        self.names: dict[str, str] = {}

    def name(self, value: str, kind: str) -> str:
        """Return the bare placeholder of a value, such as `EMAIL_1`."""
        if value not in self.names:
            self.names[value] = self._next(kind.upper())
        return self.names[value]

    def _next(self, label: str) -> str:
        number = self._last.get(label, 0) + 1
        while f"{label}_{number}" in self._taken:
            number += 1
        self._last[label] = number
        return f"{label}_{number}"


def value_of(form: str, values: Mapping[str, str], *, as_json: bool) -> str:
    """Return what a form stands for, escaped for the inside of a JSON string if asked; the form itself if nothing."""
    match = _CORE.search(form)
    value = values.get(f"{match[1].upper()}_{match[2]}") if match else None
    if value is None:
        return form
    return json.dumps(value, ensure_ascii=False)[1:-1] if as_json else value


def labels_of(values: Iterable[str]) -> tuple[str, ...]:
    """Return the labels in bare placeholders, each once, in a stable order."""
    return tuple(sorted({name.partition("_")[0] for name in values}))


@lru_cache(maxsize=256)
def forms(labels: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    r"""Return the pattern of every form of these labels' placeholders, and that of one which a text's end cuts short.

    Forms: `[EMAIL_1]` in any case, with spaces inside, with another script's brackets, escaped as markdown or JSON do
    (`\[EMAIL\_1\]`); in capitals also `[EMAIL 1]`, `[EMAIL-1]`, `[EMAIL1]`, and `EMAIL_1` without brackets. Lower case
    without brackets or underscore is no form: `email_1` is a variable, and [Email 1] a heading.
    """
    closed = [parts for label in labels for parts in _closed_forms(label)]
    bare = [[*label, r"\\{0,2}", "_", _NUMBER] for label in labels]
    whole = ["".join(parts) for parts in closed] + [f"{_APART}{''.join(parts)}(?![A-Za-z0-9_])" for parts in bare]
    # Only the next letter tells that a bare form has ended; a bracket tells it at once.
    short = [_beginning(parts[:-1]) for parts in closed] + [_APART + _beginning(parts) for parts in bare]
    return re.compile("|".join(whole)), re.compile(rf"(?:{'|'.join(short)})\Z")


def _closed_forms(label: str) -> Iterable[list[str]]:
    either = [f"[{letter}{letter.lower()}]" for letter in label]
    inner = [" ?", *either, r"\\{0,2}", "_", _NUMBER, " ?"]
    yield [_OPEN, *inner, _CLOSE]
    yield [r"\\{1,2}", _OPEN, *inner, r"\\{1,2}", _CLOSE]
    yield [_OPEN, " ?", *label, "[ -]?", _NUMBER, " ?", _CLOSE]


def _beginning(parts: Sequence[str]) -> str:
    """Return the pattern of one part or more, from the left."""
    first, *rest = parts
    return f"{first}(?:{_beginning(rest)})?" if rest else first
