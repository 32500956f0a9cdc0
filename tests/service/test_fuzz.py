"""Whatever a client sends is answered: in OpenAI's shape, never by an error that nobody foresaw."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.router import Router
from optimizer.service.app import create_app
from optimizer.settings import ServiceSettings
from optimizer.simulation.fake_gateway import FakeServer, Script, running_gateway
from optimizer.simulation.fake_gateway.messages import FakeAnswer
from tests.service.running import CHAT

FIELDS = [
    *("model", "messages", "stream", "stream_options", "temperature", "top_p", "n", "max_tokens", "stop", "tools"),
    *(
        "tool_choice",
        "response_format",
        "metadata",
        "user",
        "seed",
        "logprobs",
        "logit_bias",
        "functions",
        "frobnicate",
    ),
]
ARGUMENTS = ["context_length", "required_quality", "objective", "cost_tier", "session_id", "tags", "features", "tenant"]
texts = st.text(st.characters(exclude_categories=()), max_size=8)  # also halves of surrogate pairs, and NUL
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(["type", "text", "image_url", "url", "function", "name", "parameters", "json_schema", "schema"])
nearly = st.recursive(anything, lambda inner: st.dictionaries(keys, inner, max_size=4), max_leaves=6)
message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool"])},
    optional={
        "content": texts | st.lists(st.dictionaries(keys, nearly, max_size=3), max_size=2) | anything,
        "tool_calls": st.lists(st.dictionaries(keys, nearly, max_size=3), max_size=2),
        "name": anything,
    },
)
formats = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"])}, optional={"json_schema": nearly}
)
bodies = st.fixed_dictionaries(
    {"messages": st.lists(message, min_size=1, max_size=2)},
    optional={
        "tools": st.lists(st.fixed_dictionaries({"type": st.just("function"), "function": nearly}), max_size=2),
        "response_format": formats,
        "metadata": st.dictionaries(st.sampled_from(["use_case", "session", "cost_tier", "x"]), anything, max_size=3),
        **dict.fromkeys(("stop", "user", "tool_choice", "n", "temperature", "frobnicate"), anything),
    },
)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeServer]:
    with running_gateway(Script(strict=False), answer=lambda _: FakeAnswer(content="[1]")) as server:
        yield server


@pytest.fixture(scope="module")
def app(fake: FakeServer, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application with everything switched on that reads bodies."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    config = folder / "optimizer.yaml"
    config.write_text("redaction: {enabled: true}\ncache: {enabled: true, deduplicate: true}\n")
    environ = {"PORTKEY_BASE_URL": fake.portkey_url, "OPTIMIZER_SECRET": "s"}
    opening = partial(Router.open, config, database=str(folder / "ledger.db"), environ=environ)
    return create_app(opening, ServiceSettings())


@pytest.fixture(scope="module")
def ask(app: FastAPI) -> Iterator[Any]:
    """Send bodies to the application, without a socket, in one event loop."""
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")
        yield lambda path, content: runner.run(
            client.post(path, content=content, headers={"content-type": "application/json"})
        )
        runner.run(client.aclose())
        runner.run(lifespan.__aexit__(None, None, None))


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


patient = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@patient
@given(bodies)
def test_a_chat_that_is_nearly_right(ask: Any, body: dict[str, Any]) -> None:
    check(ask(CHAT, json.dumps(body)))


@patient
@given(st.dictionaries(st.sampled_from(FIELDS), anything))
def test_a_chat_of_any_fields(ask: Any, body: dict[str, Any]) -> None:
    check(ask(CHAT, json.dumps(body)))


@patient
@given(st.binary(max_size=40) | anything.map(lambda value: json.dumps(value).encode()))
@pytest.mark.parametrize("path", [CHAT, "/v1/feedback", "/v1/select", "/v1/outcomes"])
def test_any_body_at_all(ask: Any, path: str, content: bytes) -> None:
    check(ask(path, content))


@patient
@given(st.dictionaries(st.sampled_from(ARGUMENTS), anything))
def test_a_selection_of_any_arguments(ask: Any, body: dict[str, Any]) -> None:
    check(ask("/v1/select", json.dumps({"use_case": "chat", **body})))


@pytest.mark.parametrize("value", ["1e999", "-1e999", "1" * 400, "1" * 5_000, "[" * 2_000 + "]" * 2_000, '"\\ud800"'])
@pytest.mark.parametrize("field", ["temperature", "n", "max_tokens", "user", "logit_bias", "frobnicate"])
def test_values_at_the_edge_of_json(ask: Any, field: str, value: str) -> None:
    check(ask(CHAT, f'{{"messages": [{{"role": "user", "content": "x"}}], "{field}": {value}}}'))


@pytest.mark.parametrize("depth", [100, 300, 500, 700, 850, 950, 990])
@pytest.mark.parametrize("field", ["response_format", "tools", "metadata", "messages", "frobnicate"])
def test_what_is_nested_deeply(ask: Any, field: str, depth: int) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth
    value = deep if field in {"response_format", "metadata", "frobnicate"} else f"[{deep}]"
    check(ask(CHAT, f'{{"messages": [{{"role": "user", "content": "x"}}], "{field}": {value}}}'))
