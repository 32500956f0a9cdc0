"""What is countable about a text or a request, and decides how many tokens it is: letters by script, words, runs."""

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from os import urandom
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# In the order of the features.
FEATURES = (
    "words",  # starts of words in any script
    "long",  # ASCII letters after the seventh of their word
    "capitals",
    "digits",
    "numbers",  # runs of digits
    "signs",  # ASCII punctuation
    "sign_runs",
    "lines",  # runs of newlines
    "indents",  # runs of two or more spaces or tabs
    "latin",  # letters with marks
    "two_bytes",  # Greek, Cyrillic, Hebrew, Arabic …
    "three_bytes",  # Indic, Thai, Georgian …
    "cjk",
    "hangul",
    "symbols",  # typographic quotes, arrows, full-width forms
    "emoji",  # everything of four bytes
    "turns",  # messages and tools, and one for the reply's beginning
    "has_tools",
    "media",  # tokens of images, audio and files by the rules below
)
N_TEXT = FEATURES.index("turns")
TURNS, HAS_TOOLS, MEDIA = range(N_TEXT, len(FEATURES))

# OpenAI's own examples for GPT-4o: a 1,024 × 1,024 image is 765 tokens, a 2,048 × 4,096 one 1,105, low detail 85. Sizes
# are unknown here. Speech is 10 tokens a second, about one per 1,000 base64 letters of MP3; a page of PDF, about
# 50,000 base64 letters, is about 1,500.
IMAGE_TOKENS = {"low": 85.0, "auto": 765.0, "high": 1105.0}
AUDIO_LETTERS_PER_TOKEN = 1_000
PAGE_TOKENS, LETTERS_PER_PAGE = 1_500.0, 50_000

_REST, _SMALL, _CAPITAL, _DIGIT, _SPACE, _NEWLINE, _SIGN = range(7)
_LATIN, _TWO, _THREE, _CJK, _HANGUL, _SYMBOL, _EMOJI = range(7, 14)


def _kinds() -> NDArray[np.uint8]:
    """Return the kind of every byte; of UTF-8 the first byte tells the script, and the others are no kind."""
    kinds = np.full(256, _SIGN, np.uint8)
    ranges = (
        *(
            (0x80, 0xBF, _REST),
            (0x61, 0x7A, _SMALL),
            (0x41, 0x5A, _CAPITAL),
            (0x30, 0x39, _DIGIT),
            (0x20, 0x20, _SPACE),
        ),
        *((0x09, 0x09, _SPACE), (0x0A, 0x0A, _NEWLINE), (0x0D, 0x0D, _NEWLINE), (0xC0, 0xCA, _LATIN)),
        *((0xCB, 0xDF, _TWO), (0xE0, 0xE1, _THREE), (0xE2, 0xE2, _SYMBOL), (0xE3, 0xE9, _CJK), (0xEA, 0xED, _HANGUL)),
        *((0xEE, 0xEF, _SYMBOL), (0xF0, 0xFF, _EMOJI)),
    )
    for first, last, kind in ranges:
        kinds[first : last + 1] = kind
    return kinds


_KINDS = _kinds()


def features(text: str) -> FloatArray:
    """Return the counts of a text, shape (n_features,); those of requests are 0.

    No count falls when a text grows at its beginning or end.
    """
    raw = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    kinds = _KINDS[raw]
    counts = np.bincount(kinds, minlength=14)
    small_or_capital = (kinds == _SMALL) | (kinds == _CAPITAL)
    spaces = kinds == _SPACE
    found = np.zeros(len(FEATURES))
    found[:N_TEXT] = (
        *(_runs(small_or_capital | (raw > 0x7F)), _eighths(small_or_capital), counts[_CAPITAL]),
        *(counts[_DIGIT], _runs(kinds == _DIGIT), counts[_SIGN], _runs(kinds == _SIGN), _runs(kinds == _NEWLINE)),
        *(_runs(spaces[1:] & spaces[:-1]), *counts[_LATIN : _EMOJI + 1]),
    )
    return found


def _runs(of: BoolArray) -> int:
    """Return how many stretches of True there are."""
    return int(np.count_nonzero(of[1:] & ~of[:-1])) + int(of[:1].any())


def _eighths(of: BoolArray) -> int:
    """Return how many True have seven True just before them."""
    for step in (1, 2, 4):
        of = of[step:] & of[:-step]
    return int(np.count_nonzero(of))


class _Seen:
    """Counts of texts that were counted before: a chat sends all its messages again with each new one.

    It remembers no text, but a hash of it under a key that this process alone has.
    """

    def __init__(self, capacity: int) -> None:
        self._known: LRUCache[bytes, FloatArray] = LRUCache(capacity)
        self._lock = Lock()
        self._key = urandom(32)

    def features(self, text: str) -> FloatArray:
        """Return the counts of a text, not to be changed."""
        name = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._key).digest()
        with self._lock:
            found = self._known.get(name)
        if found is None:
            found = features(text)
            with self._lock:
                self._known[name] = found
        return found


_SEEN = _Seen(10_000)  # some 3 MB


def body_features(body: Mapping[str, Any]) -> FloatArray:
    """Return the counts of a request in OpenAI's shape, with its tools, schema, images, audio and files."""
    messages, tools = _listed(body, "messages"), [*_listed(body, "tools"), *_listed(body, "functions")]
    texts = [text for message in messages for text in _texts(message)]
    schemas = [*tools, *([body["response_format"]] if body.get("response_format") else [])]
    found = np.zeros(len(FEATURES))
    for text in (*texts, *(json.dumps(schema, ensure_ascii=False) for schema in schemas)):
        found += _SEEN.features(text)
    found[TURNS] = len(messages) + len(tools) + 1
    found[HAS_TOOLS] = bool(tools)
    found[MEDIA] = sum(_media_tokens(part) for message in messages for part in _parts(message))
    return found


def _listed(body: Mapping[str, Any], name: str) -> list[Any]:
    found = body.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def _parts(message: Mapping[str, Any]) -> list[Any]:
    return _listed(message, "content")


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    found = [message.get(name) for name in ("content", "name", "refusal", "reasoning", "reasoning_content")]
    found += [part.get("text") for part in _parts(message)]
    for call in _listed(message, "tool_calls"):
        function = call.get("function") or call.get("custom") or {}
        found += [function.get(name) for name in ("name", "arguments", "input")]
    yield from (text for text in found if isinstance(text, str))


def _media_tokens(part: Mapping[str, Any]) -> float:
    kind = part.get("type")
    inner = part.get(kind) if isinstance(kind, str) else None
    given: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
    if kind == "image_url":
        return IMAGE_TOKENS.get(str(given.get("detail")), IMAGE_TOKENS["auto"])
    if kind == "input_audio":
        return len(str(given.get("data", ""))) / AUDIO_LETTERS_PER_TOKEN
    if kind == "file":
        return PAGE_TOKENS * max(1.0, len(str(given.get("file_data", ""))) / LETTERS_PER_PAGE)
    return 0.0
