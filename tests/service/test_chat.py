"""Whole chats over HTTP: what a client sends, what goes on to the gateway, what comes back."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from optimizer.ledger.database import connect
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import Trouble
from tests.engine.factory import CHEAP, DEAR, pool
from tests.service.conftest import Serve
from tests.service.running import CHAT, HELLO, Served, error_of, only, until

MARKED = "xylophone-7391"  # in no message, log or error of ours


def test_a_reply_comes_in_openais_shape_with_our_headers(served: Served, fake: FakeServer) -> None:
    only(fake, DEAR, answer="Hello!")
    answer = served.chat(DEAR)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["object"], body["model"]) == ("chat.completion", DEAR)
    assert body["choices"][0]["message"]["content"] == "Hello!"
    headers = answer.headers
    assert headers["x-optimizer-call-id"] == served.last.selection.call_id
    assert (headers["x-optimizer-model"], headers["x-optimizer-degraded"]) == (DEAR, "false")
    assert float(headers["x-optimizer-propensity"]) == served.last.selection.propensity
    assert headers["x-optimizer-feedback-token"].startswith(headers["x-optimizer-call-id"])


def test_auto_leaves_the_choice_to_us(served: Served) -> None:
    assert served.chat("auto").status_code == 200
    assert served.last.selection.use_case == "chat"
    assert served.last.selection.overridden_by is None


def test_no_model_is_auto(served: Served) -> None:
    assert served.client.post(CHAT, json={"messages": HELLO}).status_code == 200
    assert served.last.selection.overridden_by is None


def test_auto_may_name_the_use_case(served: Served) -> None:
    served.chat("auto:code_generation")
    assert served.last.selection.use_case == "code_generation"


@pytest.mark.parametrize(
    "name", [DEAR, f"@openai/{DEAR}", f"@my-slug/{DEAR}", f"openai/{DEAR}", f"openai/{DEAR}:nitro"]
)
def test_a_model_by_any_of_its_names_is_a_pin(served: Served, name: str) -> None:
    assert served.chat(name).headers["x-optimizer-model"] == DEAR
    assert served.last.selection.overridden_by == "pin"


def test_a_pin_without_use_case_goes_where_the_model_is_offered(served: Served) -> None:
    route = served.optimizer.routes["code_generation"]
    offered = {each.model_id for each in served.optimizer.routes["chat"].candidates}
    (model, *_) = [each.model_id for each in route.candidates if each.model_id not in offered]
    assert served.chat(model).headers["x-optimizer-model"] == model


def test_hints_come_as_headers(served: Served) -> None:
    served.chat(
        headers={
            "x-optimizer-use-case": "code_generation",
            "x-optimizer-session": "s1",
            "x-optimizer-required-quality": "97%",
            "x-optimizer-cost-tier": "economy",
            "x-optimizer-tenant-tag": "acme",
        }
    )
    request = served.last.selection.request
    assert (request.use_case, request.session_id, request.tenant) == ("code_generation", "s1", "acme")
    assert (request.required_quality, request.cost_tier) == ("97%", "economy")


def test_hints_come_in_metadata_and_go_no_further(served: Served, fake: FakeServer) -> None:
    hints = {"use_case": "code_generation", "session": "s1", "required_quality": 0.9, "tenant_tag": "acme"}
    served.chat(metadata={**hints, "ticket": "T-1"})
    request = served.last.selection.request
    assert (request.use_case, request.session_id, request.tenant) == ("code_generation", "s1", "acme")
    assert request.required_quality == "0.9"
    assert fake.requests[-1].body["metadata"] == {"ticket": "T-1"}


def test_metadata_of_hints_alone_is_not_sent(served: Served, fake: FakeServer) -> None:
    served.chat(metadata={"use_case": "chat"})
    assert "metadata" not in fake.requests[-1].body


def test_a_header_counts_before_metadata(served: Served) -> None:
    served.chat(headers={"x-optimizer-session": "header"}, metadata={"session": "metadata"})
    assert served.last.selection.request.session_id == "header"


def test_all_else_goes_on_as_it_is(served: Served, fake: FakeServer) -> None:
    """Also what has the name of a hint of the library's: a body is no way to speak for another tenant."""
    more = {"user": "u1", "stop": ["x"], "seed": 7, "frobnicate": {"a": [1]}, "tenant": "acme", "models": ["a"]}
    assert served.chat(DEAR, **more).status_code == 200
    assert fake.requests[-1].body.items() >= more.items()
    assert served.last.selection.request.tenant is None


