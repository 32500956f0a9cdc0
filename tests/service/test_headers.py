"""Every reply says how it may be used; pages of other origins are let in only where they are named."""

import asyncio

import httpx
from fastapi import FastAPI, Response

from optimizer.service.headers import DEFAULTS, add_headers
from optimizer.settings import ServiceSettings

PAGE = "https://app.example.com"


def _ask(settings: ServiceSettings, method: str = "GET", path: str = "/", **headers: str) -> httpx.Response:
    app = FastAPI()

    @app.get("/")
    async def read(response: Response) -> str:
        response.headers["cache-control"] = "max-age=5"
        response.headers["x-optimizer-call-id"] = "a"
        return "here"

    add_headers(app, settings)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=sent)

    return asyncio.run(send())


def test_every_reply_carries_the_headers_that_it_does_not_set_itself() -> None:
    found, missing = _ask(ServiceSettings()), _ask(ServiceSettings(), path="/nowhere")
    assert missing.status_code == 404
    assert {name: missing.headers[name] for name in DEFAULTS} == DEFAULTS
    assert {name: found.headers[name] for name in DEFAULTS} == DEFAULTS | {"cache-control": "max-age=5"}


def test_browsers_are_kept_out_unless_their_origin_is_named() -> None:
    asked = {"origin": PAGE, "access_control_request_method": "POST"}
    assert "access-control-allow-origin" not in _ask(ServiceSettings(), "OPTIONS", **asked).headers
    settings = ServiceSettings(cors_origins=(PAGE,))
    wanted = "content-type, x-optimizer-feedback-token"
    preflight = _ask(settings, "OPTIONS", **asked, access_control_request_headers=wanted)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, PAGE)
    assert _ask(settings, "OPTIONS", **{**asked, "origin": "https://elsewhere.example"}).status_code == 400


def test_pages_of_a_named_origin_may_read_our_headers() -> None:
    reply = _ask(ServiceSettings(cors_origins=("*",)), origin=PAGE)
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "x-optimizer-call-id" in reply.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in reply.headers
