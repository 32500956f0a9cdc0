"""Puts values back where a reply names their placeholders; the values live here, in memory, and nowhere else."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from optimizer.calling.redaction.placeholders import forms, labels_of, value_of
from optimizer.calling.redaction.replies import rewritten_choices
from optimizer.calling.redaction.streams import StreamRestorer


class Restoration:
    """The values that one call's placeholders stand for; false where nothing was redacted, `repr` shows counts only.

    Parameters
    ----------
    values : mapping
        Bare placeholder, such as `EMAIL_1` → the value.
    json_content : bool
        Whether the content was asked to be JSON: values are escaped in it, as they are in arguments of tool calls.

    Attributes
    ----------
    counts : mapping
        Kind → how many values were redacted, for logs and metrics.
    """

    def __init__(self, values: Mapping[str, str], *, json_content: bool = False) -> None:
        self._values = dict(values)
        self._json_content = json_content
        self._whole = forms(labels_of(values))[0] if values else None
        self.counts: Mapping[str, int] = dict(Counter(name.partition("_")[0].lower() for name in values))

    def __repr__(self) -> str:
        return f"Restoration(counts={dict(self.counts)})"

    def __bool__(self) -> bool:
        return bool(self._values)

    def restore(self, text: str, *, as_json: bool = False) -> str:
        """Return the text with the values back, escaped for the inside of JSON strings if asked."""
        if self._whole is None:
            return text
        return self._whole.sub(lambda match: value_of(match[0], self._values, as_json=as_json), text)

    def restore_body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a reply with the values back in content, refusal, reasoning and arguments of tool calls."""
        if self._whole is None:
            return body
        return rewritten_choices(
            body,
            "message",
            lambda _, text, as_json: self.restore(text, as_json=as_json),
            json_content=self._json_content,
        )

    def stream(self) -> StreamRestorer:
        """Return what puts the values back into one streamed reply."""
        return StreamRestorer(self._values, json_content=self._json_content)
