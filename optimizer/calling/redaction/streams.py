"""Puts values back into a stream, whose chunks may cut a placeholder anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.calling.redaction.placeholders import LONGEST, forms, labels_of, value_of
from optimizer.calling.redaction.replies import rewritten_choices, with_rest


@dataclass(slots=True)
class _Held:
    """What waits for its end: the last letter that went out before it, and itself."""

    before: str = ""
    text: str = ""
    as_json: bool = False


class StreamRestorer:
    """Puts values back, text by text; holds back only what may yet become a placeholder.

    For one stream, and one reader of it. Each text has a key of its own, such as `0.content`.
    """

    def __init__(self, values: Mapping[str, str], *, json_content: bool = False) -> None:
        self._values = values
        self._json_content = json_content
        self._whole, self._begun = forms(labels_of(values))
        self._held: dict[str, _Held] = {}

    def feed(self, key: str, text: str, as_json: bool = False) -> str:
        """Return what can go out of this text and what was held back before it."""
        if not self._values:
            return text
        held = self._held.setdefault(key, _Held(as_json=as_json))
        held.text += text
        return self._settled(held)

    def flush(self, key: str) -> str:
        """Return what is still held back: the text has ended."""
        held = self._held.pop(key, None)
        return self._settled(held, ended=True) if held else ""

    def chunk(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a stream's chunk with the values back; a chunk that ends a choice brings all that was held back."""
        if not self._values or not body.get("choices"):
            return body
        ready = rewritten_choices(body, "delta", self.feed, json_content=self._json_content)
        choices = [self._ended(choice, number) for number, choice in enumerate(ready["choices"])]
        return {**ready, "choices": choices}

    def rest(self) -> Mapping[str, Any] | None:
        """Return a chunk with all that is still held back, for a stream that broke off; None where there is nothing."""
        deltas: dict[str, Mapping[str, Any]] = {}
        for key in list(self._held):
            index, _, where = key.partition(".")
            if rest := self.flush(key):
                deltas[index] = with_rest(deltas.get(index, {}), where, rest)
        return {"choices": [{"index": int(i), "delta": delta} for i, delta in deltas.items()]} if deltas else None

    def _ended(self, choice: Any, position: int) -> Any:  # noqa: ANN401 - JSON
        if not isinstance(choice, Mapping) or not choice.get("finish_reason"):
            return choice
        start, delta = f"{choice.get('index', position)}.", choice.get("delta") or {}
        for key in [key for key in self._held if key.startswith(start)]:
            if rest := self.flush(key):
                delta = with_rest(delta, key.removeprefix(start), rest)
        return {**choice, "delta": delta}

    def _settled(self, held: _Held, *, ended: bool = False) -> str:
        text, at, out = held.before + held.text, len(held.before), []
        while True:
            whole = self._whole.search(text, at)
            begun = None if ended else self._begun.search(text, max(at, len(text) - LONGEST))
            if whole is None or (begun is not None and begun.start() <= whole.start()):
                break
            out += [text[at : whole.start()], value_of(whole[0], self._values, as_json=held.as_json)]
            at = whole.end()
        end = begun.start() if begun else len(text)
        held.before, held.text = text[max(0, end - 1) : end], text[end:]
        return "".join([*out, text[at:end]])
