"""The OpenAPI document is whole: every operation has an example of its request and reply, and they are right."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from optimizer.engine import Optimizer
from optimizer.router import Router
from optimizer.service.app import create_app
from optimizer.settings import ServiceSettings
from tests.service.running import Served


def _nothing() -> Router:
    return Router(Optimizer.open())


DOCUMENT = create_app(_nothing, ServiceSettings()).openapi()
OPERATIONS = [(method, path) for path, item in DOCUMENT["paths"].items() for method in item]


def operation(method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][path][method]
    return found


def whole(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which references into the document lead somewhere."""
    return {**schema, "components": DOCUMENT.get("components", {})}


def examples(media: dict[str, Any]) -> list[Any]:
    found = [media["example"]] if "example" in media else media["schema"].get("examples", [])
    return list(found)


def test_every_address_is_in_it() -> None:
    assert {path for _, path in OPERATIONS} == {
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/{model}",
        "/v1/select",
        "/v1/outcomes",
        "/v1/feedback",
        "/v1/calls/{call_id}",
        "/v1/budgets",
        "/healthz",
        "/readyz",
    }


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_shows_a_reply_that_fits(method: str, path: str) -> None:
    found = operation(method, path)
    assert found["summary"]
    media = found["responses"]["200"]["content"]["application/json"]
    shown = examples(media)
    assert shown
    for example in shown:
        jsonschema.validate(example, whole(media["schema"]))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_says_how_errors_look(method: str, path: str) -> None:
    replies = operation(method, path)["responses"]
    assert "422" not in replies  # FastAPI's own shape, which is none of ours
    for status in ("4XX", "5XX"):
        media = replies[status]["content"]["application/json"]
        jsonschema.validate(media["example"], media["schema"])


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p in OPERATIONS if "requestBody" in operation(m, p)])
def test_every_request_shown_is_taken(served: Served, method: str, path: str) -> None:
    """The call that examples name is not there; one that is takes its place."""
    media = operation(method, path)["requestBody"]["content"]["application/json"]
    shown = examples(media)
    assert shown
    call_id = served.client.post("/v1/select", json={"use_case": "code_generation"}).json()["call_id"]
    for example in shown:
        jsonschema.validate(example, whole(media["schema"]))
        text = json.dumps(example).replace("01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90", call_id)
        answer = served.client.request(method, path, content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if method == "get"])
def test_what_is_read_looks_as_it_says(served: Served, path: str) -> None:
    call_id = served.chat().headers["x-optimizer-call-id"]
    answer = served.client.get(path.format(model="auto", call_id=call_id))
    media = operation("get", path)["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(answer.json(), whole(media["schema"]))


def test_it_is_served(served: Served) -> None:
    assert served.client.get("/openapi.json").json()["paths"].keys() == DOCUMENT["paths"].keys()


def test_headers_of_a_chat_are_in_it() -> None:
    chat = operation("post", "/v1/chat/completions")
    assert set(_names(chat["parameters"])) >= {"x-optimizer-use-case", "x-optimizer-session"}
    assert "x-optimizer-feedback-token" in chat["responses"]["200"]["headers"]
    assert "text/event-stream" in chat["responses"]["200"]["content"]


def _names(parameters: list[dict[str, Any]]) -> Iterator[str]:
    return (parameter["name"] for parameter in parameters)
