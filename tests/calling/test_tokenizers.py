"""Exact counts where a tokenizer is there, estimates everywhere else."""

from importlib.util import find_spec
from typing import Any

import pytest

from optimizer.calling import tokenizers
from optimizer.calling.token_features import body_features
from optimizer.calling.tokenizers import count_request, estimate_request
from optimizer.calling.tokens import TokenEstimator

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello world"}]}
HAS_TOKENIZER = find_spec("tiktoken") is not None and tokenizers._encoding("gpt-4o") is not None
needs_tokenizer = pytest.mark.skipif(
    not HAS_TOKENIZER, reason="needs tiktoken with its files: pip install 'orchestra-optimizer[tokenizers]'"
)


@needs_tokenizer
@pytest.mark.parametrize("model_id", ["gpt-4o", "openai/gpt-4o", "gpt-4"])
def test_plain_messages_of_openai_are_counted(model_id: str) -> None:
    """Two words, one token for the role, three around the message and three for the reply."""
    assert count_request(model_id, HELLO) == 2 + 1 + 3 + 3
    assert estimate_request(TokenEstimator(), model_id, HELLO) == (9, 25)


@needs_tokenizer
def test_text_that_looks_like_a_special_token_is_counted_as_text() -> None:
    assert (count_request("gpt-4o", {"messages": [{"role": "user", "content": "<|endoftext|>"}]}) or 0) > 10


@pytest.mark.parametrize(
    ("model_id", "body"),
    [
        ("claude-sonnet-5", HELLO),
        ("gpt-4o", {**HELLO, "tools": [{"type": "function"}]}),
        ("gpt-4o", {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]}),
        ("gpt-4o", {"messages": [{"role": "assistant", "content": "a", "tool_calls": []}]}),
        ("gpt-4o", {}),
    ],
)
def test_everything_else_is_estimated(model_id: str, body: dict[str, Any]) -> None:
    estimator = TokenEstimator()
    assert count_request(model_id, body) is None
    assert estimate_request(estimator, model_id, body) == estimator.estimate(model_id, body_features(body))


def test_a_tokenizer_without_its_file_is_not_made_to_download_it(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    tokenizers._say.cache_clear()
    with caplog.at_level("INFO"):
        assert [count_request("gpt-4o", HELLO) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
