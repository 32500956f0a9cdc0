"""Exact token counts for OpenAI's models, where their tokenizer and its files are there; an optional extra."""

import logging
import os
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from typing import Any

from optimizer.calling.token_features import FloatArray, body_features
from optimizer.calling.tokens import Estimate, TokenEstimator

# tiktoken downloads these when first used, and keeps them; we look whether it has, and never make it download.
_FILES = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_KNOWN = ("o200k_base", "cl100k_base")

# As OpenAI's cookbook counts plain messages; for tools, images and schemas no rule is published.
_PER_MESSAGE, _PER_NAME, _FOR_REPLY = 3, 1, 3
_MARGIN = 16  # for models that frame messages in another way
_PLAIN_BODY = {"tools", "functions", "response_format"}
_PLAIN_MESSAGE = {"role", "content", "name"}

_log = logging.getLogger(__name__)


def estimate_request(
    estimator: TokenEstimator, model_id: str, body: Mapping[str, Any], counts: FloatArray | None = None
) -> Estimate:
    """Return the input tokens of a request: counted where that is possible, else estimated.

    Parameters
    ----------
    counts : ndarray, optional
        The body's features, where they are known already.
    """
    counted = count_request(model_id, body)
    if counted is not None:
        return Estimate(counted, counted + _MARGIN)
    return estimator.estimate(model_id, body_features(body) if counts is None else counts)


def count_request(model_id: str, body: Mapping[str, Any]) -> int | None:
    """Return the input tokens of a request of plain messages; None where they cannot be known."""
    messages = body.get("messages")
    if not isinstance(messages, list) or _PLAIN_BODY & body.keys() or not all(map(_is_plain, messages)):
        return None
    encoding = _encoding(model_id)
    if encoding is None:
        return None
    return _FOR_REPLY + sum(_message_tokens(encoding, message) for message in messages)


def _is_plain(message: Any) -> bool:  # noqa: ANN401 - JSON
    texts = isinstance(message, Mapping) and all(isinstance(value, str) for value in message.values())
    return texts and message.keys() <= _PLAIN_MESSAGE


def _message_tokens(encoding: Any, message: Mapping[str, str]) -> int:  # noqa: ANN401 - tiktoken may not be there
    named = _PER_NAME if "name" in message else 0
    return _PER_MESSAGE + named + sum(len(encoding.encode_ordinary(text)) for text in message.values())


def _encoding(model_id: str) -> Any:  # noqa: ANN401
    return _loaded(model_id, os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR"))


@lru_cache(maxsize=256)
def _loaded(model_id: str, named: str | None) -> Any:  # noqa: ANN401
    # Where tiktoken keeps its files.
    folder = Path(named) if named else Path(tempfile.gettempdir()) / "data-gym-cache"
    try:
        import tiktoken
    except ImportError:
        _say("tiktoken is not installed (pip install 'orchestra-optimizer[tokenizers]')")
        return None
    try:
        name = tiktoken.encoding_name_for_model(model_id.rpartition("/")[2])
    except KeyError:  # not one of OpenAI's, or newer than the package
        return None
    if (
        name not in _KNOWN
        or not (folder / sha1(_FILES.format(name).encode(), usedforsecurity=False).hexdigest()).is_file()
    ):
        _say(f"tiktoken has no file for {name} in its cache")
        return None
    try:
        return tiktoken.get_encoding(name)
    except (OSError, ValueError):  # a broken file, which it tries to download again
        _say(f"tiktoken's file for {name} is broken")
        return None


@lru_cache(maxsize=16)
def _say(why: str) -> None:
    """Log once why tokens are estimated."""
    _log.info("tokens are estimated, not counted: %s", why)
