"""A chat goes past FastAPI's routing; nobody can tell from the log, the document, or what is refused."""

import logging

import pytest

from optimizer.service import chat
from optimizer.service.short_way import ShortWay
from tests.service.running import CHAT, HELLO, Served, error_of, until


def test_a_chat_is_logged_under_its_route(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "optimizer.access"):
        answer = served.chat()
        assert until(lambda: "optimizer.access" in {record.name for record in caplog.records})  # after the reply
    (line,) = [record.fields for record in caplog.records if record.name == "optimizer.access"]
    assert (line["route"], line["status"]) == (CHAT, 200)
    assert line["call_id"] == answer.headers["x-optimizer-call-id"]


def test_only_its_own_method_and_address_go_that_way(served: Served) -> None:
    assert served.client.post(f"{CHAT}/", json={"messages": HELLO}).status_code == 404
    assert served.client.put(CHAT, json={"messages": HELLO}).headers["allow"] == "POST"


def test_it_stands_innermost_so_that_everything_else_comes_first(served: Served) -> None:
    assert served.app.user_middleware[-1].cls is ShortWay
    assert error_of(served.client.post(CHAT, content=b"{"))["code"] == "invalid_json"
    assert served.chat().headers["x-content-type-options"] == "nosniff"


def test_the_route_that_it_goes_past_is_the_one_that_the_document_shows(served: Served) -> None:
    assert [getattr(route, "path", None) for route in chat.router.routes] == [CHAT]
    assert "post" in served.client.get("/openapi.json").json()["paths"][CHAT]