def test_tools_and_schemas_and_images_decide_who_can_serve(served: Served) -> None:
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    looking = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    body = {"tools": [tool], "response_format": schema, "messages": looking}
    answer = served.chat(**body)
    assert answer.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "now"
    request = served.last.selection.request
    assert (request.needs_tools, request.needs_json_schema, request.needs_vision) == (True, True, True)


def test_a_fallback_is_said_to_be_one(served: Served, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="server_error", gateway="portkey"),)))
    answer = served.chat(DEAR)
    assert (answer.status_code, answer.headers["x-optimizer-degraded"]) == (200, "true")


def test_later_turns_of_a_session_have_no_propensity(served: Served) -> None:
    first, second = (served.chat(headers={"x-optimizer-session": "s"}).headers for _ in range(2))
    assert "x-optimizer-propensity" in first
    assert "x-optimizer-propensity" not in second
    assert first["x-optimizer-model"] == second["x-optimizer-model"]


# What is refused


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": MARKED}, "messages"),
        ({"messages": [MARKED]}, "messages[0]"),
        ({"messages": [{"role": MARKED, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": {"text": MARKED}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [MARKED]}]}, "messages[0].content"),
        ({"temperature": MARKED}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "1"}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream": True, "stream_options": {"include_usage": MARKED}}, "stream_options.include_usage"),
        ({"tools": {}}, "tools"),
        ({"tools": [MARKED]}, "tools"),
        ({"tools": [{"type": "function", "function": MARKED}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": 1}}]}, "tools[0].function.name"),
        ({"messages": [{"role": "user", "tool_calls": [{"function": MARKED}]}]}, "messages[0].tool_calls[0].function"),
        ({"stop": 1}, "stop"),
        ({"metadata": MARKED}, "metadata"),
        ({"metadata": {"session": [MARKED]}}, "metadata.session"),
        ({"metadata": {"session": "a\nb"}}, "metadata.session"),
        ({"metadata": {"cost_tier": MARKED}}, "cost_tier"),
        ({"model": 7}, "model"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_of_it_repeated(served: Served, body: dict[str, object], param: str) -> None:
    answer = served.client.post(CHAT, json={"messages": HELLO, **body})
    error = error_of(answer)
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert MARKED not in answer.text


@pytest.mark.parametrize("content", [b"", b"{", MARKED.encode(), b"\xff\xfe\xfd", b"[" * 100_000, b'{"a": NaN}'])
def test_a_body_that_is_no_json_is_refused(served: Served, content: bytes) -> None:
    answer = served.client.post(CHAT, content=content)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "invalid_json")
    assert MARKED not in answer.text


def test_a_body_that_is_no_object_is_refused(served: Served) -> None:
    assert served.client.post(CHAT, content=b"[]").status_code == 400


def test_an_unknown_model_is_not_found(served: Served) -> None:
    answer = served.chat("gpt-99")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")
    assert "gpt-99" in error_of(answer)["message"]


def test_a_pin_that_the_use_case_does_not_offer_is_not_found(served: Served) -> None:
    answer = served.chat("claude-haiku-4-5", headers={"x-optimizer-use-case": "chat"})
    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")


def test_an_unknown_use_case_goes_to_the_default_one(served: Served) -> None:
    assert served.chat("auto:poetry").status_code == 200
    assert served.last.selection.use_case == "chat"


def test_an_unknown_use_case_is_refused_without_a_default(serve: Serve) -> None:
    served = serve(pool(rest="default_use_case: null"))
    answer = served.chat("auto:poetry")
    assert (answer.status_code, error_of(answer)["param"]) == (400, "use_case")


def test_a_prompt_for_which_nobody_has_room_is_too_long(served: Served) -> None:
    answer = served.chat(messages=[{"role": "user", "content": "word " * 800_000}])
    assert (answer.status_code, error_of(answer)["code"]) == (400, "context_length_exceeded")


def test_what_nobody_can_do_is_said_model_by_model(serve: Serve) -> None:
    served = serve(f"use_cases: {{chat: {{candidates: [{CHEAP}], incumbent: {CHEAP}}}}}")
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    answer = served.chat(messages=[{"role": "user", "content": [image]}])
    assert (answer.status_code, error_of(answer)["code"]) == (422, "no_eligible_candidate")
    assert CHEAP in error_of(answer)["message"]


# What fails


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("server_error", 502, "all_candidates_failed"),
        ("rate_limit:7", 429, "rate_limit_exceeded"),
        ("content_policy", 400, "content_filter"),
        ("context_length", 400, "context_length_exceeded"),
        ("bad_request", 400, "request_refused"),
    ],
)
def test_what_all_attempts_came_to_is_the_answer(
    serve: Serve, fake: FakeServer, fault: str, status: int, code: str
) -> None:
    served = serve()
    fake.play(Script(troubles=(Trouble(fault=fault),)))
    answer = served.chat(DEAR, messages=[{"role": "user", "content": MARKED}])
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert MARKED not in answer.text


def test_a_gateway_that_never_answers_is_a_timeout(serve: Serve, fake: FakeServer) -> None:
    served = serve(pool("objective: quality", "routing: {retries: 0, attempt_timeout_seconds: 0.1}"))
    fake.play(Script(troubles=(Trouble(fault="hang"),)))
    answer = served.chat(DEAR)
    assert (answer.status_code, error_of(answer)["code"]) == (504, "timeout")


def test_the_deadline_of_a_call_is_a_timeout(serve: Serve, fake: FakeServer) -> None:
    served = serve(pool("objective: quality", "routing: {deadline_seconds: 0.2}"))
    fake.play(Script(troubles=(Trouble(fault="hang"),)))
    answer = served.chat(DEAR)
    assert (answer.status_code, error_of(answer)["code"]) == (504, "deadline_exceeded")


def test_a_spent_limit_says_when_it_opens_again(serve: Serve) -> None:
    served = serve(pool("objective: quality", "routing: {cost_limits: {daily_usd: 0.000001}}"))
    answer = served.chat()
    assert (answer.status_code, error_of(answer)["type"]) == (429, "insufficient_quota")
    assert 0 < int(answer.headers["retry-after"]) <= 86_400
    assert answer.headers["x-should-retry"] == "false"


def test_without_a_gateway_nobody_can_be_asked(serve: Serve) -> None:
    served = serve(environ={})
    answer = served.chat()
    assert (answer.status_code, error_of(answer)["code"]) == (503, "no_gateway")


def test_a_client_that_leaves_ends_its_call_which_is_costed(served: Served, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="hang"),)))
    with pytest.raises(httpx.ReadTimeout):
        served.client.post(CHAT, json={"model": DEAR, "messages": HELLO}, timeout=0.3)
    assert until(lambda: served.last.attempts)
    (attempt,) = served.last.attempts
    assert (attempt.served, attempt.error_kind, attempt.cost_source) == (False, "cancelled", "estimated")
    assert (attempt.cost_nano_usd or 0) > 0


def test_two_requests_on_one_connection_are_two_calls(served: Served) -> None:
    body = b'{"messages": [{"role": "user", "content": "x"}]}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    host, _, port = served.url.removeprefix("http://").removesuffix("/v1").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request + request)
        received = b""
        while received.count(b"HTTP/1.1 200") < 2:
            received += connection.recv(65_536)
    assert len(served.calls()) == 2


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_session_that_must_be_looked_up_holds_up_nobody_else(serve: Serve, url: str) -> None:
    served, database = serve(database=url), connect(url)
    with ThreadPoolExecutor() as threads:
        with database.writing() as connection:
            connection.exec_driver_sql("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
            waiting = threads.submit(served.chat, headers={"x-optimizer-session": "s"})
            assert served.chat().status_code == 200
            assert not waiting.done()
        assert waiting.result().status_code == 200
    database.close()


def test_nothing_of_a_prompt_is_in_the_ledger(served: Served, file: Path) -> None:
    served.chat(messages=[{"role": "user", "content": MARKED}], user=MARKED)
    served.chat(messages=[{"role": "user", "content": MARKED}], temperature="x")
    served.optimizer.flush()
    written = b"".join(path.read_bytes() for path in file.parent.glob("ledger.db*"))
    assert len(served.calls()) == 1
    assert MARKED.encode() not in written
