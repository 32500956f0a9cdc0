"""Logs are JSON lines that say who called and how it went, and nothing that anybody wrote."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from logging.config import dictConfig
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from optimizer.service.logs import AccessLog, JsonLines, log_config
from optimizer.service.security import Caller

MARK = "hunter2-marked-text"
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("optimizer.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def ask(written: io.StringIO) -> Ask:
    app = FastAPI()

    @app.get("/v1/calls/{call_id}")
    async def call(call_id: str, request: Request, response: Response) -> str:
        request.state.caller = Caller("acme", key_id="3f9c")
        response.headers["x-optimizer-call-id"] = "a"
        return MARK

    @app.get("/broken")
    async def broken() -> StreamingResponse:
        async def parts() -> Any:
            yield b"data: x"
            raise ValueError(MARK)

        return StreamingResponse(parts())

    @app.get("/healthz")
    async def healthz() -> str:
        return "ok"

    times = iter(range(10))

    def ask(path: str) -> list[dict[str, Any]]:
        async def send() -> None:
            transport = httpx.ASGITransport(AccessLog(app, lambda: float(next(times))), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                await client.get(path, headers={"authorization": f"Bearer {MARK}"})

        asyncio.run(send())
        return [json.loads(line) for line in written.getvalue().splitlines()]

    return ask


def test_a_request_is_one_line_with_its_call(ask: Ask) -> None:
    (line,) = ask(f"/v1/calls/{MARK}?q={MARK}")
    assert {name: value for name, value in line.items() if name != "at"} == {
        "level": "info",
        "logger": "optimizer.access",
        "message": "request",
        "method": "GET",
        "route": "/v1/calls/{call_id}",
        "status": 200,
        "duration_ms": 1000.0,
        "whole": True,
        "call_id": "a",
        "tenant": "acme",
        "key_id": "3f9c",
    }


def test_what_anybody_wrote_is_in_no_line(ask: Ask, written: io.StringIO) -> None:
    for path in (f"/v1/calls/{MARK}", f"/{MARK}", f"/broken?{MARK}"):
        ask(path)
    assert len(written.getvalue().splitlines()) == 3
    assert MARK not in written.getvalue()


def test_a_stream_that_breaks_is_said_to_be_no_whole_reply(ask: Ask) -> None:
    (line,) = ask("/broken")
    assert (line["status"], line["whole"]) == (200, False)


def test_probes_that_are_answered_are_not_worth_a_line(ask: Ask) -> None:
    assert ask("/healthz") == []


def test_of_an_exception_its_kind_and_place_are_logged_and_not_its_words() -> None:
    try:
        raise ValueError(MARK)
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["error"]) == ("failed", "ValueError")
    assert "test_logs.py" in line["where"][-1]
    assert MARK not in str(line)


def test_uvicorns_access_log_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    access = logging.getLogger("uvicorn.access")
    try:
        dictConfig(json.loads(json.dumps(log_config())))  # plain values alone, as workers get them
        access.info("GET /%s", MARK)
        logging.getLogger("optimizer.x").warning("said")
        err = capsys.readouterr().err
    finally:
        root.handlers[:], root.level = handlers, level
        access.propagate = True
    assert json.loads(err)["message"] == "said"
